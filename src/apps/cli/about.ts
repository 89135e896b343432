/** --help and --version. */
import { help } from './help.ts';
import { Output } from './output.ts';

function print(text: string): void {
  const output = new Output(undefined, 'line');
  output.write(text);
  output.close();
}

export function printHelp(): void {
  print(help);
}

/** `name`: under which the executable was called. */
export function printVersion(name: string, version: string): void {
  print(`${name} v${version}\n`);
}

/** --help, --version and the completions of shells. */
import { completion, type Shell } from './completion.ts';
import { help } from './help.ts';
import { Output } from './output.ts';
import type { CommandName } from './words.ts';

/** Characters in a line of help: as many as a terminal has, within reason. */
const width = (): number => Math.min(Math.max(process.stdout.isTTY ? process.stdout.columns : 92, 60), 110);

function print(text: string, path?: string): void {
  const output = new Output(path, 'line');
  output.write(text);
  output.close();
}

export function printHelp(command: CommandName | undefined): void {
  print(help(command, width()));
}

export function printCompletion(shell: Shell, path: string | undefined): void {
  print(completion(shell), path);
}

/** `name`: under which the executable was called. */
export function printVersion(name: string, version: string): void {
  print(`${name} v${version}\n`);
}

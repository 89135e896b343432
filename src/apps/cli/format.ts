/** --fmt: a script in canonical form. */
import { formatScript } from '../../compiler/syntax/format.ts';
import { parse } from '../../compiler/syntax/parse.ts';
import { Diagnostics } from '../../diag/diagnostic.ts';
import { renderAll } from '../../diag/render.ts';
import { Source } from '../../diag/source.ts';
import { complain, useColor } from './failure.ts';
import type { ScriptPlace } from './options.ts';
import { Output } from './output.ts';
import { readScript } from './script.ts';

/** Prints the script, or what is wrong with it; gives the exit status. */
export function format(place: ScriptPlace, path: string | undefined): number {
  const { script: text, name } = readScript(place);
  const source = new Source(name, text);
  const diagnostics = new Diagnostics();
  const script = parse(source, diagnostics);
  if (diagnostics.hasErrors) {
    complain(renderAll(diagnostics.items, source, { color: useColor() }));
    return 1;
  }
  const output = new Output(path, 'full');
  output.write(formatScript(source, script));
  output.close();
  return 0;
}

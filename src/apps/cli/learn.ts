/** `insitu symbols learn FILE`: what other programs' functions can be known by, as text for --names. */
import { realpathSync } from 'node:fs';
import { MachineError } from '../../base/errors.ts';
import { hostDebugFiles } from '../../kernel/host/debugfiles.ts';
import { HostFile } from '../../kernel/host/file.ts';
import { inflate } from '../../kernel/host/inflate.ts';
import { resolvePath } from '../../kernel/host/paths.ts';
import { demangleBoth } from '../../symbolize/demangle/index.ts';
import { learnNames } from '../../symbolize/evidence/learn.ts';
import { openBinary } from '../../symbolize/symbols/binary.ts';
import { complain } from './failure.ts';
import { debugFilesOf, type SymbolsOptions } from './options.ts';
import { Output } from './output.ts';

/** Writes what was learnt; gives the exit status. Raises a MachineError for a program that nothing can be learnt from. */
export function learn(what: string, options: SymbolsOptions): number {
  const path = resolvePath(what, { pid: undefined });
  if (!path.ok) throw path.error;
  const real = realpathSync(path.value);
  const file = HostFile.open(real);
  if (!file.ok) throw file.error;
  const debugFiles = hostDebugFiles({
    ...debugFilesOf(options),
    onMessage: (message) => complain(`WARNING: ${message}\n`),
  });
  const binary = openBinary(real, file.value, { demangle: demangleBoth, inflate, debugFiles });
  if (!binary.ok) throw binary.error;
  try {
    const symbols = binary.value.search(/(?:)/);
    if (symbols.length === 0) {
      throw new MachineError(`${what} has no symbols to learn from`, {
        code: 'E_NO_SYMBOLS',
        hints: ['take a build of the program that is not stripped', 'name its symbols: --symbols FILE'],
      });
    }
    if (binary.value.stripped) complain(`WARNING: ${what} is stripped: only its exported functions have names\n`);
    const text = learnNames(binary.value.elf, symbols);
    if (!text.ok) throw text.error;
    const output = new Output(options.output, 'full');
    output.write(text.value);
    output.close();
    return 0;
  } finally {
    binary.value.close();
  }
}

/** `insitu object PID 0xADDRESS`: an object of a process as a tree, by what its words are. */
import { MachineError } from '../../base/errors.ts';
import { processAddress } from '../../base/numbers.ts';
import { hostDebugFiles } from '../../kernel/host/debugfiles.ts';
import { inferredNames } from '../../kernel/host/inferred.ts';
import { inflate } from '../../kernel/host/inflate.ts';
import { processFiles } from '../../kernel/host/processfiles.ts';
import { HostProcessView } from '../../kernel/host/processview.ts';
import { objectJson, objectText } from '../../render/object.ts';
import { demangleBoth } from '../../symbolize/demangle/index.ts';
import { Explorer } from '../../symbolize/objects/explore.ts';
import { Symbolizer } from '../../symbolize/symbols/symbolizer.ts';
import { complain } from './failure.ts';
import { debugFilesOf, type ObjectOptions } from './options.ts';
import { Output } from './output.ts';

/** Prints the tree; gives the exit status. */
export function object(pid: number, address: number, options: ObjectOptions): number {
  const view = new HostProcessView(pid, functionNames(pid, options));
  try {
    if (view.read(address, 8).length < 8) {
      throw new MachineError(`process ${pid} has nothing at 0x${address.toString(16)}`, { code: 'EFAULT' });
    }
    const explored = new Explorer(view, { depth: options.depth, bytes: options.bytes }).explore(address);
    const output = new Output(options.output, 'full');
    output.write(options.format === 'json' ? `${objectJson(explored)}\n` : objectText(explored));
    output.close();
    return 0;
  } finally {
    view.close();
  }
}

function functionNames(pid: number, options: ObjectOptions): (address: number) => string | undefined {
  const symbolizer = new Symbolizer(processFiles, {
    demangle: demangleBoth,
    inflate,
    debugFiles: hostDebugFiles(debugFilesOf(options)),
    infer: (elf) =>
      inferredNames(elf, {
        names: options.names,
        onSlow: (path) => complain(`${path} has no symbols: inferring names (kept for the next run)\n`),
      }),
  });
  return (address) => {
    const frame = symbolizer.symbolize(pid, processAddress(address));
    if (!frame.found) return undefined;
    const name = frame.demangled === '' ? frame.name : frame.demangled;
    return frame.offset === 0 ? name : `${name}+${frame.offset}`;
  };
}

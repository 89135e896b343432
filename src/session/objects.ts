/** object() of a script: the tree of an object that a probe has seen. */
import { MachineError } from '../base/errors.ts';
import { HostProcessView, type Remembered } from '../kernel/host/processview.ts';
import type { Names } from '../render/names.ts';
import { Explorer } from '../symbolize/objects/explore.ts';
import type { ExploreEvent, ObjectEvent } from '../values/event.ts';

/**
 * The object's own bytes are those of the event; what it points to is read now, while the
 * process goes on.
 */
export function exploreObject(request: ExploreEvent, names: Names): ObjectEvent {
  const { pid, address, depth, seen } = request;
  const failed = (reason: string): ObjectEvent => ({ type: 'object', address, object: undefined, reason });
  if (address === 0) return failed('a null pointer');
  const remembered: Remembered[] = seen.map(({ offset, bytes }) => ({ address: address + offset, bytes }));
  let view: HostProcessView;
  try {
    view = new HostProcessView(pid, (at) => nameAt(names, pid, at), remembered);
  } catch (error) {
    if (!(error instanceof MachineError)) throw error;
    return failed(error.message);
  }
  try {
    if (view.read(address, 8).length < 8) return failed(`process ${pid} has nothing there`);
    const object = new Explorer(view, { depth, bytes: objectBytes }).explore(address);
    return { type: 'object', address, object };
  } finally {
    view.close();
  }
}

/** Of an object whose size nothing tells. */
const objectBytes = 512;

function nameAt(names: Names, pid: number, address: number): string | undefined {
  const symbol = names.userSymbol(pid, address);
  if (symbol === undefined) return undefined;
  return symbol.offset === 0 ? symbol.name : `${symbol.name}+${symbol.offset}`;
}

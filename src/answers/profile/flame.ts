/** Where the boxes of a flame graph lie: samples with common callers beside each other, merged. */
import type { ProfileFrame, StackProfile } from './stacks.ts';

export interface FlameBox {
  readonly frame: ProfileFrame;
  /** 0: called by nobody. */
  readonly depth: number;
  /** Where it begins, in counts from the left. */
  readonly start: bigint;
  /** Its width: the count of all samples that it is in. */
  readonly count: bigint;
}

interface Node {
  readonly frame: ProfileFrame;
  count: bigint;
  readonly callees: Map<string, Node>;
}

/** Two frames are one box when they have the same name in the same file, whatever their lines. */
const identity = ({ kind, name, file = '' }: ProfileFrame): string => `${name}\0${kind}\0${file}`;

/** The boxes, each after its caller, callees in the order of their names. */
export function flameBoxes({ samples }: StackProfile): FlameBox[] {
  const roots = new Map<string, Node>();
  for (const { frames, count } of samples) {
    let callees = roots;
    for (const frame of frames) {
      const key = identity(frame);
      let node = callees.get(key);
      if (node === undefined) {
        node = { frame, count: 0n, callees: new Map() };
        callees.set(key, node);
      }
      node.count += count;
      callees = node.callees;
    }
  }
  const boxes: FlameBox[] = [];
  // A list of what remains, not recursion: stacks may be deep.
  const rest: { readonly node: Node; readonly depth: number; readonly start: bigint }[] = [];
  const put = (nodes: ReadonlyMap<string, Node>, depth: number, from: bigint): void => {
    let start = from;
    const placed = [...nodes]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, node]) => {
        const at = { node, depth, start };
        start += node.count;
        return at;
      });
    for (const one of placed.reverse()) rest.push(one);
  };
  put(roots, 0, 0n);
  for (let one = rest.pop(); one !== undefined; one = rest.pop()) {
    const { node, depth, start } = one;
    boxes.push({ frame: node.frame, depth, start, count: node.count });
    put(node.callees, depth + 1, start);
  }
  return boxes;
}

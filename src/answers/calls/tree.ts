/** Calls put into their callers. Records come as calls end: callees before their callers, thread by thread. */

/** How a call ended; `open`: it had not when tracing did. */
export type CallEnd = 'returned' | 'jumped' | 'gone' | 'open' | 'thread ended';

export interface Text {
  /** undefined where it could not be read. */
  readonly bytes: Uint8Array | undefined;
  readonly cut: boolean;
}

/** What a record tells of a call. */
export interface Call {
  readonly fn: number;
  readonly pid: number;
  readonly tid: number;
  readonly comm: string;
  readonly depth: number;
  /** CLOCK_MONOTONIC nanoseconds; `left` is 0 while the call is open. */
  readonly entered: number;
  readonly left: number;
  /** Nanoseconds in calls below it. */
  readonly below: number;
  /** Calls right below it without a record. */
  readonly hidden: number;
  readonly recursive: boolean;
  readonly jumpedTo: boolean;
  readonly how: CallEnd;
  readonly results: readonly [bigint, bigint];
  readonly words: readonly bigint[];
  readonly texts: readonly (Text | undefined)[];
  readonly resultText: Text | undefined;
}

export interface CallNode {
  readonly call: Call;
  readonly children: readonly CallNode[];
}

/** Nodes of one outermost call that are kept; more are counted. */
const mostNodes = 20_000;

export class CallTrees {
  /** By thread: nodes that wait for their caller, by depth. */
  readonly #waiting: Map<number, CallNode[][]> = new Map();
  readonly #sizes: Map<number, number> = new Map();
  /** Calls whose caller's record never came, or that did not fit. */
  orphans = 0;

  /** Takes the next record; gives the outermost call that it completes. */
  take(call: Call): CallNode | undefined {
    let levels = this.#waiting.get(call.tid);
    if (levels === undefined) {
      levels = [];
      this.#waiting.set(call.tid, levels);
    }
    const children: CallNode[] = [];
    for (const deeper of levels.splice(call.depth + 1)) {
      for (const node of deeper ?? []) {
        const inside = node.call.entered >= call.entered && node.call.depth === call.depth + 1;
        if (inside) children.push(node);
        else this.orphans++;
      }
    }
    const size = (this.#sizes.get(call.tid) ?? 0) + 1;
    this.#sizes.set(call.tid, size);
    if (call.depth === 0) {
      this.#waiting.delete(call.tid);
      this.#sizes.delete(call.tid);
      return { call, children };
    }
    if (size > mostNodes) {
      this.orphans++;
      return undefined;
    }
    for (let depth = levels.length; depth <= call.depth; depth++) levels.push([]);
    levels[call.depth]?.push({ call, children });
    return undefined;
  }

  /** Calls that still wait for their callers. */
  rest(): void {
    for (const levels of this.#waiting.values()) for (const level of levels) this.orphans += level?.length ?? 0;
    this.#waiting.clear();
  }
}

/** Nanoseconds of a call; of one that is open, until `now`. */
export const durationOf = ({ entered, left }: Call, now: number): number => Math.max(0, (left || now) - entered);

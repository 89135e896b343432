/** Loops become functions that the kernel calls back (bpf_loop), so that any bound verifies. */
import type { Reg } from '../ir/ir.ts';
import { bpfHelper } from './bpfhelper.ts';
import type { Lower } from './lower.ts';

/** Most iterations that bpf_loop runs (BPF_MAX_LOOPS). */
export const maxLoops: number = 1 << 23;

/** A loop of the script. */
export function loop(low: Lower, count: Reg, body: (index: Reg) => void): void {
  search(low, count, body);
  low.leaveIfReturned();
}

/** Runs `body` up to `count` times (a register); `break` ends it early. */
export function search(low: Lower, count: Reg, body: (index: Reg) => void): void {
  const { b } = low;
  const environment = low.environment();
  const callback = low.callback('loop', 2, 1, (parameters) => body(parameters[0] as Reg));
  const bounded = b.reg();
  b.mov(bounded, count);
  const fine = b.label();
  b.branch('ule', bounded, { imm: maxLoops }, fine);
  b.push({ op: 'const', dst: bounded, value: BigInt(maxLoops) });
  b.place(fine);
  const done = b.call(bpfHelper.loop, [bounded, callback, environment, { imm: 0 }]);
  const ended = b.label();
  b.branch('ult', done, { imm: maxLoops }, ended);
  low.count(low.assets.globals.loopLimit);
  b.place(ended);
}

/** A number that the verifier knows nothing of: where it knows a count to be 0 it removes the callback but not its address. */
export function unknown(low: Lower, value: Reg): Reg {
  const place = low.temporary(8);
  low.b.store(place.base, place.offset, 8, value);
  return low.b.load(place.base, place.offset, 8);
}

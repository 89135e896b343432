/**
 * Programs that work for some processes only: the look at who runs, and for --follow
 * the two programs that keep the map of the processes which those have started.
 *
 * The map counts as the machine's first pid namespace does, since a program has no way
 * to another process's number in the tracer's own.
 */
import { findField } from '../../types/layout.ts';
import type { TypeSource } from '../../types/source.ts';
import type { Label, Reg } from '../ir/ir.ts';
import type { ProbeContext, ProcessFilter } from '../probes/context.ts';
import { bpfHelper } from './bpfhelper.ts';
import type { Lower } from './lower.ts';
import { taskNumber } from './task.ts';

/** Ends the program unless one of the processes runs. */
export function leaveOthers(low: Lower, processes: ProcessFilter): void {
  const ours = low.b.label();
  low.scoped(() => {
    goIfOurs(low, processes, ours);
    low.b.jump(low.exitLabel);
  });
  low.b.place(ours);
}

function goIfOurs(low: Lower, { pids, children }: ProcessFilter, ours: Label): void {
  const { b } = low;
  const current = taskNumber(low, 'pid', 'own');
  for (const pid of pids) b.branch('eq', current, { imm: pid }, ours);
  if (!children) return;
  const found = b.call(
    bpfHelper.map_lookup_elem,
    [b.map(low.assets.followed()), key(low, currentTgid(low))],
    'pointer',
  );
  b.branch('ne', found, { imm: 0 }, ours);
}

const currentTgid = (low: Lower): Reg => taskNumber(low, 'pid', 'init');

/** Address of a key of the map. */
function key(low: Lower, tgid: Reg): Reg {
  const place = low.temporary(8);
  low.b.store(place.base, place.offset, 8, tgid);
  return low.addressOf(place);
}

/** Where in the kernel's structures the programs look. */
export interface FollowLayout {
  /** task_struct.tgid, task_struct.signal, signal_struct.live. */
  readonly tgid: number;
  readonly signal: number;
  readonly live: number;
}

/** Undefined where BTF does not tell. */
export function followLayout(types: TypeSource | undefined): FollowLayout | undefined {
  const offset = (type: string, field: string): number | undefined => {
    const found = types?.find('struct', type);
    return found?.kind === 'struct' ? findField(found, field)?.offset : undefined;
  };
  const tgid = offset('task_struct', 'tgid');
  const signal = offset('task_struct', 'signal');
  const live = offset('signal_struct', 'live');
  return tgid === undefined || signal === undefined || live === undefined ? undefined : { tgid, signal, live };
}

const rawTracepoint = (event: string): ProbeContext => ({
  provider: 'rawtracepoint',
  programType: 'RAW_TRACEPOINT',
  attachments: [{ spec: { kind: 'rawtracepoint', event }, name: `rawtracepoint:vmlinux:${event}` }],
  span: { start: 0, end: 0 },
  shortName: event,
  registers: false,
  userMemory: false,
  hasProcess: true,
});

const word = (address: Reg, offset: number) => ({ kind: 'memory', address, offset, space: 'kernel' }) as const;

/** Reads `size` bytes of the kernel's. */
function read(low: Lower, address: Reg, offset: number, size: 4 | 8): Reg {
  const place = low.temporary(8);
  low.b.store(place.base, place.offset, 8, { imm: 0 });
  low.readMemory(place, word(address, offset), { imm: size });
  return low.b.load(place.base, place.offset, 8);
}

/** sched_process_fork(parent, child), in the parent, before the child runs (kernel/fork.c, kernel_clone). */
export const forkContext: ProbeContext = rawTracepoint('sched_process_fork');

export function buildFork(low: Lower, processes: ProcessFilter, layout: FollowLayout): void {
  leaveOthers(low, processes);
  const { b } = low;
  const child = b.load(low.context, 8, 8);
  const tgid = read(low, child, layout.tgid, 4);
  const own = currentTgid(low);
  // A new thread.
  b.branch('eq', tgid, own, low.exitLabel);
  const value = key(low, own);
  const failed = b.call(bpfHelper.map_update_elem, [b.map(low.assets.followed()), key(low, tgid), value, { imm: 0 }]);
  b.branch('eq', failed, { imm: 0 }, low.exitLabel);
  low.count(low.assets.globals.notFollowed);
}

/** sched_process_exit(task), in the thread that ends; the process has when none of its threads lives. */
export const exitContext: ProbeContext = rawTracepoint('sched_process_exit');

export function buildExit(low: Lower, layout: FollowLayout): void {
  const { b } = low;
  const task = b.load(low.context, 0, 8);
  const signal = read(low, task, layout.signal, 8);
  const live = read(low, signal, layout.live, 4);
  b.branch('ne', live, { imm: 0 }, low.exitLabel);
  b.call(bpfHelper.map_delete_elem, [b.map(low.assets.followed()), key(low, currentTgid(low))]);
}

/**
 * Hands a stack that lacked rules to user space, which finishes it (NoteKind in
 * program/unwind.ts): the registers, the pending return probes, and the stack's memory.
 */
import {
  endNumber,
  mostReturns,
  mostSaved,
  NoteKind,
  Register,
  savedBytes,
  savedRegisters,
} from '../../program/unwind.ts';
import type { IrFunction, Reg } from '../ir/ir.ts';
import { bpfHelper } from '../lower/bpfhelper.ts';
import { memoryNoteBytes, stateAt } from './layout.ts';
import type { WalkerOptions } from './walker.ts';
import { registerOffsets, spread, type Writer } from './writer.ts';

/**
 * Stacks saved in about a second: each is a key of its own until it is finished, so that a
 * flood of them, before the rules are read, would fill the script's maps.
 */
const mostSaves = 1024;

/** No page of x86-64 is smaller. */
const pageBytes = 4096;

/** Fills the function whose argument is a state. `calls`: indices of bpf_find_vma's callback, and of `sumOfPiece`. */
export function saveStack(
  f: Writer,
  options: WalkerOptions,
  calls: { readonly vma: number; readonly sum: number },
): IrFunction {
  const { maps, layout, frames, findVma } = options;
  const { b } = f;
  const done = b.label();
  const count = f.get(stateAt.count);
  b.branch('uge', count, f.get(stateAt.limit), done);
  b.branch('uge', count, { imm: frames }, done);
  const now = b.call(bpfHelper.ktime_get_ns, []);
  const budget = b.mapValue(maps.state, 0);
  const second = b.alu('lshr', now, { imm: 30 });
  f.when('ne', b.load(budget, stateAt.saveSecond, 8), second, () => {
    b.store(budget, stateAt.saveSecond, 8, second);
    b.store(budget, stateAt.saves, 8, { imm: 0 });
  });
  const saves = b.load(budget, stateAt.saves, 8);
  b.branch('uge', saves, { imm: mostSaves }, done);
  b.store(budget, stateAt.saves, 8, b.alu('add', saves, { imm: 1 }));
  const mixed = b.alu('mul', b.alu('xor', f.get(stateAt.hash), now), b.const(spread));
  const id = b.alu('xor', mixed, b.alu('lshr', mixed, { imm: 29 }));
  const pid = f.get(stateAt.pid);
  const head = (kind: number): Reg => b.alu('or', pid, b.const(BigInt(kind) << 32n));
  const task = b.call(bpfHelper.get_current_task_btf, [], 'pointer');
  const registers = b.call(bpfHelper.task_pt_regs, [task], 'pointer');
  f.put(stateAt.chunk, head(NoteKind.registers));
  f.put(stateAt.chunk + 8, id);
  f.put(stateAt.chunk + 16, now);
  const registersAt = stateAt.chunk + 24;
  for (const [number, at] of registerOffsets.entries()) f.put(registersAt + 8 * number, b.load(registers, at, 8));
  const afterRegisters = registersAt + 8 * savedRegisters;
  f.put(afterRegisters, f.get(stateAt.trampoline));
  for (let word = 0; word < 2 * mostReturns; word++) f.put(afterRegisters + 8 + 8 * word, { imm: 0 });
  saveReturns(f, options, afterRegisters + 8);
  const chunk = b.alu('add', f.s, { imm: stateAt.chunk });
  const size = 24 + 8 * (savedRegisters + 1 + 2 * mostReturns);
  const unsent = b.call(bpfHelper.ringbuf_output, [b.map(maps.notes), chunk, { imm: size }, { imm: 0 }]);
  b.branch('ne', unsent, { imm: 0 }, done);
  f.put(stateAt.hash, id);
  f.put(stateAt.flags, { imm: 0 });
  f.put(stateAt.end, { imm: endNumber('unfinished') });
  b.store(b.alu('add', f.s, b.alu('shl', count, { imm: 3 })), stateAt.frames, 8, id);

  // The memory, up to the end of its mapping. Above a program's first stack lie its arguments and environment.
  const rsp = f.get(registersAt + 8 * Register.rsp);
  const top = b.reg();
  f.assign(top, { imm: -1 });
  if (findVma) {
    const area = b.newSlot(56, 8, 'area');
    const fields = b.slotAddress(area);
    for (let word = 0; word < 7; word++) b.store(fields, 8 * word, 8, { imm: 0 });
    const callback = b.reg('pointer');
    b.push({ op: 'function', dst: callback, function: calls.vma });
    const failed = b.call(bpfHelper.find_vma, [task, rsp, callback, fields, { imm: 0 }]);
    f.when('eq', failed, { imm: 0 }, () => f.assign(top, b.load(fields, 8, 8)));
  }
  if (layout.mm.startStack !== undefined) {
    const first = b.load(b.load(task, layout.task.mm, 8, 'pointer'), layout.mm.startStack, 8);
    f.when('ule', rsp, first, () => {
      const end = f.plus(first, 8);
      f.when('ult', end, top, () => f.assign(top, end));
    });
  }
  const at = b.reg();
  const index = b.reg();
  const round = b.label();
  const absent = b.label();
  const next = b.label();
  f.put(stateAt.memory + 8, id);
  const key = b.slotAddress(b.newSlot(8, 8, 'key'));
  f.assign(at, b.alu('and', rsp, { imm: -savedBytes }));
  f.assign(index, { imm: 0 });
  b.place(round);
  f.put(stateAt.memory + 16, at);
  const bytes = b.alu('add', f.s, { imm: stateAt.memory + 32 });
  b.branch('ne', b.call(bpfHelper.probe_read_user, [bytes, { imm: savedBytes }, at]), { imm: 0 }, absent);
  const note = b.alu('add', f.s, { imm: stateAt.memory });
  const sum = b.callFunction(calls.sum, [b.parameter(0)]);
  f.put(stateAt.memory + 24, sum);
  // Stacks that follow each other have most of their memory in common.
  b.store(key, 0, 8, b.alu('xor', b.alu('mul', f.get(stateAt.mm), b.const(spread)), at));
  const known = b.call(bpfHelper.map_lookup_elem, [b.map(maps.saved), key], 'pointer');
  const other = b.label();
  const handed = b.label();
  b.branch('eq', known, { imm: 0 }, other);
  b.branch('ne', b.load(known, 0, 8), sum, other);
  f.put(stateAt.memory, head(NoteKind.same));
  const full = b.call(bpfHelper.ringbuf_output, [b.map(maps.notes), note, { imm: 32 }, { imm: 0 }]);
  b.branch('ne', full, { imm: 0 }, done);
  b.jump(handed);
  b.place(other);
  f.put(stateAt.memory, head(NoteKind.memory));
  const lost = b.call(bpfHelper.ringbuf_output, [b.map(maps.notes), note, { imm: memoryNoteBytes }, { imm: 0 }]);
  b.branch('ne', lost, { imm: 0 }, done);
  b.call(bpfHelper.map_update_elem, [
    b.map(maps.saved),
    key,
    b.alu('add', f.s, { imm: stateAt.memory + 24 }),
    { imm: 0 },
  ]);
  b.place(handed);
  f.assign(at, f.plus(at, savedBytes));
  b.jump(next);
  // A large frame may have pages that nothing has touched.
  b.place(absent);
  f.assign(at, f.plus(b.alu('and', at, { imm: -pageBytes }), pageBytes));
  b.place(next);
  b.branch('uge', at, top, done);
  b.push({ op: 'alu', operator: 'add', dst: index, left: index, right: { imm: 1 } });
  b.branch('ult', index, { imm: mostSaved }, round);
  b.place(done);
  b.return({ imm: 0 });
  return { ...b.finish(), global: true };
}

/** A sum over the piece of memory in the state: other bytes, another sum. */
export function sumOfPiece(f: Writer): IrFunction {
  const { b } = f;
  const sum = b.reg();
  const index = b.reg();
  const round = b.label();
  f.assign(sum, { imm: 0 });
  f.assign(index, { imm: 0 });
  b.place(round);
  const at = b.alu('add', f.s, b.alu('and', index, { imm: savedBytes - 8 }));
  const mixed = b.alu('mul', b.alu('xor', sum, b.load(at, stateAt.memory + 32, 8)), b.const(spread));
  f.assign(sum, b.alu('xor', mixed, b.alu('lshr', mixed, { imm: 32 })));
  b.push({ op: 'alu', operator: 'add', dst: index, left: index, right: { imm: 8 } });
  b.branch('ult', index, { imm: savedBytes }, round);
  b.return(sum);
  return { ...b.finish(), global: true };
}

/** Puts the places and addresses of pending return probes into the state, from an offset on. */
function saveReturns(f: Writer, { layout }: WalkerOptions, offset: number): void {
  if (layout.task.utask === undefined) return;
  const { b } = f;
  const done = b.label();
  const word = b.alu('add', f.s, { imm: stateAt.word });
  const readWord = (address: Reg): Reg => {
    const failed = b.call(bpfHelper.probe_read_kernel, [word, { imm: 8 }, address]);
    b.branch('ne', failed, { imm: 0 }, done);
    return f.get(stateAt.word);
  };
  const task = b.call(bpfHelper.get_current_task, []);
  const utask = readWord(b.alu('add', task, { imm: layout.task.utask }));
  b.branch('eq', utask, { imm: 0 }, done);
  const instance = b.reg();
  const index = b.reg();
  const round = b.label();
  f.assign(instance, readWord(f.plus(utask, layout.utaskReturns)));
  f.assign(index, { imm: 0 });
  b.place(round);
  b.branch('eq', instance, { imm: 0 }, done);
  const stack = readWord(f.plus(instance, layout.returns.stack));
  const address = readWord(f.plus(instance, layout.returns.address));
  const next = readWord(f.plus(instance, layout.returns.next));
  const at = b.alu('add', f.s, b.alu('shl', b.alu('and', index, { imm: mostReturns - 1 }), { imm: 4 }));
  b.store(at, offset, 8, stack);
  b.store(at, offset + 8, 8, address);
  f.assign(instance, next);
  b.push({ op: 'alu', operator: 'add', dst: index, left: index, right: { imm: 1 } });
  b.branch('ult', index, { imm: mostReturns }, round);
  b.place(done);
}

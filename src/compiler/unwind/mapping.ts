/** Which mapping an address of a process lies in: bpf_find_vma, and what the runtime has read behind it. */
import { jitFile, mappingBytes, mostMappings, processHead, Register } from '../../program/unwind.ts';
import type { IrFunction, Reg } from '../ir/ir.ts';
import { bpfHelper } from '../lower/bpfhelper.ts';
import { cachedAt, cachedMappingBytes, cachedMappings, type KernelLayout, stateAt } from './layout.ts';
import type { WalkerOptions } from './walker.ts';
import { Writer } from './writer.ts';

const VM_EXEC = 4;
/** Notes about one process come at most so often, and not before the time in `asked`. */
const noteEveryNs = 5_000_000;
/** Nanoseconds; a process that must not be asked about for longer has nothing new to tell. */
const longestPatience = 100_000_000;

/**
 * Finds the mapping and the file of the pc that is looked up. 0: it is in the state, with
 * file 0 when nothing is known of the file; 1: nothing is mapped there to be run. Fills
 * the function whose argument is a state. `vma`: the index of bpf_find_vma's callback.
 */
export function findMapping(f: Writer, options: WalkerOptions, vma: number): IrFunction {
  const { maps, findVma, prepared } = options;
  const { b } = f;
  const pc = f.register(Register.rip);
  const look = b.alu('sub', pc, f.get(stateAt.adjust));
  const none = b.label();
  const unknown = b.label();
  const keep = b.label();
  const slot = b.alu('and', b.alu('lshr', look, { imm: 16 }), { imm: cachedMappings - 1 });
  const cached = b.alu('add', f.s, b.alu('mul', slot, { imm: cachedMappingBytes }));
  const at = (field: keyof typeof cachedAt): number => stateAt.cache + cachedAt[field];
  const miss = b.label();
  b.branch('ne', b.load(cached, at('mm'), 8), f.get(stateAt.mm), miss);
  b.branch('ne', b.load(cached, at('executablePages'), 8), f.get(stateAt.executablePages), miss);
  const known = b.load(cached, at('start'), 8);
  b.branch('uge', b.alu('sub', look, known), b.load(cached, at('size'), 8), miss);
  f.put(stateAt.mapStart, known);
  f.put(stateAt.mapSize, b.load(cached, at('size'), 8));
  f.put(stateAt.mapOffset, b.load(cached, at('offset'), 8));
  f.put(stateAt.file, b.load(cached, at('file'), 8));
  b.return({ imm: 0 });
  b.place(miss);

  // Until something is found: this one byte, of no file.
  f.put(stateAt.mapStart, look);
  f.put(stateAt.mapSize, { imm: 1 });
  f.put(stateAt.mapOffset, { imm: 0 });
  f.put(stateAt.file, { imm: 0 });
  const fromTable = b.label();
  if (findVma && prepared !== true) {
    const area = b.newSlot(56, 8, 'area');
    const fields = b.slotAddress(area);
    for (let word = 0; word < 7; word++) b.store(fields, 8 * word, 8, { imm: 0 });
    const callback = b.reg('pointer');
    b.push({ op: 'function', dst: callback, function: vma });
    const task = b.call(bpfHelper.get_current_task_btf, [], 'pointer');
    const result = b.call(bpfHelper.find_vma, [task, look, callback, fields, { imm: 0 }]);
    // -ENOENT: nothing is mapped there. -EBUSY: the kernel could not look now.
    b.branch('eq', result, { imm: -2 }, none);
    b.branch('ne', result, { imm: 0 }, fromTable);
    b.branch('eq', b.alu('and', b.load(fields, 40, 8), { imm: VM_EXEC }), { imm: 0 }, none);
    const start = b.load(fields, 0, 8);
    f.put(stateAt.mapStart, start);
    f.put(stateAt.mapSize, b.alu('sub', b.load(fields, 8, 8), start));
    f.put(stateAt.mapOffset, b.alu('shl', b.load(fields, 16, 8), { imm: 12 }));
    // Memory without a file is what a compiler made at run time, but for the vdso.
    f.when('eq', b.load(fields, 48, 8), { imm: 0 }, () => {
      const isVdso = b.label();
      b.branch('eq', start, f.get(stateAt.vdso), isVdso);
      f.put(stateAt.file, { imm: jitFile });
      b.jump(keep);
      b.place(isVdso);
      b.store(fields, 24, 8, { imm: 0 });
      b.store(fields, 32, 8, { imm: -1 });
    });
    const number = b.call(bpfHelper.map_lookup_elem, [b.map(maps.files), b.alu('add', fields, { imm: 24 })], 'pointer');
    b.branch('eq', number, { imm: 0 }, fromTable);
    f.put(stateAt.file, b.load(number, 0, 4));
    b.jump(keep);
  } else b.jump(fromTable);

  // What the runtime has read from /proc/PID/maps.
  b.place(fromTable);
  const key = b.newSlot(8, 8, 'pid');
  b.store(b.slotAddress(key), 0, 8, f.get(stateAt.pid));
  const process = b.call(bpfHelper.map_lookup_elem, [b.map(maps.processes), b.slotAddress(key)], 'pointer');
  b.branch('eq', process, { imm: 0 }, unknown);
  const current = b.label();
  const stamp = b.load(process, 0, 8);
  f.when('eq', stamp, { imm: 0 }, () => {
    // The first use after it was read says which memory it speaks of.
    b.store(process, 8, 8, f.get(stateAt.executablePages));
    b.store(process, 0, 8, f.get(stateAt.mm));
    b.jump(current);
  });
  b.branch('ne', stamp, f.get(stateAt.mm), unknown);
  b.branch('ne', b.load(process, 8, 8), f.get(stateAt.executablePages), unknown);
  b.place(current);
  // The last mapping that starts at or before the pc.
  const base = b.reg();
  const length = b.reg();
  f.assign(base, { imm: 0 });
  f.assign(length, b.load(process, 16, 4));
  b.branch('eq', length, { imm: 0 }, unknown);
  const searched = b.label();
  const entryAt = (index: Reg): Reg => {
    const masked = b.alu('and', index, { imm: mostMappings - 1 });
    return b.alu('add', process, b.alu('mul', masked, { imm: mappingBytes }));
  };
  for (let round = 0; round < Math.log2(mostMappings); round++) {
    b.branch('ule', length, { imm: 1 }, searched);
    const half = b.alu('lshr', length, { imm: 1 });
    const middle = b.load(entryAt(b.alu('add', base, half)), processHead, 8);
    const behind = b.alu('ashr', b.alu('sub', look, middle), { imm: 63 });
    f.assign(base, b.alu('add', base, b.alu('and', half, b.alu('xor', behind, { imm: -1 }))));
    f.assign(length, b.alu('sub', length, half));
  }
  b.place(searched);
  const entry = entryAt(base);
  const first = b.load(entry, processHead, 8);
  const size = b.alu('sub', b.load(entry, processHead + 8, 8), first);
  b.branch('uge', b.alu('sub', look, first), size, unknown);
  f.put(stateAt.mapStart, first);
  f.put(stateAt.mapSize, size);
  f.put(stateAt.mapOffset, b.load(entry, processHead + 16, 4));
  const number = b.load(entry, processHead + 20, 4);
  f.put(stateAt.file, number);
  b.branch('eq', number, { imm: 0 }, unknown);

  b.place(keep);
  b.store(cached, at('mm'), 8, { imm: 0 });
  b.store(cached, at('start'), 8, f.get(stateAt.mapStart));
  b.store(cached, at('size'), 8, f.get(stateAt.mapSize));
  b.store(cached, at('offset'), 8, f.get(stateAt.mapOffset));
  b.store(cached, at('file'), 8, f.get(stateAt.file));
  b.store(cached, at('executablePages'), 8, f.get(stateAt.executablePages));
  b.store(cached, at('mm'), 8, f.get(stateAt.mm));
  b.return({ imm: 0 });

  // Nobody knows: the runtime is told, not too often. A note: u64 process, u64 address.
  b.place(unknown);
  if (prepared !== true) {
    const asked = b.newSlot(8, 8, 'asked');
    const pid = b.slotAddress(asked);
    b.store(pid, 0, 8, f.get(stateAt.pid));
    const now = b.call(bpfHelper.ktime_get_ns, []);
    const last = b.call(bpfHelper.map_lookup_elem, [b.map(maps.asked), pid], 'pointer');
    const tell = b.label();
    const told = b.label();
    const note = b.newSlot(16, 8, 'note');
    const words = b.slotAddress(note);
    b.store(words, 0, 8, b.alu('add', now, { imm: noteEveryNs }));
    b.branch('eq', last, { imm: 0 }, tell);
    const quiet = b.load(last, 0, 8);
    b.branch('uge', now, quiet, tell);
    // A process of which nothing can be learned is asked about ever more seldom: its stacks are not saved.
    b.branch('ugt', b.alu('sub', quiet, now), { imm: longestPatience }, told);
    f.put(stateAt.lacking, { imm: 1 });
    b.jump(told);
    b.place(tell);
    f.put(stateAt.lacking, { imm: 1 });
    b.call(bpfHelper.map_update_elem, [b.map(maps.asked), pid, words, { imm: 0 }]);
    b.store(words, 0, 8, f.get(stateAt.pid));
    b.store(words, 8, 8, look);
    b.call(bpfHelper.ringbuf_output, [b.map(maps.notes), words, { imm: 16 }, { imm: 0 }]);
    b.place(told);
  }
  b.return({ imm: 0 });
  b.place(none);
  b.return({ imm: 1 });
  return { ...f.b.finish(), global: true };
}

/** bpf_find_vma's callback: what is needed of the vm_area_struct, into seven words. */
export function vmaCallback(layout: KernelLayout): IrFunction {
  const f = new Writer('unwind_vma', ['pointer', 'pointer', 'pointer']);
  const { b } = f;
  const area = b.parameter(1);
  const out = b.parameter(2);
  b.store(out, 0, 8, b.load(area, layout.vma.start, 8));
  b.store(out, 8, 8, b.load(area, layout.vma.end, 8));
  b.store(out, 16, 8, b.load(area, layout.vma.pgoff, 8));
  b.store(out, 40, 8, b.load(area, layout.vma.flags, 8));
  const file = b.load(area, layout.vma.file, 8, 'pointer');
  f.when('ne', file, { imm: 0 }, () => {
    b.store(out, 48, 8, { imm: 1 });
    const inode = b.load(file, layout.fileInode, 8, 'pointer');
    b.store(out, 24, 8, b.load(inode, layout.inode.number, 8));
    const superBlock = b.load(inode, layout.inode.superBlock, 8, 'pointer');
    b.store(out, 32, 8, b.load(superBlock, layout.device, 4));
  });
  b.return({ imm: 0 });
  return f.b.finish();
}

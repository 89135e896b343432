/** Where the unwinder's functions keep things, and where the kernel keeps what they read. */

import { savedBytes } from '../../program/unwind.ts';
import type { Target } from '../../target/target.ts';
import type { Field, Type } from '../../types/model.ts';
import type { TypeSource } from '../../types/source.ts';

type StateField =
  | 'busy'
  | 'count'
  | 'limit'
  | 'end'
  | 'flags'
  | 'hash'
  | 'adjust'
  | 'innermost'
  | 'mapStart'
  | 'mapSize'
  | 'mapOffset'
  | 'file'
  | 'chunkAddress'
  | 'mm'
  | 'executablePages'
  | 'pid'
  | 'guessed'
  | 'trampoline'
  | 'returnInstance'
  | 'vdso'
  | 'word'
  | 'lacking'
  | 'saveSecond'
  | 'saves'
  | 'registers'
  | 'chunk'
  | 'cache'
  | 'memory'
  | 'frames';

/** Four words and the bytes. */
export const memoryNoteBytes: number = 32 + savedBytes;

/**
 * The state of one unwinding, in the map of states: by offset in bytes. Registers are in
 * the order of their DWARF numbers, 16 is rip; `frames` come last.
 */
export const stateAt: Readonly<Record<StateField, number>> = {
  busy: 0,
  count: 8,
  limit: 16,
  /** Number of a StackEnd. */
  end: 24,
  flags: 32,
  hash: 40,
  /** What to take off the pc before a look-up: 1 for a return address. */
  adjust: 48,
  /** 1 while all registers are known, not only those that calls keep. */
  innermost: 56,
  /** The mapping that the last look-up found. */
  mapStart: 64,
  mapSize: 72,
  mapOffset: 80,
  file: 88,
  /** Address of the stack bytes in `chunk`. */
  chunkAddress: 96,
  mm: 104,
  executablePages: 112,
  pid: 120,
  /** Whether the last step followed a frame pointer where rules may exist: 1 in a file with a table, 2 in another one. */
  guessed: 128,
  /** Where a return probe makes functions return to, 1 when there is none. */
  trampoline: 136,
  /** The return_instance to go on from, 0: the task's first. */
  returnInstance: 144,
  vdso: 152,
  /** One word, or a return_instance, read from memory. */
  word: 160,
  registers: 224,
  /** 1 when rules that may exist were not there, and the stack may be saved for user space. */
  lacking: 360,
  /** Of the first state, for all: about which second it is, and how many stacks were saved in it. */
  saveSecond: 368,
  saves: 376,
  chunk: 384,
  cache: 896,
  /** A note of kind `memory`. */
  memory: 896 + 64 * 48,
  frames: 896 + 64 * 48 + memoryNoteBytes,
};

export const chunkBytes = 512;
/** How far below the wanted word a chunk starts: callers' registers lie below the return address. */
export const chunkBelow = 72;
export const cachedMappings = 64;
export const cachedMappingBytes = 48;
export const cachedAt = { mm: 0, executablePages: 8, start: 16, size: 24, offset: 32, file: 40 } as const;

/** Bytes of a state that takes so many frames. */
export const stateBytes = (frames: number): number => Math.ceil((stateAt.frames + 8 * frames) / 64) * 64;

/** Byte offsets in the kernel's structs, from BTF. */
export interface KernelLayout {
  readonly task: { readonly mm: number; readonly utask: number | undefined };
  readonly mm: {
    readonly execVm: number;
    readonly vdso: number;
    readonly startStack: number | undefined;
    readonly xolArea: number | undefined;
  };
  readonly xolVaddr: number;
  readonly utaskReturns: number;
  readonly returns: { readonly stack: number; readonly address: number; readonly next: number; readonly size: number };
  readonly vma: {
    readonly start: number;
    readonly end: number;
    readonly pgoff: number;
    readonly flags: number;
    readonly file: number;
  };
  readonly fileInode: number;
  readonly inode: { readonly number: number; readonly superBlock: number };
  readonly device: number;
}

function find(type: Type | undefined, name: string): { readonly offset: number; readonly field: Field } | undefined {
  if (type?.kind !== 'struct' && type?.kind !== 'union') return undefined;
  for (const field of type.fields()) {
    if (field.name === name) return { offset: field.offset, field };
    if (field.name !== '') continue;
    const inside = find(field.type, name);
    if (inside !== undefined) return { offset: field.offset + inside.offset, field: inside.field };
  }
  return undefined;
}

/** undefined when BTF lacks something without which no stack can be unwound. */
export function kernelLayout(types: TypeSource): KernelLayout | undefined {
  const offset = (struct: string, ...path: readonly string[]): number | undefined => {
    let type = types.find('struct', struct);
    let sum = 0;
    for (const name of path) {
      const found = find(type, name);
      if (found === undefined) return undefined;
      sum += found.offset;
      type = found.field.type;
    }
    return sum;
  };
  const must = (struct: string, ...path: readonly string[]): number => offset(struct, ...path) ?? Number.NaN;
  const stack = offset('return_instance', 'stack');
  const address = offset('return_instance', 'orig_ret_vaddr');
  const next = offset('return_instance', 'next');
  const hasReturns = stack !== undefined && address !== undefined && next !== undefined;
  const xolVaddr = offset('xol_area', 'vaddr');
  const utaskReturns = offset('uprobe_task', 'return_instances');
  const seesReturns = hasReturns && xolVaddr !== undefined && utaskReturns !== undefined;
  const layout: KernelLayout = {
    task: { mm: must('task_struct', 'mm'), utask: seesReturns ? offset('task_struct', 'utask') : undefined },
    mm: {
      execVm: must('mm_struct', 'exec_vm'),
      vdso: must('mm_struct', 'context', 'vdso'),
      startStack: offset('mm_struct', 'start_stack'),
      xolArea: seesReturns ? offset('mm_struct', 'uprobes_state', 'xol_area') : undefined,
    },
    xolVaddr: xolVaddr ?? 0,
    utaskReturns: utaskReturns ?? 0,
    returns: {
      stack: stack ?? 0,
      address: address ?? 0,
      next: next ?? 0,
      size: Math.max(stack ?? 0, address ?? 0, next ?? 0) + 8,
    },
    vma: {
      start: must('vm_area_struct', 'vm_start'),
      end: must('vm_area_struct', 'vm_end'),
      pgoff: must('vm_area_struct', 'vm_pgoff'),
      flags: must('vm_area_struct', 'vm_flags'),
      file: must('vm_area_struct', 'vm_file'),
    },
    fileInode: must('file', 'f_inode'),
    inode: { number: must('inode', 'i_ino'), superBlock: must('inode', 'i_sb') },
    device: must('super_block', 's_dev'),
  };
  const { task, mm, vma, fileInode, inode, device } = layout;
  const needed = [
    task.mm,
    mm.execVm,
    mm.vdso,
    ...Object.values(vma),
    fileInode,
    inode.number,
    inode.superBlock,
    device,
  ];
  return needed.some(Number.isNaN) ? undefined : layout;
}

/** Where the kernel of a target keeps what unwinding reads; or why no stack can be unwound there, as half a sentence. */
export function unwinderLayout(target: Target): KernelLayout | string {
  if (target.arch !== 'x86_64') return `it is made for x86-64, and this is ${target.arch}`;
  const types = target.kernelTypes();
  if (types === undefined) return 'this kernel tells no types (/sys/kernel/btf/vmlinux)';
  return kernelLayout(types) ?? "this kernel's types lack what it reads";
}

/**
 * What the unwinder inside BPF and the runtime that fills its tables agree on. Numbers
 * are little-endian; offsets and sizes are in bytes. x86-64.
 *
 * Code is named by a file's number (given by the runtime, 1 for memory without a file)
 * and the offset in the file. A rule says how the caller's registers are found; a row
 * says from which offset on a rule holds.
 */

/** Bits of a file number; number 0 is no file. */
export const fileBits = 12;
export const mostFiles: number = 2 ** fileBits;
/** Memory that code was put into at run time: frames are found by their frame pointers. */
export const jitFile = 1;

/** Bits of a rule number, shared by all files. */
export const ruleBits = 14;
export const mostRules: number = 2 ** ruleBits;

/**
 * A rule: u8 kind, u8 base, u8 where rbp is, u8 where rbx is, i32 offset, i16 rbp's
 * offset, i16 rbx's offset, i16 extra, u16 zero.
 */
export const ruleBytes = 16;

export const RuleKind = {
  /** Nothing is known here. */
  none: 0,
  /** The outermost frame: the return address is undefined. */
  end: 1,
  /** CFA = base + offset. */
  register: 2,
  /** CFA = [base + offset] + extra. */
  deref: 3,
  /** CFA = base + offset + 8 where (pc & 15) >= extra (a procedure linkage table). */
  plt: 4,
  /** A signal frame of the kernel: all registers are in the ucontext at rsp. */
  signal: 5,
  /** CFA = base + offset; the return address is in the register `extra`. */
  returnRegister: 6,
  /** There is information, of a kind that is not understood. */
  unsupported: 7,
  /** CFA = base + offset, of a call that a signal handler put in: the caller was interrupted, it called nothing. */
  injected: 8,
  /** Code without call frame information that is known to link its frames by rbp. */
  linked: 9,
} as const;

/** Where a register of the caller is. */
export const Saved = {
  /** In the same register. */
  same: 0,
  /** At CFA + offset. */
  cfa: 1,
  /** At rbp + offset, rbp being this frame's. */
  frame: 2,
} as const;

/** Set in a rule's base: a register that calls do not keep, known in the innermost frame only. */
export const volatileBase = 0x80;

/** DWARF numbers of the registers (System V ABI, AMD64 supplement, figure 3.36). */
export const Register = { rax: 0, rbx: 3, rdi: 5, rbp: 6, rsp: 7, rip: 16 } as const;

/**
 * A file's table is an array of blocks. Rows are u16 offset within their page of 32 KiB,
 * u16 rule number, ascending; a page's rows lie in one block, the first at offset 0. The
 * first blocks hold the directory, one entry a page: u32 block, u16 first row, u16 rows.
 */
export const blockBytes = 16384;
export const rowBytes = 4;
export const rowsPerBlock: number = blockBytes / rowBytes;
export const pageBits = 15;
export const directoryBytes = 8;
export const entriesPerBlock: number = blockBytes / directoryBytes;

/** Rules that were looked up lately, one u64 each: file number, offset, rule number. */
export const cacheBits = 15;

/** Key of the map of files: u64 inode, u32 device as the kernel has it (major << 20 | minor), u32 zero. */
export const fileKeyBytes = 16;

/**
 * A process's executable mappings, by its id: u64 mm (0: to be filled in), u64 pages of
 * executable memory, u32 count, u32 zero; then `mostMappings` times u64 start, u64 end,
 * u32 offset in the file, u32 file number, ascending.
 */
export const processHead = 24;
export const mappingBytes = 24;
export const mostMappings = 512;
export const processBytes: number = processHead + mappingBytes * mostMappings;

/**
 * Records of the ring in which the unwinder asks for what it lacks: u32 process, u32 kind.
 * `lack`: u64 address whose file has no table yet. `registers`: u64 id of a stack that could
 * not be finished for that, u64 time (CLOCK_MONOTONIC nanoseconds), all registers by DWARF number (u64), u64 where return probes
 * make functions return to, and `mostReturns` times u64 place in the stack, u64 address that
 * such a probe took from there (zeros behind the last). `memory`: u64 id, u64 address, u64
 * sum, and `savedBytes` bytes of that stack, one piece after the other from the stack
 * pointer on to the stack's end; `same`: without the bytes, those of that address and sum
 * were handed over before. User space finishes the stack when it has read the rules.
 */
export const NoteKind = { lack: 0, registers: 1, memory: 2, same: 3 } as const;
export const savedRegisters = 17;
export const mostReturns = 16;
/** Bytes of a stack in one record; a page is a multiple of it. */
export const savedBytes = 1024;
/** Pieces of a stack that are looked at; pages that are absent count as one. */
export const mostSaved = 256;

/**
 * Why a stack ends where it does. `unfinished`: it was saved for user space to finish; its
 * id stands behind its frames, or is its key where it is kept.
 */
export const stackEnds = [
  'complete',
  'depth',
  'no mapping',
  'no rule',
  'unsupported rule',
  'page not present',
  'not indexed',
  'no progress',
  'no user registers',
  'busy',
  'unfinished',
] as const;
export type StackEnd = (typeof stackEnds)[number];
/** Numbers of ends are below this power of two. */
export const endNumbers = 16;
export const endNumber = (end: StackEnd): number => stackEnds.indexOf(end);

/** Frames that a stack has at most unless the script says otherwise (sysctl kernel.perf_event_max_stack's default). */
export const defaultFrames = 127;

/** Set beside the reason: frame pointers were followed in code that rules may exist for. */
export const guessedFlag = 1;

/**
 * What `insitu calls` has in the kernel, as both sides know it: the programs that
 * compiler/calls makes and the runtime that reads their maps. All numbers are little-endian.
 *
 * One program stands at every place of a function that matters: its first instruction, and
 * each instruction that leaves it. The cookie of a place tells which. No return address is
 * ever changed, unless a function is followed by a uretprobe, so that exceptions, longjmp()
 * and other unwinders find the stack as the program made it.
 */

/** What a place is. `conditional`: a conditional jump out of the function, taken as the flags say. */
export const Site = { entry: 0, ret: 1, jump: 2, conditional: 3, uretprobe: 4 } as const;
/** Added to the kind of a place that is the first instruction, too: of a function that only returns or jumps. */
export const siteBegins = 8;
export type SiteKind = (typeof Site)[keyof typeof Site];

/** Bits of a cookie: function, condition code of a jump, kind, and generation of the links above them. */
export const cookieBits = { function: 24, condition: 4, kind: 4 } as const;
export const mostFunctions = 20_000;

/** The cookie of a place; below 2^53. */
export function cookieOf(generation: number, kind: number, condition: number, fn: number): number {
  return generation * 2 ** 32 + kind * 2 ** 28 + condition * 2 ** 24 + fn;
}

/** Frames that a thread's stack of calls holds; deeper calls are counted only. */
export const mostFrames = 128;
export const mostThreads = 512;

/** Value of `calls_threads`, by thread id (u32): a head, then frames, outermost first. */
export const threadAt = {
  /** u32: frames in use. */
  depth: 0,
  /** u32 0, then u64 of pid and tid as bpf_get_current_pid_tgid gives them. */
  pidTgid: 8,
  /** char[16]. */
  comm: 16,
  /** u64: outermost calls so far, for --sample. */
  outermost: 32,
  /** u64: where the stack pointer was when a function was last left by a jump; 0 for not. */
  jumpedAt: 40,
  frames: 64,
} as const;

/** Bytes of a text that are kept. */
export const textBytes = 56;
/** i32 bytes kept or -errno, u32 its whole length (0 when not known), the bytes. */
export const textSlot: number = 8 + textBytes;
/** Texts of arguments that are taken of a call, besides that of its result. */
export const mostTexts = 3;

/**
 * A frame, which is also the record that a finished call leaves in the ring buffer, in the
 * order in which calls end: callees before their callers.
 */
export const frameAt = {
  /** u64 CLOCK_MONOTONIC nanoseconds. */
  entered: 0,
  /** u64: where the return address lies. */
  sp: 8,
  /** u64 nanoseconds spent in calls that were followed. */
  below: 16,
  /** u32 */
  fn: 24,
  /** u32 FrameFlag. */
  flags: 28,
  /** u32: calls right below that have no record of their own. */
  hidden: 32,
  /** u32: frames above this one. */
  depth: 36,
  /** u64 */
  left: 40,
  /** u64 rax and rdx as the function left them. */
  result: 48,
  result2: 56,
  /** u32 Leaving. */
  how: 64,
  /** u32 tid, u32 pid. */
  tid: 68,
  pid: 72,
  /** char[16] of the thread, in the record only. */
  comm: 80,
  /** u64[6] arguments in registers, u64[2] on the stack. */
  words: 96,
  texts: 160,
} as const;

/** Bytes of a frame with so many texts: that of the result, then those of arguments. */
export const frameBytes = (texts: number): number => frameAt.texts + textSlot * texts;

export const FrameFlag = {
  /** Has, or will have, a record. */
  shown: 1,
  /** The function was active further up already. */
  recursive: 2,
  /** Was jumped to by a function whose frame it took over. */
  jumpedTo: 4,
  /** Its end comes by a uretprobe. */
  uretprobe: 8,
} as const;

/** How a call ended. `gone`: its frame was no longer there: an exception, longjmp, or an end that was not seen. */
export const Leaving = { returned: 0, jumped: 1, gone: 2 } as const;

/** Value of `calls_functions`, by number. */
export const functionAt = {
  /** u32: FunctionFlag. */
  flags: 0,
  /** u32: bytes from the return address to the first argument word on the stack that is wanted, 0 for none. */
  stackWords: 4,
  /** TextSpecs of 8 bytes: that of the result, then those of arguments. */
  texts: 8,
  size: 40,
} as const;

/**
 * Where a text is: u8 kind, u8 word, u8 length's word, u8 offset of the address, u8 offset of
 * the length. A word is an index into frameAt.words; of the result 0 is rax and 1 rdx.
 */
export const TextKind = {
  none: 0,
  /** NUL-terminated, at the word. */
  string: 1,
  /** Address and length are words. */
  counted: 2,
  /** An object at the word that holds address and length. */
  object: 3,
  /** libc++'s std::string at the word. */
  short: 4,
} as const;

/** Value of `calls_stats`, by function: u64 but for the histogram. */
export const statsAt = {
  calls: 0,
  /** Ended, in whatever way. */
  ended: 8,
  /** Nanoseconds of calls that had no call of the same function above them. */
  total: 16,
  /** Nanoseconds less those in calls that were followed. */
  self: 24,
  gone: 32,
  jumped: 40,
  /** u32[histogramBuckets] of durations. */
  histogram: 64,
} as const;

/** Eight buckets for each power of two. */
export const histogramBits = 3;
export const histogramBuckets = 320;
export const statsBytes: number = statsAt.histogram + 4 * histogramBuckets;

/** Smallest duration of a bucket, in nanoseconds; bucket b ends where b + 1 begins. */
export function bucketStart(bucket: number): number {
  const per = 1 << histogramBits;
  if (bucket < per) return bucket;
  const power = Math.floor(bucket / per) + histogramBits - 1;
  return (per + (bucket % per)) * 2 ** (power - histogramBits);
}

/** Value of the one element of `calls_control`: u64 each. */
export const controlAt = {
  /** Cookies of another generation do nothing. */
  generation: 0,
  /** Records that a second may have. */
  budget: 8,
  /** Each so many-th outermost call is shown. */
  sample: 16,
  /** Frames that are shown. */
  depth: 24,
  /** Nanoseconds: shorter calls have no record. */
  least: 32,
  /** The present second: its start, and records in it. */
  windowStart: 64,
  windowCount: 72,
  /** Records that found no room. */
  lost: 128,
  /** Outermost calls that have no record. */
  hidden: 136,
  /** Ends of calls whose begin was not seen. */
  unmatched: 144,
  /** Calls below mostFrames. */
  tooDeep: 152,
  /** Calls of threads for which there was no room. */
  noThread: 160,
  /** The stack pointer went to another stack (fibers, signal stacks). */
  otherStack: 168,
  size: 192,
} as const;

/** Nanoseconds that a budget is for. */
export const budgetWindow = 1_000_000_000;

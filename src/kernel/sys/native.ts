/**
 * The one door from JavaScript to the kernel: syscall(2) through koffi.
 *
 * Everything else in sys/ prepares bytes and calls `systemCall`. koffi is loaded at the
 * first call, and as its bare addon: the package's own loader costs 8 ms, the addon 2.
 * syscall(2) is used in place of libc's wrappers because most of what a tracer calls
 * (bpf, perf_event_open) has none.
 */
import { createRequire } from 'node:module';
import { endianness } from 'node:os';
import { MachineError } from '../../base/errors.ts';
import { lazy } from '../../base/lazy.ts';
import { CallError } from './errno.ts';

type Pointer = number | bigint;
type SyscallArguments = [nr: number, a: Pointer, b: Pointer, c: Pointer, d: Pointer, e: Pointer, f: Pointer];
type Syscall = {
  (...words: SyscallArguments): number | bigint;
  async(...words: [...SyscallArguments, done: (error: Error | null, result: number | bigint) => void]): void;
};
interface Koffi {
  load(path: string | null): { func(definition: string): unknown };
  errno(): number;
  address(value: ArrayBufferView): bigint;
  view(address: bigint, size: number): ArrayBuffer;
  /** uv_poll_t; not in koffi's manual, therefore the exact version in package.json. */
  node: { poll(fd: number, options: { readable: true }, callback: () => void): PollHandle };
}

export interface PollHandle {
  close(): void;
}

const native = lazy(() => {
  if (process.platform !== 'linux' || (process.arch !== 'x64' && process.arch !== 'arm64') || endianness() !== 'LE') {
    throw new MachineError(`insitu runs on Linux on x86-64 and arm64, not on ${process.platform} ${process.arch}`, {
      code: 'E_PLATFORM',
    });
  }
  // The bundle is CommonJS, the tests and the library are ES modules.
  const require = createRequire(typeof __filename === 'string' ? __filename : import.meta.url);
  let koffi: Koffi;
  try {
    koffi = require(`@koromix/koffi-linux-${process.arch}/linux_${process.arch}/koffi.node`) as Koffi;
  } catch {
    try {
      koffi = require('koffi') as Koffi; // musl, or a package manager that hides nested packages
    } catch (cause) {
      throw new MachineError('cannot load koffi, through which insitu calls the kernel', {
        code: 'E_KOFFI',
        hints: ['run `npm ci` in the directory that insitu is installed in'],
        cause,
      });
    }
  }
  const libc = koffi.load(null);
  return { koffi, syscall: libc.func('long syscall(long, long, long, long, long, long, long)') as Syscall };
});

export type CallName =
  | 'bpf'
  | 'perf_event_open'
  | 'mmap'
  | 'munmap'
  | 'close'
  | 'getppid'
  | 'mount'
  | 'clock_gettime'
  | 'pidfd_open'
  | 'rt_sigprocmask';

/** Numbers of the system calls in use; x86-64 from asm/unistd_64.h, arm64 from asm-generic/unistd.h. */
const numbers: Record<CallName, readonly [x64: number, arm64: number]> = {
  bpf: [321, 280],
  perf_event_open: [298, 241],
  mmap: [9, 222],
  munmap: [11, 215],
  close: [3, 57],
  getppid: [110, 173],
  mount: [165, 40],
  clock_gettime: [228, 113],
  pidfd_open: [434, 434],
  rt_sigprocmask: [14, 135],
};

const column = process.arch === 'arm64' ? 1 : 0;

/**
 * Buffers whose address the kernel is about to get. V8 may free an ArrayBuffer as soon
 * as no variable holds it any more, also when its address was taken.
 */
let held: ArrayBufferView[] = [];

/** The address of a buffer's first byte, good for the next system call only. */
export function addressOf(buffer: ArrayBufferView): number {
  if (buffer.byteLength === 0) return 0;
  held.push(buffer);
  return Number(native().koffi.address(buffer));
}

/** The address of a buffer that the caller keeps alive itself. */
export function addressOfKept(buffer: ArrayBufferView): number {
  return Number(native().koffi.address(buffer));
}

/** Does a system call; returns its result, or minus errno when it failed. */
export function trySystemCall(name: CallName, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0): number {
  const { syscall, koffi } = native();
  const result = Number(syscall(numbers[name][column], a, b, c, d, e, f));
  if (held.length > 0) held = [];
  return result === -1 ? -koffi.errno() : result;
}

/** Does a system call; throws a CallError that names `what` when it fails. */
export function systemCall(what: string, name: CallName, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0): number {
  const result = trySystemCall(name, a, b, c, d, e, f);
  if (result < 0) throw new CallError(what, -result);
  return result;
}

const SIG_SETMASK = 2;
/** All signals but those that an instruction brings upon itself: SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS. */
const putOff = [4, 5, 7, 8, 11, 31].reduce((mask, signal) => mask & ~(1n << BigInt(signal - 1)), 2n ** 64n - 1n);

/** Runs `act`, which must not wait, while this thread takes no signals; they come afterwards, or to another thread. */
export function withoutSignals<T>(act: () => T): T {
  const before = new BigUint64Array(1);
  const mask = addressOf(BigUint64Array.of(putOff));
  systemCall('rt_sigprocmask', 'rt_sigprocmask', SIG_SETMASK, mask, addressOf(before), before.byteLength);
  try {
    return act();
  } finally {
    trySystemCall('rt_sigprocmask', SIG_SETMASK, addressOf(before), 0, before.byteLength);
  }
}

/** Closes a file descriptor on a thread of libuv's pool: for those whose release waits for the kernel. */
export function closeOnThread(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null): void => (error ? reject(error) : resolve());
    native().syscall.async(numbers.close[column], fd, 0, 0, 0, 0, 0, done);
  });
}

/** What threads are reading. */
const inUse = new Set<readonly ArrayBufferView[]>();

/**
 * Does a system call on a thread of libuv's pool; gives its result, -1 when it failed
 * (the thread's errno is out of reach). `buffers` are what the arguments point to.
 */
export function systemCallOnThread(
  buffers: readonly ArrayBufferView[],
  name: CallName,
  [a = 0, b = 0, c = 0, d = 0, e = 0]: readonly number[],
): Promise<number> {
  inUse.add(buffers);
  return new Promise((resolve, reject) => {
    native().syscall.async(numbers[name][column], a, b, c, d, e, 0, (error, result) => {
      inUse.delete(buffers);
      if (error) reject(error);
      else resolve(Number(result));
    });
  });
}

/** Memory at an address as an ArrayBuffer, without a copy. Make one view a mapping. */
export function viewMemory(address: number, size: number): ArrayBuffer {
  return native().koffi.view(BigInt(address), size);
}

/** Watches a file descriptor for input in the event loop. Use watchFd of poll.ts. */
export function pollFd(fd: number, callback: () => void): PollHandle {
  return native().koffi.node.poll(fd, { readable: true }, callback);
}

/**
 * Waiting for a file descriptor of the kernel's (ring buffer, perf event) in the event
 * loop's own epoll, through libuv's uv_poll.
 *
 * Measured against a blocking epoll_wait on a pool thread: half the latency (no second
 * wake-up from thread to thread), no pool thread taken from file reads for as long as
 * tracing lasts, and process.exit() does not hang on a thread that waits for ever.
 */
import { pollFd } from './native.ts';

export interface Watch {
  /** Ends the watching; close the descriptor after it. */
  close(): void;
}

/** koffi closes a handle that the garbage collector finds. */
const live = new Set<object>();

/**
 * Calls back whenever the descriptor has input, as an ordinary turn of the event loop:
 * level-triggered, so a call back that leaves input there gets another one after
 * timers and other input have had theirs. Keeps the process alive until closed.
 */
export function watchFd(fd: number, callback: () => void): Watch {
  let open = true;
  // koffi calls back outside of Node's own bookkeeping (no microtasks, exceptions are
  // lost); an immediate runs right after, in the same turn, with all of it.
  let scheduled = false;
  const handle = pollFd(fd, () => {
    if (scheduled || !open) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      if (open) callback();
    });
  });
  live.add(handle);
  return {
    close() {
      if (!open) return;
      open = false;
      live.delete(handle);
      handle.close();
    },
  };
}

/** The end of a process that is not our child. */
import { MachineError } from '../base/errors.ts';
import { closeFd } from '../kernel/sys/bpfcall.ts';
import { CallError } from '../kernel/sys/errno.ts';
import { type Watch, watchFd } from '../kernel/sys/poll.ts';
import { pidfdOpen } from '../kernel/sys/process.ts';

export class ProcessWatch {
  readonly #fd: number;
  #watch: Watch | undefined;
  #open = true;

  /** Takes hold of a process, so that another one under the same pid is never taken for it. Throws when there is none. */
  constructor(pid: number) {
    try {
      this.#fd = pidfdOpen(pid);
    } catch (error) {
      if (!(error instanceof CallError) || (error.code !== 'ESRCH' && error.code !== 'EINVAL')) throw error;
      const what = error.code === 'ESRCH' ? `there is no process ${pid}` : `${pid} is a thread, not a process`;
      throw new MachineError(what, {
        code: error.code,
        hints: ['`ps -e` lists the processes; inside of a container a process has another number'],
        cause: error,
      });
    }
  }

  /** Calls back once, when the process has ended, or at once. Keeps this process alive until then, or close(). */
  onEnd(callback: () => void): void {
    this.#watch = watchFd(this.#fd, () => {
      this.close();
      callback();
    });
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#watch?.close();
    closeFd(this.#fd);
  }
}

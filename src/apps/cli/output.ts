/**
 * Where a trace's text goes: standard output or a file, written whole and in order.
 *
 * Writes are synchronous: process.stdout buffers without bound when its reader is
 * slow, and what it still holds is lost when the process ends. The kernel's ring
 * buffer is the one place where events wait.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { MachineError } from '../../base/errors.ts';

export type Buffering = 'none' | 'line' | 'full';

/** Bytes that `full` buffering gathers before a write. */
const fullBuffer = 1 << 16;
/** How long to wait before a pipe that is full is tried again, in milliseconds. */
const retryAfter = 1;

/** The reader of the output has gone away: nothing more can be said, and nobody is there to hear an error. */
export class ClosedOutput extends Error {}

export class Output {
  readonly #fd: number;
  /** undefined: standard output. */
  readonly #path: string | undefined;
  readonly #buffering: Buffering;
  /** The option that named the file. */
  readonly #option: string;
  #pending = '';

  /** Opens `path`, emptying it, or takes standard output. Throws a MachineError. */
  constructor(path: string | undefined, buffering: Buffering, option = '-o') {
    this.#path = path;
    this.#option = option;
    this.#buffering = buffering;
    if (path === undefined) {
      this.#fd = 1;
      return;
    }
    try {
      this.#fd = openSync(path, 'w', 0o644);
    } catch (cause) {
      throw new MachineError(`cannot write to ${path}: ${reason(cause)}`, {
        code: codeOf(cause),
        hints: [`name a file in a folder that exists and that you may write to: ${option} FILE`],
        cause,
      });
    }
  }

  /** Writes text, at once or when its turn comes. Throws ClosedOutput or a MachineError. */
  write(text: string): void {
    if (text === '') return;
    this.#pending += text;
    if (this.#buffering === 'none' || this.#pending.length >= fullBuffer) this.#send();
  }

  /** Writes bytes, at once. Throws ClosedOutput or a MachineError. */
  writeBytes(bytes: Uint8Array): void {
    this.#send();
    this.#sendBytes(bytes);
  }

  /** Called when no more text is at hand for the moment. */
  rest(): void {
    if (this.#buffering !== 'full') this.#send();
  }

  close(): void {
    try {
      this.#send();
    } finally {
      if (this.#path !== undefined) closeSync(this.#fd);
    }
  }

  #send(): void {
    if (this.#pending === '') return;
    const bytes = Buffer.from(this.#pending);
    this.#pending = '';
    this.#sendBytes(bytes);
  }

  #sendBytes(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      try {
        at += writeSync(this.#fd, bytes, at);
      } catch (cause) {
        const code = codeOf(cause);
        if (code === 'EAGAIN')
          pause(retryAfter); // somebody made the pipe non-blocking
        else if (code === 'EPIPE') throw new ClosedOutput();
        else throw this.#failure(cause);
      }
    }
  }

  #failure(cause: unknown): MachineError {
    const code = codeOf(cause);
    const place = this.#path ?? 'standard output';
    return new MachineError(`cannot write to ${place}: ${reason(cause)}`, {
      code,
      hints:
        code === 'ENOSPC'
          ? [`make room on that file system, or name a file on another one: ${this.#option} FILE`]
          : code === 'EBADF'
            ? [`standard output is closed: redirect it, or name a file: ${this.#option} FILE`]
            : [],
      cause,
    });
  }
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'EIO';

/** The text of a Node error without its code and call: `no space left on device`. */
const reason = (error: unknown): string => {
  const { message } = error as Error;
  return /^[A-Z0-9_]+: (.*?)(?:, \w+(?: '.*')?)?$/.exec(message)?.[1] ?? message;
};

const cell = new Int32Array(new SharedArrayBuffer(4));
function pause(milliseconds: number): void {
  Atomics.wait(cell, 0, 0, milliseconds);
}

/** On standard output, also when the events go to a file. */
export function say(text: string): void {
  const output = new Output(undefined, 'none');
  output.write(text);
  output.close();
}

/** When this variable is set, it is printed on a line of its own once all probes are attached: others' test suites wait for it. */
const notifyVariable = '__BPFTRACE_NOTIFY_PROBES_ATTACHED';

export function notifyAttached(): void {
  if (process.env[notifyVariable] !== undefined) say(`${notifyVariable}\n`);
}

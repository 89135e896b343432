/**
 * The command of -c: started, and held before its first instruction until every probe
 * is attached.
 *
 * A shell reads one line from an extra pipe and then execs the command, which so keeps
 * its pid, and gets its arguments, environment, standard streams and signals as if
 * started from that shell (which leaves out variables whose names are no identifiers). setpriv asks the kernel to end it when the tracer ends, also by
 * SIGKILL (prctl(2), PR_SET_PDEATHSIG, which survives exec).
 *
 * It has a session and a process group of its own (setsid(2)): Ctrl-C at the terminal
 * reaches the tracer alone, which passes it on, once. Being in another session it may read
 * a terminal on its standard input although it is not in the foreground there (tty(4):
 * job control is for the session that the terminal belongs to).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import type { Writable } from 'node:stream';
import { MachineError } from '../../base/errors.ts';
import { splitWords } from './words.ts';

/** How a command ended: exactly one is not null. */
export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ChildOptions {
  /** Told when something does not hold on this machine. */
  readonly onWarning?: (message: string) => void;
  /** For the command; the tracer's own unless given. */
  readonly environment?: NodeJS.ProcessEnv;
}

/**
 * Waits on descriptor 3, closes it, becomes the command. `read` alone would be left by
 * a closed pipe with status 1, when the tracer died: then nothing runs.
 */
const gate = `IFS= read -r _ <&3 || exit 125; exec 3<&-; exec "$@"`;

export class HeldChild {
  readonly pid: number;
  /** The words that are run, the first as a path. */
  readonly command: readonly string[];
  readonly exited: Promise<ChildExit>;
  readonly #process: ChildProcess;
  #ended: ChildExit | undefined;
  #started = false;

  constructor(child: ChildProcess, pid: number, command: readonly string[]) {
    this.#process = child;
    this.pid = pid;
    this.command = command;
    this.exited = new Promise((settle) => {
      child.once('exit', (code, signal) => {
        this.#ended = { code, signal };
        settle(this.#ended);
      });
    });
  }

  /** How it ended, undefined while it runs. */
  get ended(): ChildExit | undefined {
    return this.#ended;
  }

  /** Lets the command run. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#gate?.end('\n');
  }

  /** Sends a signal to the command's process group; ends a command that was never started. */
  kill(signal: NodeJS.Signals = 'SIGTERM'): void {
    if (this.#ended !== undefined) return;
    try {
      process.kill(-this.pid, signal);
    } catch {
      // It has ended, and is about to be told; or it has left its group.
      this.#process.kill(signal);
    }
  }

  get #gate(): Writable | undefined {
    return this.#process.stdio[3] as Writable | undefined;
  }
}

/** Starts a command, held. Throws a MachineError when there is no such program, before anything runs. */
export async function holdCommand(command: string, options: ChildOptions = {}): Promise<HeldChild> {
  const words = splitWords(command);
  const [name, ...args] = words;
  if (name === undefined) throw new MachineError('the command of -c is empty', { code: 'E_NO_COMMAND' });
  const environment = options.environment ?? process.env;
  const program = findProgram(name, environment['PATH'] ?? '');
  const setpriv = tryFind('setpriv', process.env['PATH'] ?? '');
  if (setpriv === undefined) {
    options.onWarning?.('setpriv (util-linux) is not installed: the command goes on when insitu is killed by SIGKILL');
  }
  // The name goes on as it was given: what the program sees as its argv[0].
  const shell = ['/bin/sh', '-c', gate, 'insitu', ...words];
  const argv = setpriv === undefined ? shell : [setpriv, '--pdeathsig', 'KILL', '--', ...shell];
  const child = spawn(argv[0] as string, argv.slice(1), {
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    env: environment,
    detached: true,
  });
  // A command that died before start() breaks the pipe; `exited` tells.
  (child.stdio[3] as Writable).on('error', () => {});
  await new Promise<void>((settle, reject) => {
    child.once('spawn', settle);
    child.once('error', (cause) => {
      reject(new MachineError(`cannot start ${name}: ${cause.message}`, { code: 'E_SPAWN', cause }));
    });
  });
  return new HeldChild(child, child.pid as number, [program, ...args]);
}

/** As execvp(3) looks: a name with a slash is a path, others are looked for in PATH. */
export function findProgram(name: string, path: string): string {
  if (name.includes('/')) {
    const problem = whyNotExecutable(name);
    if (problem !== undefined) {
      const hint = 'a path is taken from the current folder; a bare name is looked for in PATH';
      throw new MachineError(`cannot run ${name}: ${problem}`, { code: 'E_NOT_EXECUTABLE', hints: [hint] });
    }
    return resolve(name);
  }
  const found = tryFind(name, path);
  if (found !== undefined) return found;
  throw new MachineError(`there is no program ${name} in PATH`, { code: 'ENOENT', hints: [`PATH is ${path}`] });
}

function tryFind(name: string, path: string): string | undefined {
  return path
    .split(delimiter)
    .map((folder) => join(folder === '' ? '.' : folder, name))
    .find((file) => whyNotExecutable(file) === undefined);
}

function whyNotExecutable(file: string): string | undefined {
  try {
    if (!statSync(file).isFile()) return 'it is not a file';
    accessSync(file, constants.X_OK);
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return 'there is no such file';
    return 'it is not executable';
  }
}

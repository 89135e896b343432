/** One program, looked at by gdb and by insitu at the same system calls. */
import assert from 'node:assert/strict';
import { Running } from '../insitu.ts';
import { Debugged, type GdbOptions, type Stack } from './gdb.ts';

/** insitu's stacks, printed by `print("STACK tid …")`-like lines of the script below. */
export function stackScript(probe: string, filter: string): string {
  return `${probe} ${filter} { printf("BEGIN %d%sEND\\n", tid, ustack(raw)); }`;
}

export interface Printed extends Stack {
  /** `[…]`: why it ends early; '' when it does not. */
  readonly end: string;
}

export function printedStacks(text: string): Printed[] {
  return [...text.matchAll(/^BEGIN (\d+)\n([\s\S]*?)END$/gm)].map(([, tid, body = '']) => {
    const lines = body.split('\n').filter((line) => line !== '');
    const frames = lines.filter((line) => !line.startsWith('['));
    return { tid: Number(tid), frames, end: lines.find((line) => line.startsWith('[')) ?? '' };
  });
}

export interface Compared {
  readonly gdb: readonly Stack[];
  readonly insitu: readonly Printed[];
}

/** Runs `command` under gdb, with insitu's script on its process. */
export async function compare(
  command: readonly string[],
  calls: readonly string[],
  options: Partial<GdbOptions> = {},
): Promise<Compared> {
  const debugged = new Debugged(command, { stop: `syscall ${calls.join(' ')}`, count: 1, ...options });
  let tracer: Running | undefined;
  try {
    const pid = await debugged.pid();
    const probes = calls.map((call) => `tracepoint:syscalls:sys_enter_${call}`).join(', ');
    tracer = new Running(['-p', String(pid), '-e', stackScript(probes, '/pid == $1/'), String(pid)], {
      timeout: options.timeout ?? 60_000,
    });
    await tracer.attached();
    debugged.go();
    const gdb = await debugged.stacks();
    const { stdout, stderr } = await tracer.ended();
    const insitu = printedStacks(stdout);
    assert.ok(gdb.length > 0, `gdb saw no stack:\n${debugged.output}`);
    assert.ok(insitu.length > 0, `insitu saw no stack:\n${stdout}${stderr}`);
    return { gdb, insitu };
  } finally {
    debugged.kill();
    tracer?.child.kill('SIGKILL');
  }
}

/** Each of gdb's stacks is the one that insitu took of the same thread at its same call. */
export function assertSame({ gdb, insitu }: Compared): void {
  const next = new Map<number, number>();
  for (const stack of gdb) {
    const own = insitu.filter(({ tid }) => tid === stack.tid);
    const index = next.get(stack.tid) ?? 0;
    next.set(stack.tid, index + 1);
    const other = own[index];
    assert.ok(other, `insitu has no stack ${index + 1} of thread ${stack.tid}`);
    // Behind an ellipsis gdb knows no more.
    const known = stack.frames.indexOf('…');
    const frames = known < 0 ? other.frames : other.frames.slice(0, known);
    const expected = known < 0 ? stack.frames : stack.frames.slice(0, known);
    assert.deepEqual(frames, expected, `stack ${index + 1} of thread ${stack.tid} ${other.end}`);
  }
}

/**
 * gdb's stack at an instruction and insitu's at probes, in two runs of a program whose
 * addresses are the same in both (no randomisation): gdb's breakpoints and the kernel's
 * would be in each other's way.
 */
export async function compareRuns(
  command: readonly string[],
  location: string,
  script: string,
): Promise<{ readonly gdb: Stack; readonly insitu: readonly Printed[]; readonly errors: string }> {
  const debugged = new Debugged(command, { stop: `break ${location}`, count: 1 });
  await debugged.pid();
  debugged.go();
  const [gdb] = await debugged.stacks();
  assert.ok(gdb, `gdb saw no stack:\n${debugged.output}`);
  const tracer = new Running(['-c', `setarch -R ${command.join(' ')}`, '-e', script]);
  const { stdout, stderr } = await tracer.ended();
  return { gdb, insitu: printedStacks(stdout), errors: stderr };
}

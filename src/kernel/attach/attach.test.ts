import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import type { ProbeSpec } from '../../program/program.ts';
import { hasKprobes, hasUprobeMulti } from '../host/features.ts';
import { onlineCpus } from '../host/machine.ts';
import { loadProgram } from '../load/load.ts';
import { readElement } from '../ring/map.ts';
import {
  bpfProgram,
  countByCookie,
  countersMap,
  countHit,
  countHitOf,
  eventually,
  holderArguments,
  idsNamed,
  linksOf,
  needsRoot,
  returnFive,
  sampleProgram,
} from '../sample.ts';
import { objectId, objectIds } from '../sys/objects.ts';
import { AttachError, attachProbes } from './attach.ts';

const skip = needsRoot;
const inValue = (insn: number) => [{ insn, kind: 'map_value', map: 0, offset: 0 }] as const;
const tracepoint = (category: string, event: string): ProbeSpec => ({
  kind: 'tracepoint',
  category,
  event,
  program: 0,
  name: 0,
});

/** The eight counters. */
function counters(loaded: ReturnType<typeof loadProgram>): number[] {
  const map = loaded.maps[0];
  assert.ok(map);
  return [...new BigUint64Array((readElement(map, new Uint8Array(4)) as Uint8Array).buffer)].map(Number);
}

/** A child that does one step for each line it is sent, and answers each with a line. */
class Stepper {
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  constructor(command: string, args: readonly string[]) {
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    assert.ok(this.#child.stdout);
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }
  get pid(): number {
    return this.#child.pid as number;
  }
  async step(line: string): Promise<string> {
    this.#child.stdin?.write(`${line}\n`);
    return (await this.answer()) ?? '';
  }
  async answer(): Promise<string | undefined> {
    const { value, done } = await this.#answers.next();
    return done === true ? undefined : (value as string);
  }
  end(): void {
    this.#child.kill('SIGKILL');
  }
}

/** Every read of process.ppid is one getppid(2) (uv_os_getppid). */
const ppidReader = `
  require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
    for (let i = 0; i < Number(line); i++) process.ppid;
    console.log('done');
  });
  console.log('ready');`;

test('a tracepoint counts every getppid of a child', { skip, timeout: 20_000 }, async () => {
  const child = new Stepper(process.execPath, ['-e', ppidReader]);
  try {
    assert.equal(await child.answer(), 'ready');
    const program = bpfProgram('TRACEPOINT', countHitOf(child.pid), inValue(3));
    using loaded = loadProgram(sampleProgram([countersMap], [program], [tracepoint('syscalls', 'sys_enter_getppid')]));
    const attachment = await attachProbes(loaded);
    assert.equal(attachment.links, 1);
    await child.step('1234');
    assert.equal(counters(loaded)[0], 1234);
    attachment.close();
    await child.step('50');
    assert.equal(counters(loaded)[0], 1234);
  } finally {
    child.end();
  }
});

test('detach() leaves the event loop running and nothing attached', { skip, timeout: 20_000 }, async () => {
  const events = ['getppid', 'getuid', 'getgid'];
  const program = bpfProgram('TRACEPOINT', countHit, inValue(1));
  const probes = events.map((event) => tracepoint('syscalls', `sys_enter_${event}`));
  using loaded = loadProgram(sampleProgram([countersMap], [program], probes));
  const attachment = await attachProbes(loaded);
  const programId = objectId('PROG', loaded.programs[0]?.fd ?? -1);
  assert.equal(linksOf(programId).length, 3);
  let ended = false;
  const detached = attachment.detach().then(() => {
    ended = true;
  });
  await new Promise((done) => setImmediate(done));
  assert.equal(ended, false);
  await detached;
  assert.deepEqual(linksOf(programId), []);
  attachment.close();
});

test('a raw tracepoint counts too', { skip, timeout: 20_000 }, async () => {
  const child = new Stepper(process.execPath, ['-e', ppidReader]);
  try {
    assert.equal(await child.answer(), 'ready');
    const program = bpfProgram('RAW_TRACEPOINT', countHitOf(child.pid), inValue(3));
    const spec: ProbeSpec = { kind: 'rawtracepoint', event: 'sys_enter', program: 0, name: 0 };
    using loaded = loadProgram(sampleProgram([countersMap], [program], [spec]));
    using _attachment = await attachProbes(loaded);
    await child.step('1000');
    // All system calls: the 1000, and a few for reading and writing lines.
    const count = counters(loaded)[0] as number;
    assert.ok(count > 1000 && count < 1200, `${count}`);
  } finally {
    child.end();
  }
});

const source = `
#include <stdio.h>
__attribute__((noinline)) int one(int x) { __asm__ volatile(""); return x + 1; }
__attribute__((noinline)) int two(int x) { __asm__ volatile(""); return x + 2; }
__attribute__((noinline)) int three(int x) { __asm__ volatile(""); return x + 3; }
int main(void) {
  int n, sum = 0;
  setvbuf(stdout, 0, _IOLBF, 0);
  puts("ready");
  while (scanf("%d", &n) == 1) {
    for (int i = 0; i < n; i++) sum += one(i);
    for (int i = 0; i < 2 * n; i++) sum += two(i);
    for (int i = 0; i < 3 * n; i++) sum += three(i);
    puts("done");
  }
  return sum & 1;
}
`;

const withoutGcc = (() => {
  try {
    execFileSync('gcc', ['--version'], { stdio: 'ignore' });
    return false;
  } catch {
    return 'needs gcc to make a program to probe';
  }
})();

describe('uprobes', { skip: skip || withoutGcc }, () => {
  let folder = '';
  let binary = '';
  const offsets: Record<string, number> = {};

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'insitu-attach-'));
    binary = join(folder, 'steps');
    writeFileSync(`${binary}.c`, source);
    execFileSync('gcc', ['-O1', '-pie', '-fPIE', '-Wl,-z,separate-code', '-o', binary, `${binary}.c`]);
    // File offset = st_value - p_vaddr + p_offset of the executable segment, as readelf tells them.
    const load = /LOAD +0x([0-9a-f]+) 0x([0-9a-f]+) .*R E/.exec(
      execFileSync('readelf', ['-lW', binary], { encoding: 'utf8' }),
    );
    assert.ok(load);
    const shift = Number.parseInt(load[1] as string, 16) - Number.parseInt(load[2] as string, 16);
    for (const line of execFileSync('nm', [binary], { encoding: 'utf8' }).split('\n')) {
      const [address = '', , name = ''] = line.split(' ');
      offsets[name] = Number.parseInt(address, 16) + shift;
    }
  });
  after(() => rmSync(folder, { recursive: true }));

  const probesOf = (kind: 'uprobe' | 'uretprobe', more: { path?: string; pid?: number } = {}): ProbeSpec[] =>
    ['one', 'two', 'three'].map((symbol, i) => ({
      kind,
      path: binary,
      offset: offsets[symbol] as number,
      symbol,
      program: 0,
      name: i + 1,
      ...more,
    }));
  const names = ['', 'uprobe:one', 'uprobe:two', 'uprobe:three', 'uprobe:bad'];
  const counting = () => bpfProgram('KPROBE', countByCookie, inValue(3));

  for (const uprobeMulti of [true, false]) {
    const way = uprobeMulti ? 'one uprobe_multi link' : 'perf events';
    for (const kind of ['uprobe', 'uretprobe'] as const) {
      test(`${kind}: exact counts by cookie through ${way}`, { timeout: 20_000 }, async (t) => {
        if (uprobeMulti && !hasUprobeMulti()) return t.skip('this kernel has no uprobe_multi (Linux 6.6)');
        const child = new Stepper(binary, []);
        try {
          assert.equal(await child.answer(), 'ready');
          using loaded = loadProgram(sampleProgram([countersMap], [counting()], probesOf(kind), names), {
            uprobeMulti,
          });
          const attachment = await attachProbes(loaded);
          assert.equal(attachment.links, uprobeMulti ? 1 : 3);
          await child.step('100');
          assert.deepEqual(counters(loaded), [0, 100, 200, 300, 0, 0, 0, 0]);
          attachment.close();
          await child.step('100');
          assert.deepEqual(counters(loaded), [0, 100, 200, 300, 0, 0, 0, 0]);
        } finally {
          child.end();
        }
      });
    }

    test(`only the process asked for, through ${way}`, { timeout: 20_000 }, async () => {
      const wanted = new Stepper(binary, []);
      const other = new Stepper(binary, []);
      try {
        assert.equal(await wanted.answer(), 'ready');
        assert.equal(await other.answer(), 'ready');
        const probes = probesOf('uprobe', { pid: wanted.pid });
        using loaded = loadProgram(sampleProgram([countersMap], [counting()], probes, names), { uprobeMulti });
        using _attachment = await attachProbes(loaded);
        await other.step('7');
        await wanted.step('5');
        assert.deepEqual(counters(loaded), [0, 5, 10, 15, 0, 0, 0, 0]);
      } finally {
        wanted.end();
        other.end();
      }
    });

    test(`one bad place is named, and nothing stays attached, through ${way}`, { timeout: 20_000 }, async () => {
      const bad = { ...(probesOf('uprobe')[0] as ProbeSpec), offset: 0x7000_0000, name: 4 } as ProbeSpec;
      const probes = [...probesOf('uprobe'), bad];
      using loaded = loadProgram(sampleProgram([countersMap], [counting()], probes, names), { uprobeMulti });
      await assert.rejects(
        attachProbes(loaded),
        (error) => error instanceof AttachError && error.title === 'uprobe:bad' && error.probe === 3,
      );
      const programId = objectId('PROG', loaded.programs[0]?.fd ?? -1);
      assert.ok(await eventually(() => linksOf(programId).length === 0));
      // The same with missing probes allowed: the others work.
      const child = new Stepper(binary, []);
      try {
        assert.equal(await child.answer(), 'ready');
        const missing: string[] = [];
        const options = { missing: 'warn', onMissing: (title: string) => void missing.push(title) } as const;
        using attachment = await attachProbes(loaded, options);
        assert.deepEqual(missing, ['uprobe:bad']);
        assert.equal(attachment.attached, 3);
        assert.equal(linksOf(programId).length, attachment.links);
        await child.step('10');
        assert.deepEqual(counters(loaded), [0, 10, 20, 30, 0, 0, 0, 0]);
      } finally {
        child.end();
      }
    });
  }

  describe('many by perf events, on threads', () => {
    const many = (...bad: readonly number[]): readonly ProbeSpec[] => {
      const good = probesOf('uprobe');
      return Array.from({ length: 36 }, (_, index) => {
        const probe = good[index % good.length] as ProbeSpec;
        return (bad.includes(index) ? { ...probe, offset: 0x7000_0000 + index, name: 4 } : probe) as ProbeSpec;
      });
    };
    const load = (probes: readonly ProbeSpec[]): ReturnType<typeof loadProgram> =>
      loadProgram(sampleProgram([countersMap], [counting()], probes, names), { uprobeMulti: false });

    test('each is attached', { timeout: 60_000 }, async () => {
      using loaded = load(many());
      const child = new Stepper(binary, []);
      try {
        assert.equal(await child.answer(), 'ready');
        using attachment = await attachProbes(loaded);
        assert.equal(attachment.links, 36);
        await child.step('10');
        // 12 probes at each function.
        assert.deepEqual(counters(loaded), [0, 120, 240, 360, 0, 0, 0, 0]);
      } finally {
        child.end();
      }
    });

    test('the first bad place is named, and nothing stays attached', { timeout: 60_000 }, async () => {
      using loaded = load(many(20, 21, 30));
      await assert.rejects(
        attachProbes(loaded),
        (error) => error instanceof AttachError && error.title === 'uprobe:bad' && error.probe === 20,
      );
      const programId = objectId('PROG', loaded.programs[0]?.fd ?? -1);
      assert.ok(await eventually(() => linksOf(programId).length === 0));
    });

    test('with missing probes allowed all others are attached', { timeout: 60_000 }, async () => {
      using loaded = load(many(0, 20, 35));
      const missing: string[] = [];
      using attachment = await attachProbes(loaded, {
        missing: 'warn',
        onMissing: (title, error) => void missing.push(`${title} ${/0x[0-9a-f]+/.exec(error.message)?.[0]}`),
      });
      // In the order of the script.
      assert.deepEqual(missing, ['uprobe:bad 0x70000000', 'uprobe:bad 0x70000014', 'uprobe:bad 0x70000023']);
      assert.equal(attachment.attached, 33);
      assert.equal(attachment.links, 33);
    });
  });

  test('a file that is not there, a process that is not there', async () => {
    const program = (more: { path?: string; pid?: number }) =>
      sampleProgram([countersMap], [counting()], probesOf('uprobe', more).slice(0, 1), names);
    using noFile = loadProgram(program({ path: '/no/such/file' }));
    await assert.rejects(attachProbes(noFile), {
      code: 'ENOENT',
      message: /uprobe:one: \/no\/such\/file: there is no such/,
    });
    using noProcess = loadProgram(program({ pid: 2 ** 22 }));
    await assert.rejects(attachProbes(noProcess), { code: 'ESRCH', message: /there is no process 4194304/ });
  });
});

test('interval and profile run at their rate', { skip, timeout: 20_000 }, async () => {
  const program = bpfProgram('PERF_EVENT', countByCookie, inValue(3));
  const probes: ProbeSpec[] = [
    { kind: 'interval', periodNs: '10000000', program: 0, name: 0 },
    { kind: 'profile', frequencyHz: 100, program: 0, name: 1 },
  ];
  using loaded = loadProgram(sampleProgram([countersMap], [program], probes, ['interval:ms:10', 'profile:hz:100']));
  const attachment = await attachProbes(loaded);
  assert.equal(attachment.links, 1 + onlineCpus().length);
  const start = performance.now();
  await new Promise((done) => setTimeout(done, 500));
  attachment.close();
  const expected = (performance.now() - start) / 10;
  const [interval = 0, profile = 0] = counters(loaded);
  // A loaded machine delays timers: no more than there was time for, and most of it.
  assert.ok(interval <= expected + 2 && interval >= expected / 2, `${interval} of ${expected}`);
  const all = expected * onlineCpus().length;
  assert.ok(profile <= all + 4 * onlineCpus().length && profile >= all / 4, `${profile} of ${all}`);
});

test('a software event counts', { skip, timeout: 20_000 }, async () => {
  const program = bpfProgram('PERF_EVENT', countHit, inValue(1));
  const probes: ProbeSpec[] = [{ kind: 'software', event: 'context-switches', count: '1', program: 0, name: 0 }];
  using loaded = loadProgram(sampleProgram([countersMap], [program], probes));
  using _attachment = await attachProbes(loaded);
  // Each wait of a millisecond is at least one switch of this process away from its CPU.
  for (let i = 0; i < 20; i++) await new Promise((done) => setTimeout(done, 1));
  assert.ok((counters(loaded)[0] as number) >= 20);
});

test('what the kernel or machine does not have is said in words', { skip }, async () => {
  const attach = (spec: ProbeSpec, type: 'TRACEPOINT' | 'KPROBE' | 'PERF_EVENT' | 'RAW_TRACEPOINT') => async () => {
    using loaded = loadProgram(sampleProgram([], [bpfProgram(type, returnFive)], [spec]));
    (await attachProbes(loaded)).close();
  };
  await assert.rejects(attach(tracepoint('syscalls', 'sys_enter_nothing'), 'TRACEPOINT'), {
    code: 'E_NO_TRACEPOINT',
    message: 'cannot attach tracepoint:0: this kernel has no tracepoint syscalls:sys_enter_nothing',
  });
  await assert.rejects(attach({ kind: 'rawtracepoint', event: 'nothing', program: 0, name: 0 }, 'RAW_TRACEPOINT'), {
    code: 'E_NO_TRACEPOINT',
  });
  await assert.rejects(attach({ kind: 'software', event: 'nothing', count: '1', program: 0, name: 0 }, 'PERF_EVENT'), {
    code: 'E_NO_PERF_EVENT',
  });
  const limit = Number(readFileSync('/proc/sys/kernel/perf_event_max_sample_rate', 'latin1'));
  await assert.rejects(attach({ kind: 'profile', frequencyHz: limit + 1, program: 0, name: 0 }, 'PERF_EVENT'), {
    code: 'E_SAMPLE_RATE',
  });
  const kprobe: ProbeSpec = {
    kind: 'kprobe',
    module: undefined,
    symbol: 'vfs_read_nothing',
    offset: 0,
    program: 0,
    name: 0,
  };
  await assert.rejects(attach(kprobe, 'KPROBE'), { code: hasKprobes() ? 'E_NO_SYMBOL' : 'E_NO_KPROBES' });
});

test('begin, end and signals run when asked', { skip }, async () => {
  const program = bpfProgram('RAW_TRACEPOINT', countHit, inValue(1));
  const second = bpfProgram('RAW_TRACEPOINT', countHit, [{ insn: 1, kind: 'map_value', map: 0, offset: 8 }]);
  const probes: ProbeSpec[] = [
    { kind: 'begin', program: 0, name: 0 },
    { kind: 'end', program: 1, name: 1 },
    { kind: 'begin', program: 0, name: 2 },
    { kind: 'self', signal: 'SIGUSR1', program: 1, name: 3 },
  ];
  using loaded = loadProgram(sampleProgram([countersMap], [program, second], probes));
  const attachment = await attachProbes(loaded);
  assert.equal(attachment.links, 0);
  assert.deepEqual(attachment.signals, ['SIGUSR1']);
  attachment.run('begin');
  assert.deepEqual(counters(loaded).slice(0, 2), [2, 0]);
  attachment.runSignal('SIGUSR2');
  attachment.close();
  attachment.run('end');
  assert.deepEqual(counters(loaded).slice(0, 2), [2, 1]);
});

test('after SIGKILL no program, map or link is left', { skip, timeout: 20_000 }, async () => {
  const child = new Stepper(process.execPath, holderArguments('probe'));
  try {
    const links = ((await child.answer()) ?? '').split(' ').map(Number);
    assert.ok(links.length > 0 && links.every((id) => objectIds('LINK').includes(id)), `links ${links}`);
    assert.equal(idsNamed('PROG', 'in_held').length, 1);
    assert.equal(idsNamed('MAP', 'in_held').length, 1);
    child.end();
    const left = (): boolean =>
      idsNamed('PROG', 'in_held').length > 0 ||
      idsNamed('MAP', 'in_held').length > 0 ||
      objectIds('LINK').some((id) => links.includes(id));
    assert.ok(await eventually(() => !left()), 'something is left');
  } finally {
    child.end();
  }
});

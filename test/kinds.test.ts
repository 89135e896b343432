/**
 * Kinds of probes on real events, their values checked against somebody else's word
 * (the clock, /proc, the child's own log): timers, software events, begin, end, signals,
 * tracepoints by wildcard, several probes on a block, pins; and what a run does about
 * probes that it cannot have.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { attachedWord, executable, insitu, lacking, patience, Running, sleep } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-kinds-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const skip = lacking('tracefs');
const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');

describe('timers', { skip }, () => {
  // What a script counts between two readings of the clock, against that clock.
  const cases: readonly (readonly [probe: string, periodMs: number])[] = [
    ['interval:us:2000', 2],
    ['interval:ms:5', 5],
    ['interval:hz:50', 20],
    ['interval:10ms', 10],
    ['interval:20000000', 20],
    ['profile:us:5000', 5],
    ['profile:ms:10', 10],
    ['profile:hz:100', 10],
    ['i:ms:10', 10],
    ['p:hz:50', 20],
  ];
  for (const [probe, period] of cases) {
    test(`${probe}: as often as the clock says`, { timeout: 30_000 }, async () => {
      const cpu = /^p/.test(probe) ? ' /cpu == 0/' : '';
      // A loaded machine delays a timer, and may skip a beat; it never beats more often. So the run
      // ends when ten beats came in less than the time of twenty.
      const script = `${probe}${cpu} {
  if (@start == 0) { @start = nsecs; @from = nsecs; return; }
  @n++;
  if (@n % 10 == 0) {
    if (nsecs - @from < ${period * 20_000_000}) { printf("%d %lld\\n", @n, nsecs - @start); exit(); }
    @from = nsecs;
  }
}`;
      const { stdout, stderr } = await insitu(['-q', '-e', script], { timeout: 25_000 });
      const [count = 0, nanoseconds = 0] = (lines(stdout)[0] ?? '').split(' ').map(Number);
      const expected = nanoseconds / 1e6 / period;
      assert.ok(count >= 10, `${stdout}${stderr}`);
      assert.ok(count < expected * 1.05 + 2, `${count} of ${expected}`);
    });
  }

  test('s: a second', { timeout: 30_000 }, async () => {
    const script = 'BEGIN { @s = nsecs; } interval:s:1 { printf("%d\\n", (nsecs - @s) / 1000000); exit(); }';
    const { stdout } = await insitu(['-q', '-e', script]);
    const [milliseconds = 0] = lines(stdout).map(Number);
    assert.ok(milliseconds >= 990 && milliseconds < 3000 * patience, stdout);
  });

  test('profile runs on every CPU', { timeout: 30_000 }, async () => {
    const online = readFileSync('/sys/devices/system/cpu/online', 'latin1').trim();
    const cpus = online.split(',').flatMap((range) => {
      const [low = 0, high = low] = range.split('-').map(Number);
      return Array.from({ length: high - low + 1 }, (_, i) => low + i);
    });
    const { stdout } = await insitu(['-q', '-e', 'profile:hz:99 { @[cpu] = count(); } interval:ms:500 { exit(); }']);
    const seen = [...stdout.matchAll(/^@\[(\d+)\]: \d+$/gm)].map(([, cpu]) => Number(cpu)).sort((a, b) => a - b);
    assert.deepEqual(seen, cpus);
  });

  for (const [probe, said] of [
    ['interval:hz:0', /above 0/],
    ['interval:min:1', /not a unit/],
    ['profile:hz:99x', /not a whole number/],
    ['interval:ns:10', /not a unit/],
    ['profile:hz:100000000', /too often/],
  ] as const) {
    test(`${probe} is told`, async () => {
      const { stderr, status } = await insitu(['-e', `${probe} { }`]);
      assert.match(stderr, said);
      assert.equal(status, 1);
    });
  }
});

describe('software events', { skip: skip || lacking('gcc') }, () => {
  test('page faults, every nth of them: as /proc/PID/stat counts', { timeout: 30_000 }, async () => {
    const path = join(folder, 'faults');
    writeFileSync(
      `${path}.c`,
      `#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
static long faults(void) { // field 10, minflt
  char text[1024]; FILE *f = fopen("/proc/self/stat", "r"); long n = 0;
  text[fread(text, 1, sizeof text - 1, f)] = 0; fclose(f);
  sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %ld", &n);
  return n;
}
int main(void) {
  faults();
  long before = faults();
  char *pages = mmap(0, 3000 * 4096L, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  madvise(pages, 3000 * 4096L, MADV_NOHUGEPAGE);
  for (int i = 0; i < 3000; i++) pages[i * 4096L] = 1;
  printf("faults %ld\\n", faults() - before);
}
`,
    );
    execFileSync('gcc', ['-O1', '-o', path, `${path}.c`]);
    const script = `software:minor-faults:1 /comm == "faults"/ { @one++; } s:page-faults:1e1 /comm == "faults"/ { @ten++; } software:faults:1_00 /comm == "faults"/ { @hundred++; }`;
    const { stdout, stderr } = await insitu(['-q', '-c', path, '-e', script]);
    const own = Number(/faults (\d+)/.exec(stdout)?.[1]);
    const value = (name: string): number => Number(new RegExp(`^@${name}: (\\d+)$`, 'm').exec(stdout)?.[1]);
    assert.ok(own >= 3000, stdout + stderr);
    // Starting and ending the program takes some faults more.
    assert.ok(value('one') >= own && value('one') < own + 400, `${value('one')} of ${own}`);
    assert.ok(Math.abs(value('ten') - value('one') / 10) <= 60, stdout);
    assert.ok(Math.abs(value('hundred') - value('one') / 100) <= 6, stdout);
  });

  test('context switches of a process: as /proc/PID/status counts', { timeout: 30_000 }, async () => {
    const target = spawn('perl', ['-e', 'select(undef, undef, undef, 0.005) while 1'], { stdio: 'ignore' });
    try {
      const switches = (): number =>
        [...readFileSync(`/proc/${target.pid}/status`, 'latin1').matchAll(/ctxt_switches:\s*(\d+)/g)].reduce(
          (sum, [, count]) => sum + Number(count),
          0,
        );
      const running = new Running([
        '-q',
        '-p',
        String(target.pid),
        '-e',
        'software:context-switches:1 { @ = count(); }',
      ]);
      await running.attached();
      const before = switches();
      await sleep(500);
      const during = switches() - before;
      const { stdout, stderr } = await running.interrupt();
      const after = switches() - before;
      const count = Number(/@: (\d+)/.exec(stdout)?.[1]);
      assert.ok(during > 5 && count >= during - 5 && count <= after + 15, `${during} ${count} ${after} ${stderr}`);
    } finally {
      target.kill('SIGKILL');
    }
  });

  test('every event that perf has can be had, or is told', { timeout: 30_000 }, async () => {
    const events =
      'cpu-clock cpu task-clock page-faults faults context-switches cs cpu-migrations minor-faults major-faults alignment-faults emulation-faults dummy bpf-output';
    const script = events
      .split(' ')
      .map((event) => `software:${event}:1000000 { @ = count(); }`)
      .join('\n');
    const { status, stderr } = await insitu(['--dry-run', '-e', script]);
    assert.equal(status, 0, stderr);
    const list = lines((await insitu(['-l', 'software:*'])).stdout);
    assert.deepEqual(
      list.sort(),
      events
        .split(' ')
        .map((event) => `software:${event}:`)
        .sort(),
    );
  });

  test('hardware events are counted, or the machine is said to have none', { timeout: 30_000 }, async () => {
    const script = 'hardware:instructions:1000000 { @ = count(); } interval:ms:200 { exit(); }';
    const { status, stdout, stderr } = await insitu(['-q', '-e', script]);
    if (status === 0) assert.match(stdout, /^@: \d+$/m);
    else assert.match(stderr, /no hardware counter for instructions[\s\S]*HINT/);
  });
});

describe('begin, end, self', { skip }, () => {
  test('in the order of the script, each as often as it is there', { timeout: 20_000 }, async () => {
    const script =
      'END { printf("e1\\n"); } BEGIN { printf("b1\\n"); } begin { printf("b2\\n"); exit(); } end, END { printf("%s\\n", probe); }';
    assert.deepEqual(lines((await insitu(['-q', '-e', script])).stdout), ['b1', 'b2', 'e1', 'end', 'end']);
  });

  test('a signal runs the probe, as often as it is sent', { timeout: 20_000 }, async () => {
    const script = 'self:signal:SIGUSR1 { @n++; printf("got %d\\n", @n); } self:signal:SIGUSR1 { printf("again\\n"); }';
    const running = new Running(['-q', '-e', script]);
    await running.attached();
    for (let n = 1; n <= 3; n++) {
      running.child.kill('SIGUSR1');
      await running.until(() => running.stdout.includes(`got ${n}\n`), `signal ${n} was told`);
    }
    const { stdout, status } = await running.interrupt();
    assert.deepEqual(
      lines(stdout).filter((line) => !line.startsWith('@')),
      ['got 1', 'again', 'got 2', 'again', 'got 3', 'again'],
    );
    assert.equal(status, 0);
    assert.match((await insitu(['-e', 'self:signal:SIGKILL { }'])).stderr, /is no probe[\s\S]*SIGUSR1/);
  });
});

describe('several probes', { skip: skip || lacking('gcc') }, () => {
  test('on one block, by name, twice the same, with a predicate', { timeout: 30_000 }, async () => {
    const path = join(folder, 'calls');
    writeFileSync(
      `${path}.c`,
      `__attribute__((noinline)) int one(int x) { __asm__ volatile(""); return x; }
__attribute__((noinline)) int two(int x) { __asm__ volatile(""); return x; }
int main(void) { int s = 0; for (int i = 0; i < 10; i++) { s += one(i); s += two(i); } return s == 0; }
`,
    );
    execFileSync('gcc', ['-O1', '-o', path, `${path}.c`]);
    const script = `first=uprobe:${path}:one, second=uprobe:${path}:two, uprobe:${path}:one { @block[func] = count(); }
uprobe:${path}:one { @twice = count(); } uprobe:${path}:one { @twice = count(); }
uprobe:${path}:on* /arg0 % 2 == 1/ { @odd = sum(arg0); }
uretprobe:${path}:two /retval > 6/ { @big[retval] = count(); }`;
    const { stdout, stderr } = await insitu(['-q', '-c', path, '-e', script]);
    assert.deepEqual(
      lines(stdout).sort(),
      ['@big[7]: 1', '@big[8]: 1', '@big[9]: 1', '@block[one]: 20', '@block[two]: 10', '@odd: 25', '@twice: 20'],
      stderr,
    );
  });
});

describe('tracepoints by wildcard', { skip }, () => {
  test('each event under its own name, with its own fields', { timeout: 60_000 }, async () => {
    const script = `tracepoint:syscalls:sys_enter_get*id /pid == cpid/ { printf("%s %d\\n", probe, args.__syscall_nr); }`;
    const { stdout, stderr } = await insitu(
      ['-q', '-c', `perl -e 'getppid; $x = $<; $x = $(; $x = getpgrp'`, '-e', script],
      {
        timeout: 50_000,
      },
    );
    const seen = new Map(lines(stdout).map((line) => line.split(' ') as [string, string]));
    // Numbers of asm/unistd_64.h.
    const numbers: Record<string, string> = process.arch === 'arm64' ? { getppid: '173' } : { getppid: '110' };
    for (const [name, number] of Object.entries(numbers)) {
      assert.equal(seen.get(`tracepoint:syscalls:sys_enter_${name}`), number, stdout + stderr);
    }
  });

  test("all of the machine's tracepoints compile and are counted; the limit is told", { timeout: 30_000 }, async () => {
    const all = lines((await insitu(['-l', 'tracepoint:*'])).stdout).length;
    assert.ok(all > 500);
    for (const pattern of ['tracepoint:*', 't:*:*']) {
      const { stderr, status } = await insitu(['-e', `config = { max_probes = 100 } ${pattern} { @ = count(); }`]);
      assert.match(
        stderr,
        new RegExp(`Can't attach to ${all} probes because it exceeds the current limit of 100 probes`),
      );
      assert.equal(status, 1);
    }
  });
});

describe('kstack at a system call', {
  skip: skip || (process.arch === 'x64' ? false : 'do_syscall_64 is the entry of x86-64'),
}, () => {
  const script = (probe: string, filter: string): string => `${probe} /${filter}/ { printf("%s", kstack); exit(); }`;
  const command = ['-q', '-c', 'sleep 0'];
  for (const [probe, filter, needs] of [
    ['rawtracepoint:sys_enter', 'pid == cpid && args.id == 59'],
    ['rawtracepoint:sys_exit', 'pid == cpid'],
    ['tracepoint:syscalls:sys_enter_execve', 'pid == cpid', 'linux-6.12'],
    ['tracepoint:syscalls:sys_exit_execve', 'pid == cpid', 'linux-6.12'],
    ['tracepoint:raw_syscalls:sys_enter', 'pid == cpid'],
  ] as const)
    test(probe, { timeout: 20_000, skip: needs === undefined ? false : lacking(needs) }, async () => {
      const { stdout, stderr } = await insitu([...command, '-e', script(probe, filter)]);
      assert.match(stdout, /^ +do_syscall_64\+\d+\n +entry_SYSCALL_64_after_hwframe\+\d+$/m, stderr);
    });
});

describe('progress', { skip }, () => {
  test('is told when attaching or detaching takes longer than a second', { timeout: 60_000 }, async (t) => {
    const running = new Running(['-e', 'tracepoint:syscalls:sys_enter_[c-m]* { @ = count(); }'], { timeout: 50_000 });
    await running.attached();
    const start = performance.now();
    const { stderr } = await running.interrupt();
    const seconds = (performance.now() - start) / 1000;
    if (seconds < 3) return t.skip(`this kernel detaches them in ${seconds.toFixed(1)} s`);
    const words = [...stderr.matchAll(/^Detached (\d+) of (\d+) probes …$/gm)].map(([, done]) => Number(done));
    assert.ok(words.length >= 1 && words.length <= seconds, stderr);
    assert.deepEqual(
      words,
      [...words].sort((a, b) => a - b),
    );
  });
});

describe('a pinned iterator', { skip: lacking() || (existsSync('/usr/bin/unshare') ? false : 'needs unshare') }, () => {
  test('is there for others to read after the end, in a BPF file system', { timeout: 40_000 }, async () => {
    // In a mount namespace of its own, so that the machine's stays as it is.
    const script = (pin: string): string => `iter:task:${pin} { printf("%d %s\\n", ctx.task.pid, ctx.task.comm); }`;
    const shell = `mount -t bpf none /sys/fs/bpf || exit 9
sleep 600 & target=$!
while [ "$(cat /proc/$target/comm)" != sleep ]; do :; done
"$0" -q -p $target -e '${script('list')}' || exit 8
"$0" -q -p $target -e '${script('/sys/fs/bpf/absolute')}' || exit 7
echo "target $target"; cat /sys/fs/bpf/list; cat /sys/fs/bpf/absolute; cat /sys/fs/bpf/list
"$0" -p $target -e '${script('list')}' 2>&1 | grep -o 'there is such a file already'
rm /sys/fs/bpf/list /sys/fs/bpf/absolute; kill $target`;
    const { stdout, stderr, status } = await insitu(['--mount', 'sh', '-c', shell, executable], {
      command: 'unshare',
      timeout: 35_000,
    });
    assert.equal(status, 0, stderr);
    const [first = '', ...rest] = lines(stdout).filter((text) => text !== attachedWord);
    const line = `${first.replace('target ', '')} sleep`;
    assert.deepEqual(rest, [line, line, line, 'there is such a file already'], stderr);
  });
});

describe('probes that cannot be had', { skip }, () => {
  const script = (how: string): string =>
    `config = { missing_probes = ${how} } tracepoint:syscalls:sys_enter_nosuch, uprobe:/bin/true:nosuch, rawtracepoint:nosuch { } BEGIN { printf("runs\\n"); exit(); }`;
  test('error: each is named, and nothing runs', { timeout: 20_000 }, async () => {
    const { stdout, stderr, status } = await insitu(['-e', script('error')]);
    assert.match(stderr, /ERROR: tracepoint not found: syscalls:sys_enter_nosuch/);
    assert.match(stderr, /ERROR: .*nosuch.*\/bin\/true|ERROR: .*\/bin\/true.*nosuch/);
    assert.doesNotMatch(stdout, /runs/);
    assert.equal(status, 1);
  });
  test('warn: each is named, and the rest runs', { timeout: 20_000 }, async () => {
    const { stdout, stderr, status } = await insitu(['-e', script('warn')]);
    assert.match(stderr, /WARNING: tracepoint not found: syscalls:sys_enter_nosuch/);
    assert.match(stderr, /WARNING: .*nosuch/);
    assert.match(stderr, /WARNING: .*raw tracepoint nosuch/);
    assert.doesNotMatch(stderr, /ERROR/);
    assert.match(stdout, /^runs$/m);
    assert.equal(status, 0);
  });
  test('ignore: nothing is said', { timeout: 20_000 }, async () => {
    const { stdout, stderr, status } = await insitu(['-q', '-e', script('ignore')]);
    assert.equal(stderr, '');
    assert.match(stdout, /^runs$/m);
    assert.equal(status, 0);
  });

  test('a failure at the last of many leaves nothing attached', { timeout: 30_000 }, async () => {
    // The kernel says no only when it is asked: after the other probes have been attached.
    const source = 'tracepoint:syscalls:sys_enter_getppid { } uprobe:libc:getppid { } rawtracepoint:nosuch_at_all { }';
    const { stderr, status } = await insitu(['-e', source]);
    assert.match(stderr, /ERROR: cannot attach rawtracepoint:vmlinux:nosuch_at_all: this kernel has no raw tracepoint/);
    assert.match(stderr, /missing_probes = "warn"/);
    assert.equal(status, 1);
  });

  test('max_bpf_progs holds', async () => {
    const { stderr, status } = await insitu(['-e', 'config = { max_bpf_progs = 2 } BEGIN { } BEGIN { } END { }']);
    assert.match(stderr, /needs 3 BPF programs, more than the limit of 2/);
    assert.equal(status, 1);
  });
});

describe('-l', { skip }, () => {
  test('several patterns, a script after -e, a type of the kernel', { timeout: 30_000 }, async () => {
    const list = async (...args: string[]): Promise<string[]> => lines((await insitu(['-l', ...args])).stdout);
    assert.deepEqual(await list('self:*,tracepoint:syscalls:sys_enter_getppid'), [
      'self:signal:SIGUSR1',
      'tracepoint:syscalls:sys_enter_getppid',
    ]);
    assert.deepEqual(await list('-e', 'tracepoint:syscalls:sys_enter_getp*id { } END { }'), [
      ...readFileSync('/sys/kernel/tracing/available_events', 'latin1')
        .split('\n')
        .filter((name) => /^syscalls:sys_enter_getp.*id$/.test(name))
        .sort()
        .map((name) => `tracepoint:${name}`),
      'end',
    ]);
    assert.deepEqual(await list('-v', 'enum pid_type'), [
      'vmlinux: enum pid_type {',
      '\tPIDTYPE_PID = 0,',
      '\tPIDTYPE_TGID = 1,',
      '\tPIDTYPE_PGID = 2,',
      '\tPIDTYPE_SID = 3,',
      '\tPIDTYPE_MAX = 4,',
      '};',
    ]);
  });

  test('the functions that a process has mapped', { timeout: 60_000 }, async () => {
    const target = spawn('sleep', ['60'], { stdio: 'ignore' });
    try {
      while (readFileSync(`/proc/${target.pid}/comm`, 'latin1') !== 'sleep\n') await sleep(10);
      const { stdout } = await insitu(['-p', String(target.pid), '-l', 'uprobe:*:getppid'], { timeout: 50_000 });
      const libc = /\S+\/libc\.so\.6$/m.exec(readFileSync(`/proc/${target.pid}/maps`, 'latin1'))?.[0];
      assert.deepEqual(lines(stdout), [`uprobe:${libc}:getppid`]);
    } finally {
      target.kill('SIGKILL');
    }
  });
});

describe('--info and --no-feature', { skip }, () => {
  test('tell what the kernel has and which way is taken', { timeout: 20_000 }, async () => {
    const { stdout, status } = await insitu(['--info']);
    const release = execFileSync('uname', ['-r'], { encoding: 'utf8' }).trim();
    assert.ok(stdout.includes(`Linux ${release}`));
    const kprobes = existsSync('/sys/bus/event_source/devices/kprobe/type');
    assert.match(stdout, new RegExp(`^ {2}kprobe: ${kprobes ? 'yes' : 'no'}$`, 'm'));
    assert.match(stdout, /^ {2}uprobe_multi: (yes|no)$/m);
    assert.equal(status, 0);
    const wrong = await insitu(['--no-feature', 'uprobe_mutli', '-e', 'BEGIN { }']);
    assert.match(wrong.stderr, /--no-feature takes uprobe_multi, kprobe_multi, kprobe_session/);
  });

  test('without uprobe_multi there is a perf event for each probe, with it one link', {
    timeout: 40_000,
  }, async (t) => {
    if (!/uprobe_multi: yes/.test((await insitu(['--info'])).stdout)) return t.skip('this kernel has no uprobe_multi');
    const links = async (...more: string[]): Promise<number> => {
      const running = new Running([...more, '-e', 'uprobe:libc:getp*id { @ = count(); }']);
      await running.attached();
      const count = Number(/Attached (\d+) probes/.exec(running.stderr)?.[1]);
      assert.ok(count > 1);
      const fds = lines(execFileSync('sh', ['-c', `cat /proc/${running.pid}/fdinfo/*`], { encoding: 'utf8' }));
      await running.interrupt();
      return fds.filter((line) => line.startsWith('link_type:')).length / (more.length > 0 ? count : 1);
    };
    assert.equal(await links(), 1);
    assert.equal(await links('--no-feature', 'uprobe_multi'), 1);
  });

  test("the list of --traceable-functions takes the place of the kernel's own", { timeout: 20_000 }, async () => {
    const path = join(folder, 'functions');
    writeFileSync(path, 'one_function\nmodule_function [module]\n');
    const { stderr } = await insitu(['--traceable-functions', path, '-e', 'kprobe:vfs_read { }']);
    assert.match(stderr, /no function 'vfs_read'/);
    const missing = await insitu(['--traceable-functions', `${path}.no`, '-e', 'kprobe:vfs_read { }']);
    assert.match(missing.stderr, /can't read the list of traceable functions/);
    assert.equal(missing.status, 1);
  });
});

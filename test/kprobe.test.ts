/**
 * kprobe, kretprobe, fentry, fexit on a kernel that has them: the values that they read,
 * against what the traced program logs of itself and what /proc says.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { lazy } from '../src/base/lazy.ts';
import { insitu, lacking, type Outcome, Running, sleep } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-kprobe-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');

/**
 * Reads a file of 1,000 bytes in pieces, and writes a line for each read: the buffer, the
 * size asked for, what read(2) returned.
 */
const reader = lazy(() => {
  const source = join(folder, 'reader.c');
  const binary = join(folder, 'reader');
  writeFileSync(join(folder, 'data'), Buffer.alloc(1000, 7));
  writeFileSync(
    source,
    `#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
static char buffer[4096];
int main(void) {
  int fd = open("${join(folder, 'data')}", O_RDONLY);
  static const int sizes[] = { 1, 7, 64, 512, 4096, 100 };
  for (int i = 0; i < 6; i++) {
    long got = read(fd, buffer + i, sizes[i]);
    dprintf(2, "%lu %d %ld\\n", (unsigned long)(buffer + i), sizes[i], got);
  }
  errno = 0;
  long got = read(fd, (char *)-1, 5);
  dprintf(2, "%lu %d %ld\\n", -1UL, 5, got < 0 ? -errno : got);
  return 0;
}
`,
  );
  execFileSync('gcc', ['-O1', '-o', binary, source]);
  return binary;
});

/** Runs a script on the reader; gives the script's lines and the reader's log. */
async function onReader(
  script: string,
): Promise<{ readonly seen: string[]; readonly log: string[]; readonly stderr: string }> {
  const log = join(folder, 'log');
  const { stdout, stderr, status } = await insitu(['-q', '-c', `sh -c "exec ${reader()} 2> ${log}"`, '-e', script]);
  assert.equal(status, 0, stderr);
  return { seen: lines(stdout), log: lines(readFileSync(log, 'latin1')), stderr };
}
const sizes = (log: readonly string[]): string[] => log.map((line) => line.split(' ').slice(0, 2).join(' '));
const results = (log: readonly string[]): string[] => log.map((line) => line.split(' ')[2] as string);

/** Reads and writes more at a time than the dynamic linker ever does: 100,000 to 500,000 bytes, 200,000 to 1,000,000. */
const bulk = lazy(() => {
  const source = join(folder, 'bulk.c');
  const binary = join(folder, 'bulk');
  writeFileSync(
    source,
    `#include <fcntl.h>
#include <unistd.h>
static char bytes[1000000];
int main(void) {
  int from = open("/dev/zero", O_RDONLY), to = open("/dev/null", O_WRONLY);
  for (int n = 1; n <= 5; n++) { read(from, bytes, 100000 * n); write(to, bytes, 200000 * n); }
  return 0;
}
`,
  );
  execFileSync('gcc', ['-O1', '-o', binary, source]);
  return binary;
});

describe('kprobe', { skip: lacking('kprobes', 'gcc') }, () => {
  const reading = 'pid == cpid && comm == "reader" && arg2 < 5000';

  test('argN: what the program passed to read(2)', { timeout: 60_000 }, async () => {
    const { seen, log, stderr } = await onReader(`kprobe:ksys_read /${reading}/ { printf("%lu %d\\n", arg1, arg2); }`);
    assert.deepEqual(seen.slice(-7), sizes(log), stderr);
  });

  test('args.NAME: the same by the names and types that BTF has', { timeout: 60_000 }, async () => {
    const { seen, log, stderr } = await onReader(
      'kprobe:ksys_read /pid == cpid && comm == "reader" && args.count < 5000/ { printf("%lu %d\\n", (uint64)args.buf, args.count); }',
    );
    assert.deepEqual(seen.slice(-7), sizes(log), stderr);
  });

  test('args.NAME: what a pointer to a struct leads to', { timeout: 60_000 }, async () => {
    const { seen, stderr } = await onReader(
      'kprobe:vfs_read /pid == cpid && comm == "reader" && args.count < 5000/ { @[str(args.file->f_path.dentry->d_name.name)] = count(); }',
    );
    // Others are what the dynamic linker reads.
    assert.ok(seen.includes('@[data]: 7'), seen.join('\n') + stderr);
  });

  test('args.NAME: a struct in two registers, a number, an argument on the stack', { timeout: 60_000 }, async () => {
    const source = join(folder, 'caller.c');
    const binary = join(folder, 'caller');
    writeFileSync(
      source,
      `#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <fcntl.h>
int main(void) {
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  int value = 4567;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, sizeof value);
  fprintf(stderr, "%lu %d %d\\n", (unsigned long)&value, SO_SNDBUF, (int)sizeof value);
  int file = open("/proc/self/exe", O_RDONLY);
  mmap(0, 3 * 4096, PROT_READ, MAP_PRIVATE, file, 5 * 4096);
  return 0;
}
`,
    );
    execFileSync('gcc', ['-O1', '-o', binary, source]);
    const log = join(folder, 'caller.log');
    const { stdout, stderr, status } = await insitu([
      ...['-q', '-c', `sh -c "exec ${binary} 2> ${log}"`],
      '-e',
      `kprobe:sock_setsockopt /pid == cpid && comm == "caller"/ {
  printf("%lu %d %d\\n", (uint64)args.optval.user, args.optname, args.optlen);
}
kprobe:do_mmap /pid == cpid && comm == "caller" && args.pgoff == 5/ { printf("%d %d\\n", args.len, args.prot); }`,
    ]);
    assert.equal(status, 0, stderr);
    const logged = lines(readFileSync(log, 'latin1'));
    // PROT_READ is 1. The page offset is the sixth argument on Linux 6.1, and the seventh, on the stack, since 6.9.
    assert.deepEqual(lines(stdout), [...logged, `${3 * 4096} 1`], stderr);
  });

  test('args.NAME of a wildcard: one program where arguments lie alike, told apart by name', {
    timeout: 60_000,
  }, async () => {
    const script = 'kprobe:ksys_[rw]* /pid == cpid && args.count >= 100000/ { @[probe] = sum(args.count); }';
    const { stdout, stderr } = await insitu(['-q', '-c', bulk(), '-e', script]);
    const expected = ['@[kprobe:ksys_read]: 1500000', '@[kprobe:ksys_write]: 3000000'];
    assert.deepEqual(lines(stdout).sort(), expected, stderr);
  });

  test('kretprobe: what read(2) returned, errors as negative numbers', { timeout: 60_000 }, async () => {
    const { seen, log, stderr } = await onReader(
      'kretprobe:ksys_read /pid == cpid && comm == "reader"/ { printf("%d\\n", retval); }',
    );
    assert.deepEqual(seen.slice(-7), results(log), stderr);
  });

  test('entry and return of the same calls, by a map', { timeout: 60_000 }, async () => {
    const { seen, log, stderr } = await onReader(
      `kprobe:ksys_read /${reading}/ { @buffer[tid] = arg1; @size[tid] = arg2; }
kretprobe:ksys_read /@buffer[tid]/ { printf("%lu %d %d\\n", @buffer[tid], @size[tid], retval); delete(@buffer[tid]); delete(@size[tid]); }`,
    );
    assert.deepEqual(seen.slice(-7), log, stderr);
  });

  test('comm as a key: one entry, whatever lay in the memory before', { timeout: 60_000 }, async () => {
    const { seen, stderr } = await onReader(
      `kprobe:ksys_read /pid == cpid && comm == "reader"/ {
  $long = str("a text that leaves its bytes behind"); @lengths[$long] = count(); @[comm, 1] = count(); @[comm, strncmp(comm, "rea", 3)] = count(); }
END { clear(@lengths); printf("%d keys\\n", len(@)); clear(@); }`,
    );
    assert.deepEqual(seen, ['2 keys'], stderr);
  });

  test('+offset: behind the entry, as often as the function', { timeout: 60_000 }, async () => {
    // Behind the five bytes of ftrace, and behind ENDBR64 where the kernel has it (CONFIG_X86_KERNEL_IBT).
    const script = (offset: number): string => `kprobe:ksys_read /pid == cpid && comm == "reader"/ { @entry++; }
kprobe:ksys_read+${offset} /pid == cpid && comm == "reader"/ { @behind++; }
END { printf("%d %d\\n", @entry >= 7, @entry == @behind); clear(@entry); clear(@behind); }`;
    const starts = await insitu(['-c', '/bin/true', '-e', 'kprobe:ksys_read+5 { }']);
    const { seen, stderr } = await onReader(script(starts.status === 0 ? 5 : 9));
    assert.deepEqual(seen, ['1 1'], stderr);
  });

  test('what cannot be probed is named', { timeout: 60_000 }, async () => {
    const middle = await insitu(['-e', 'kprobe:ksys_read+1 { }']);
    assert.match(middle.stderr, /ksys_read\+1: no instruction of ksys_read starts at that offset/);
    assert.equal(middle.status, 1);
    const none = await insitu(['-e', 'kprobe:ksys_raed { }']);
    assert.match(none.stderr, /no function 'ksys_raed'[\s\S]*ksys_read/);
    assert.equal(none.status, 1);
  });

  test('kretprobe takes no offset', { timeout: 60_000 }, async () => {
    assert.match((await insitu(['-e', 'kretprobe:ksys_read+5 { }'])).stderr, /takes no offset/);
  });

  test('a wildcard, each function by its name', { timeout: 60_000 }, async () => {
    const { seen, stderr } = await onReader('kprobe:ksys_r* /pid == cpid && comm == "reader"/ { @[probe] = count(); }');
    assert.ok(
      seen.some((line) => /^@\[kprobe:ksys_read\]: \d+/.test(line)),
      seen.join('\n') + stderr,
    );
  });

  test('a function of a module', { skip: lacking('tun'), timeout: 60_000 }, async () => {
    const script = 'kprobe:tun:tun_chr_open /pid == cpid/ { printf("%s %s\\n", probe, func); }';
    const command = 'sh -c "for i in 1 2 3; do : < /dev/net/tun; done"';
    const { stdout, stderr } = await insitu(['-q', '-c', command, '-e', script]);
    assert.deepEqual(lines(stdout), Array(3).fill('kprobe:tun:tun_chr_open tun_chr_open'), stderr);
    assert.match((await insitu(['-e', 'kprobe:loop:tun_chr_open { }'])).stderr, /tun_chr_open|loop/);
  });

  test('kstack: the frames that /proc/PID/stack has', { timeout: 60_000 }, async () => {
    const tracer = new Running([
      '-q',
      '-e',
      'kprobe:hrtimer_nanosleep /comm == "sleep"/ { printf("%s", kstack); exit(); }',
    ]);
    await tracer.attached();
    const child = spawn('sleep', ['600'], { stdio: 'ignore' });
    try {
      const { stdout, stderr } = await tracer.ended();
      const functions = (text: string): string[] =>
        lines(text).map((line) => /^\s*(?:\[<0>\] )?([\w.]+)/.exec(line)?.[1] as string);
      const ours = functions(stdout);
      let theirs: string[] = [];
      while (!theirs.includes('hrtimer_nanosleep')) {
        await sleep(20);
        theirs = functions(readFileSync(`/proc/${child.pid}/stack`, 'latin1'));
      }
      assert.equal(ours[0], 'hrtimer_nanosleep', stdout + stderr);
      // From the caller on both are the same.
      assert.deepEqual(ours.slice(1), theirs.slice(theirs.indexOf('hrtimer_nanosleep') + 1), stdout);
      assert.ok(ours.length > 3, stdout);
    } finally {
      child.kill('SIGKILL');
    }
  });

  test('after SIGKILL no probe is left', { timeout: 60_000 }, async () => {
    const tracer = new Running(['-e', 'kprobe:ksys_read { } kretprobe:ksys_read { }']);
    await tracer.attached();
    const registered = (): boolean => readFileSync('/sys/kernel/debug/kprobes/list', 'latin1').includes('ksys_read');
    execFileSync('sh', ['-c', 'mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug']);
    assert.ok(registered());
    tracer.child.kill('SIGKILL');
    await tracer.ended();
    for (let tries = 0; registered(); tries++) {
      assert.ok(tries < 100, readFileSync('/sys/kernel/debug/kprobes/list', 'latin1'));
      await sleep(50);
    }
  });
});

describe('fentry and fexit', { skip: lacking('fentry', 'btf', 'gcc') }, () => {
  test('typed arguments and the returned value', { timeout: 60_000 }, async () => {
    const { seen, log, stderr } = await onReader(
      `fexit:ksys_read /pid == cpid && comm == "reader" && args.count < 5000/ {
  printf("%lu %d %d\\n", (uint64)args.buf, args.count, retval); }`,
    );
    assert.deepEqual(seen.slice(-7), log, stderr);
  });

  test('members behind an argument', { timeout: 60_000 }, async () => {
    const { seen, log, stderr } = await onReader(
      `fentry:vfs_read /pid == cpid && comm == "reader"/ {
  printf("%s %d\\n", str(args.file->f_path.dentry->d_name.name), args.count); }`,
    );
    const ours = seen.filter((line) => line.startsWith('data '));
    assert.deepEqual(
      ours,
      log.map((line) => `data ${line.split(' ')[1]}`),
      stderr,
    );
  });

  test('a function of a module, with the types of its BTF', { skip: lacking('tun'), timeout: 60_000 }, async () => {
    const script =
      'fentry:tun:tun_chr_open /pid == cpid/ { printf("%s %s\\n", probe, str(args.file->f_path.dentry->d_name.name)); }';
    const { stdout, stderr } = await insitu(['-q', '-c', 'sh -c ": < /dev/net/tun"', '-e', script]);
    assert.deepEqual(lines(stdout), ['fentry:tun:tun_chr_open tun'], stderr);
  });

  test('a BPF program that runs: another tracer counts its runs', { timeout: 90_000 }, async () => {
    const binary = join(folder, 'hundred');
    writeFileSync(
      `${binary}.c`,
      '__attribute__((noinline)) void observed(int i) { __asm__ volatile(""); }\nint main(void) { for (int i = 0; i < 100; i++) observed(i); }\n',
    );
    execFileSync('gcc', ['-O1', '-o', binary, `${binary}.c`]);
    const running = new Running(['-q', '-e', `uprobe:${binary}:observed { @ = count(); }`], { timeout: 80_000 });
    await running.attached();
    const listed = lines((await insitu(['-l', 'fentry:bpf:observed*'], { timeout: 60_000 })).stdout);
    const [, id, name] = /^fentry:bpf:(\d+):(observed_\d+)$/.exec(listed[0] ?? '') ?? [];
    assert.ok(id !== undefined && name !== undefined, listed.join(', '));
    const script = `fentry:bpf:${name} { @entered[probe] = count(); } fexit:bpf:${id}:obs* { @left = count(); }`;
    const { stdout, stderr } = await insitu(['-q', '-c', binary, '-e', script], { timeout: 60_000 });
    assert.deepEqual(lines(stdout).sort(), [`@entered[fentry:bpf:${id}:${name}]: 100`, '@left: 100'], stderr);
    assert.match((await running.interrupt()).stdout, /^@: 100$/m);
  });

  test('kstack begins with the function', { timeout: 60_000 }, async () => {
    const { seen, stderr } = await onReader(
      'fentry:ksys_read /pid == cpid && comm == "reader"/ { printf("%s", kstack(3)); exit(); }',
    );
    assert.match(seen.slice(0, 3).join('\n'), /^\s+ksys_read\+\d+\n[\s\S]*do_syscall_64/, stderr);
  });
});

describe('many functions of the kernel', { skip: lacking('kprobes', 'gcc') }, () => {
  /** How the links of a process hold its programs, by their number; a kernel that does not say leaves them out. */
  function linkTypes(pid: number): ReadonlyMap<string, number> {
    const found = new Map<string, number>();
    for (const fd of readdirSync(`/proc/${pid}/fdinfo`)) {
      let text = '';
      try {
        text = readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1');
      } catch {
        continue; // closed since
      }
      const type = /^link_type:\s*(\S+)/m.exec(text)?.[1];
      if (type !== undefined) found.set(type, (found.get(type) ?? 0) + 1);
    }
    return found;
  }

  const script = `kprobe:ksys_[rw]* /comm == "bulk" && arg2 >= 100000/ { @in[probe] = sum(arg2); @at[tid] = 1; }
kretprobe:ksys_[rw]* /@at[tid]/ { @out[probe] = sum(retval); delete(@at, tid); }`;
  const expected = [
    '@in[kprobe:ksys_read]: 1500000',
    '@in[kprobe:ksys_write]: 3000000',
    '@out[kretprobe:ksys_read]: 1500000',
    '@out[kretprobe:ksys_write]: 3000000',
  ];
  const run = async (...options: string[]): Promise<ReadonlyMap<string, number>> => {
    const tracer = new Running([...options, '-q', '-e', script]);
    await tracer.attached();
    const links = linkTypes(tracer.pid);
    execFileSync(bulk());
    const { stdout, stderr } = await tracer.interrupt();
    assert.deepEqual(lines(stdout).sort(), expected, stderr);
    return links;
  };

  test('one link for those of a wildcard', { skip: lacking('kprobe_multi'), timeout: 60_000 }, async () => {
    assert.equal((await run()).get('kprobe_multi'), 2);
  });

  test('a perf event for each where the kernel has no such link, or it is not wanted', {
    timeout: 60_000,
  }, async () => {
    const links = await run('--no-feature', 'kprobe_multi');
    assert.equal(links.get('kprobe_multi'), undefined);
  });

  test('--info tells which way is taken', { timeout: 60_000 }, async () => {
    const multi = lacking('kprobe_multi') === false;
    assert.match((await insitu(['--info'])).stdout, new RegExp(`kprobe_multi.*: ${multi ? 'yes' : 'no'}`));
  });
});

describe('runs that the kernel leaves out', { skip: lacking('kprobes', 'linux-6.12', 'gcc') }, () => {
  const caller = lazy(() => {
    const binary = join(folder, 'caller');
    const source = '#include <unistd.h>\nint main(void) { for (int i = 0; i < 200; i++) getppid(); return 0; }\n';
    writeFileSync(`${binary}.c`, source);
    execFileSync('gcc', ['-O1', '-o', binary, `${binary}.c`]);
    return binary;
  });
  const run = async (script: string): Promise<Outcome> => {
    const outcome = await insitu(['-q', '-c', caller(), '-e', script], { timeout: 60_000 });
    assert.equal(outcome.status, 0, outcome.stderr);
    return outcome;
  };

  // comm is a call of bpf_get_current_comm, which is probed: a probe within a program.
  test('of a kprobe within the program of a tracepoint', { timeout: 60_000 }, async () => {
    const { stdout, stderr } =
      await run(`tracepoint:syscalls:sys_enter_getppid /pid == cpid/ { @calls = count(); @ = comm; }
kprobe:bpf_get_current_comm /pid == cpid/ { @probed = count(); }`);
    assert.match(stdout, /^@calls: 200$/m);
    assert.doesNotMatch(stdout, /@probed/);
    assert.match(stderr, /^WARNING: 200 runs of probes were missed \(200 kprobe:bpf_get_current_comm\): /m);
  });

  // Here the program is one of a kprobe: the kernel does not come as far as the program, and the link counts.
  test('of a kprobe within its own program', { timeout: 60_000 }, async () => {
    const { stdout, stderr } = await run(`rawtracepoint:sys_enter { if (args.id == 110 && pid == cpid) { @ = comm; } }
kprobe:bpf_get_current_comm /pid == cpid/ { @probed = count(); @again = comm; }`);
    assert.match(stdout, /^@probed: 200$/m, stderr);
    assert.match(stderr, /^WARNING: 200 runs of probes were missed \(200 kprobe:bpf_get_current_comm\): /m);
  });
});

/** Probes on the kernel's own types: raw tracepoints' arguments, iterators, fentry where it cannot be had. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statfsSync,
  unlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { insitu, lacking } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-kernel-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const skip = lacking() || (existsSync('/sys/kernel/btf/vmlinux') ? false : 'needs a kernel with BTF');
const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');

async function withSleeper<T>(act: (child: ChildProcess & { pid: number }) => Promise<T>): Promise<T> {
  const child = spawn('sleep', ['60'], { stdio: ['ignore', 'ignore', 'ignore'] }) as ChildProcess & { pid: number };
  try {
    while (readFileSync(`/proc/${child.pid}/comm`, 'latin1') !== 'sleep\n')
      await new Promise((resolve) => setTimeout(resolve, 10));
    return await act(child);
  } finally {
    child.kill('SIGKILL');
  }
}

describe('raw tracepoints', { skip }, () => {
  test('sched_switch: the same tasks as in tracepoint:sched:sched_switch', {
    skip: lacking('tracefs'),
    timeout: 40_000,
  }, async () => {
    const script = `config = { print_maps_on_exit = false }
rawtracepoint:sched_switch { @[cpu] = (int64)args.prev->pid; @next[cpu] = (int64)args.next->pid; }
tracepoint:sched:sched_switch /@[cpu] != 0 || @next[cpu] != 0/ {
  if (@[cpu] == args.prev_pid && @next[cpu] == args.next_pid) { @same++; } else { @other++; }
}
interval:ms:100 /@same > 20 && @told == 0/ { @told = 1; printf("same\\n"); if (@other > 2) { printf("other %d\\n", @other); } exit(); }`;
    const { stdout, stderr } = await insitu(['-q', '-e', script]);
    // Where a switch comes between the two programs' attaching, one of them sees half of it.
    assert.equal(lines(stdout)[0], 'same', stderr);
    assert.ok(!stdout.includes('other'), stdout);
  });

  test('a call by its number and its registers', { timeout: 40_000 }, async () => {
    // exit_group is 231 on x86-64, 94 on arm64; its argument is the first register's value.
    const number = process.arch === 'arm64' ? 94 : 231;
    const register = process.arch === 'arm64' ? 'regs[0]' : 'di';
    const script = `rawtracepoint:sys_enter /args.id == ${number} && pid == cpid/ { printf("%d\\n", args.regs->${register}); }`;
    const { stdout, stderr } = await insitu(['-q', '-c', 'sh -c "exit 37"', '-e', script]);
    assert.deepEqual(lines(stdout), ['37'], stderr);
  });

  test('a wildcard, each by its name', { timeout: 40_000 }, async () => {
    const script = 'rawtracepoint:sched_process_e* /pid == cpid/ { printf("%s\\n", probe); }';
    const { stdout, stderr } = await insitu(['-q', '-c', '/bin/true', '-e', script]);
    const seen = new Set(lines(stdout));
    for (const event of ['sched_process_exec', 'sched_process_exit']) {
      assert.ok(seen.has(`rawtracepoint:vmlinux:${event}`), `${event} not in ${stdout}${stderr}`);
    }
  });

  test('a name that BTF does not know', { timeout: 40_000 }, async () => {
    const { status, stderr } = await insitu(['-e', 'rawtracepoint:sched_swich { print(args.prev); }']);
    assert.match(stderr, /no raw tracepoint 'sched_swich'[\s\S]*sched_switch/);
    assert.equal(status, 1);
  });
});

describe('per-CPU variables', { skip }, () => {
  test("percpu_kaddr: each CPU's number of itself", { timeout: 60_000 }, async (t) => {
    // x86 has kept it in a variable of its own, and (6.2 to 6.14) with other hot ones.
    const names = readFileSync('/proc/kallsyms', 'latin1');
    const own = / cpu_number$/m.test(names);
    if (!own && !/ pcpu_hot$/m.test(names)) {
      const { status, stderr } = await insitu(['-e', 'BEGIN { print(percpu_kaddr("cpu_number")); }']);
      assert.equal(status, 1);
      assert.match(stderr, /Could not resolve variable "cpu_number"|does not tell where the variable "cpu_number" is/);
      return t.skip('/proc/kallsyms names no variables here (CONFIG_KALLSYMS_ALL)');
    }
    const read = (more: string): string =>
      own
        ? `*(int32 *)percpu_kaddr("cpu_number"${more})`
        : `((struct pcpu_hot *)percpu_kaddr("pcpu_hot"${more}))->cpu_number`;
    const script = `BEGIN { printf("%d %d %d\\n", ${read('')} == cpu, ${read(', 0')}, ${read(', 1')}); exit(); }`;
    const { stdout, stderr } = await insitu(['-q', '-e', script]);
    assert.equal(stdout.trim(), '1 0 1', stderr);
  });
});

describe('iterators', { skip }, () => {
  test('task: the threads of a process', { timeout: 40_000 }, async () => {
    const script =
      'iter:task { printf("%d %d %s\\n", ctx->task->tgid, ctx->task->pid, ctx->task->comm); } END { printf("end\\n"); }';
    const { stdout, stderr, status } = await insitu(['-q', '-p', String(process.pid), '-e', script]);
    const threads = readdirSync(`/proc/self/task`).map((tid) => {
      const comm = readFileSync(`/proc/self/task/${tid}/comm`, 'latin1').trim();
      return `${process.pid} ${tid} ${comm}`;
    });
    assert.deepEqual(lines(stdout).sort(), [...threads, 'end'].sort(), stderr);
    assert.equal(status, 0);
  });

  test('task_file: the descriptors of a process', { timeout: 40_000 }, () =>
    withSleeper(async ({ pid }) => {
      const script = 'iter:task_file { printf("%d %s\\n", ctx->fd, str(ctx->file->f_path.dentry->d_name.name)); }';
      const { stdout, stderr } = await insitu(['-q', '-p', String(pid), '-e', script]);
      const open = readdirSync(`/proc/${pid}/fd`).map((fd) => [fd, readlinkSync(`/proc/${pid}/fd/${fd}`)] as const);
      const seen = new Map(lines(stdout).map((line) => [line.split(' ')[0], line.split(' ')[1]]));
      assert.equal(seen.size, open.length, stderr);
      for (const [fd, path] of open) if (path.startsWith('/')) assert.equal(seen.get(fd), basename(path));
    }),
  );

  test('path: of open files and of mapped ones, as in /proc', { timeout: 60_000 }, () =>
    withSleeper(async ({ pid }) => {
      const script = `iter:task_file { $p = ctx.file.f_path; printf("fd %d %s\\n", ctx.fd, path($p)); }
        iter:task_vma { printf("vma %08lx %s\\n", ctx.vma.vm_start, path(&ctx.vma.vm_file.f_path)); }`;
      const { stdout, stderr } = await insitu(['-q', '-p', String(pid), '-e', script]);
      const seen = lines(stdout).map((line) => line.trimEnd());
      const open = readdirSync(`/proc/${pid}/fd`).map((fd) => `fd ${fd} ${readlinkSync(`/proc/${pid}/fd/${fd}`)}`);
      const maps = lines(readFileSync(`/proc/${pid}/maps`, 'latin1'))
        .filter((line) => !line.includes('vsyscall'))
        .map((line) => line.split(/ +/))
        // What is no file has no path: [stack], [vdso].
        .map(([range, , , , , file]) => `vma ${range?.split('-')[0]} ${file?.startsWith('/') ? file : ''}`.trimEnd());
      assert.deepEqual(seen.filter((line) => line.startsWith('fd')).sort(), open.sort(), stderr);
      assert.deepEqual(
        seen.filter((line) => line.startsWith('vma')),
        maps,
        stderr,
      );
    }),
  );

  test('path: cut at its front where the room is small', { timeout: 40_000 }, () =>
    withSleeper(async ({ pid }) => {
      const script = `iter:task_vma { $p = path(ctx.vma.vm_file.f_path, 6); if ($p != "") { printf("%s\\n", $p); exit(); } }`;
      const { stdout, stderr } = await insitu(['-q', '-p', String(pid), '-e', script]);
      assert.equal(lines(stdout)[0], readlinkSync(`/proc/${pid}/exe`).slice(-5), stderr);
    }),
  );

  test('path: a function of the kernel', { skip: lacking('fentry'), timeout: 60_000 }, async () => {
    const file = join(folder, 'opened');
    const script = `fentry:security_file_open /pid == cpid/ { printf("%s\\n", path(args.file.f_path)); }`;
    const { stdout, stderr } = await insitu(['-q', '-c', `sh -c ": > ${file}"`, '-e', script]);
    assert.ok(lines(stdout).includes(file), stdout + stderr);
  });

  test('task_vma: the mappings of a process, as in its maps', { timeout: 40_000 }, () =>
    withSleeper(async ({ pid }) => {
      const script = 'iter:task_vma { printf("%08lx-%08lx\\n", ctx->vma->vm_start, ctx->vma->vm_end); }';
      const { stdout, stderr } = await insitu(['-q', '-p', String(pid), '-e', script]);
      // vsyscall is no mapping of the process.
      const maps = lines(readFileSync(`/proc/${pid}/maps`, 'latin1')).filter((line) => !line.includes('vsyscall'));
      assert.deepEqual(
        lines(stdout),
        maps.map((line) => line.split(' ')[0]),
        stderr,
      );
    }),
  );

  const bpffs = existsSync('/sys/fs/bpf') && statfsSync('/sys/fs/bpf').type === 0xcafe4a11;
  test(
    'pinned: text for whoever reads the file',
    { skip: bpffs ? false : 'needs bpffs at /sys/fs/bpf', timeout: 40_000 },
    () =>
      withSleeper(async ({ pid }) => {
        const name = `insitu_test_${process.pid}`;
        const path = `/sys/fs/bpf/${name}`;
        const script = `iter:task:${name} { printf("%d is %s, 100%%\\n", ctx->task->pid, ctx->task->comm); }`;
        const { status, stderr } = await insitu(['-q', '-p', String(pid), '-e', script]);
        try {
          assert.equal(status, 0, stderr);
          assert.equal(readFileSync(path, 'latin1'), `${pid} is sleep, 100%\n`);
          assert.match((await insitu(['-p', String(pid), '-e', script])).stderr, /there is such a file already/);
        } finally {
          unlinkSync(path);
        }
      }),
  );

  test('what there is none of', { timeout: 40_000 }, async () => {
    assert.match((await insitu(['-e', 'iter:taskk { }'])).stderr, /no iterator over 'taskk'[\s\S]*did you mean task/);
    assert.match((await insitu(['-e', 'BEGIN { print(ctx); }'])).stderr, /ctx builtin can not be used with 'begin'/);
  });
});

describe('fentry', { skip }, () => {
  test('types come from BTF', { timeout: 40_000 }, async () => {
    const { stdout, stderr } = await insitu([
      '--dry-run',
      '-d',
      'ast',
      '-e',
      'config = { missing_probes = "ignore" } fentry:vfs_read { print((args.count, args.file->f_mode)); } fexit:vfs_read { print(retval); }',
    ]);
    assert.match(stdout, /vfs_read/, stderr);
    assert.match(
      (await insitu(['-e', 'fentry:vfs_read { print(args.cout); }'])).stderr,
      /field named 'cout'[\s\S]*count/,
    );
    assert.match((await insitu(['-e', 'fentry:vfs_raed { }'])).stderr, /vfs_raed[\s\S]*did you mean [\s\S]*vfs_read/);
    assert.match((await insitu(['-e', 'fentry:vfs_read { print(retval); }'])).stderr, /retval builtin can not be used/);
  });

  test('it fires, or the kernel is said to take none', { timeout: 40_000 }, async () => {
    const script =
      'fentry:vfs_read /pid == cpid/ { @count = (int64)args.count; } fexit:vfs_read /pid == cpid/ { @read = retval; }';
    const { stdout, stderr, status } = await insitu(['-q', '-c', 'head -c 10 /etc/passwd', '-e', script]);
    if (status === 0) assert.match(stdout, /@count: \d+[\s\S]*@read: \d+/);
    else assert.match(stderr, /takes no fentry program for vfs_read[\s\S]*HINT/);
  });
});

/** `insitu doctor` beside what happens: probes that attach or do not, capabilities that are gone, programs of all sorts. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import type { Finding, Section } from '../src/answers/doctor/findings.ts';
import { executable, insitu, lacking, type Outcome, sleep } from './insitu.ts';

interface Visit {
  readonly status: number | null;
  readonly able: boolean;
  readonly sections: readonly Section[];
  finding(what: string): Finding;
}

function read({ stdout, stderr, status }: Outcome): Visit {
  const line = stdout.split('\n').find((one) => one.startsWith('{"type":"doctor"'));
  assert.ok(line, stdout + stderr);
  const { able, sections } = (JSON.parse(line) as { data: { able: boolean; sections: readonly Section[] } }).data;
  const finding = (what: string): Finding => {
    const found = sections.flatMap(({ findings }) => findings).find((one) => one.what === what);
    assert.ok(found, `${what} is not in ${line}`);
    return found;
  };
  return { status, able, sections, finding };
}

const visit = async (...words: string[]): Promise<Visit> =>
  read(await insitu(['doctor', '--json', ...words], { timeout: 60_000 }));
/** With a command in front: setpriv, unshare. */
async function visitBy(command: string, ...words: string[]): Promise<Visit> {
  return read(await insitu([...words, process.execPath, executable, 'doctor', '--json'], { command, timeout: 60_000 }));
}

describe('doctor', { skip: lacking('tracefs', 'gcc', 'nm') }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'insitu-doctor-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const built = (name: string): string => join(folder, name);
  before(() => {
    writeFileSync(built('a.c'), '#include <unistd.h>\nint main(void) { for (;;) pause(); }\n');
    for (const [name, ...words] of [
      ['debug', '-g'],
      ['plain'],
      ['stripped', '-s'],
      ['nameless', '-s', '-Wl,--build-id=none'],
      [
        'frameless',
        '-fno-asynchronous-unwind-tables',
        '-fomit-frame-pointer',
        '-O2',
        '-nostartfiles',
        '-Wl,-e,main',
        '-static',
        '-nostdlib',
      ],
    ]) {
      const source = name === 'frameless' ? built('bare.c') : built('a.c');
      if (name === 'frameless') writeFileSync(source, 'int main(void) { for (;;); }\n');
      execFileSync('gcc', [...words, '-o', built(name as string), source]);
    }
  });

  test('what it says of each kind of probe is what happens', { timeout: 120_000 }, async () => {
    const { finding, able, status } = await visit();
    assert.deepEqual([able, status], [true, 0]);
    for (const [what, script] of [
      ['tracepoint', 'tracepoint:syscalls:sys_enter_openat { }'],
      ['uprobe, usdt', 'uprobe:libc:malloc { }'],
      ['kprobe', 'kprobe:vfs_read { }'],
      ['fentry', 'fentry:vfs_read { }'],
      ['iter', 'iter:task { }'],
      ['profile, software', 'profile:hz:99 { }'],
      ['profile, software', 'software:faults:1000 { }'],
      ['hardware', 'hardware:cycles:1000000 { }'],
    ] as const) {
      const run = await insitu(['--dry-run', '-e', script], { timeout: 30_000 });
      assert.equal(finding(what).verdict, run.status === 0 ? 'yes' : 'no', `${what}: ${run.stderr}`);
    }
  });

  test('why the kernel has no kprobes is what its own configuration says', {
    skip: !existsSync('/proc/config.gz') && 'needs /proc/config.gz',
  }, async () => {
    const config = gunzipSync(readFileSync('/proc/config.gz')).toString('latin1');
    const has = /^CONFIG_KPROBES=y$/m.test(config);
    const { verdict, detail, mend } = (await visit()).finding('kprobe');
    assert.equal(verdict, has ? 'yes' : 'no');
    assert.equal(detail.includes('built without CONFIG_KPROBES'), !has);
    assert.equal(mend?.includes('CONFIG_KPROBES=y') ?? false, !has);
  });

  for (const [dropped, missing] of [
    ['-bpf,-sys_admin', 'CAP_BPF'],
    ['-perfmon,-sys_admin', 'CAP_PERFMON'],
  ] as const) {
    test(`without ${missing}: nothing can be traced, and a script says the same`, { timeout: 60_000 }, async () => {
      const { able, status, finding } = await visitBy('setpriv', `--bounding-set=${dropped}`);
      assert.deepEqual([able, status], [false, 1]);
      assert.match(finding('capabilities').detail, new RegExp(`missing: ${missing} `));
      assert.match(finding('capabilities').mend ?? '', new RegExp(`--cap-add ${missing.slice(4)}`));
      const words = [`--bounding-set=${dropped}`, process.execPath, executable, '-e', 'BEGIN { exit() }'];
      const run = await insitu(words, { command: 'setpriv' });
      assert.equal(run.status, 1);
      assert.match(run.stderr, new RegExp(missing));
    });
  }

  test('not root; a cache that cannot be written', { timeout: 60_000 }, async () => {
    const words = ['--reuid=65534', '--regid=65534', '--clear-groups', 'env', 'HOME=/nonexistent', 'XDG_CACHE_HOME='];
    const { able, finding } = await visitBy('setpriv', ...words);
    assert.equal(able, false);
    assert.match(finding('capabilities').detail, /CAP_BPF .*CAP_PERFMON/);
    assert.equal(finding('capabilities').mend, 'sudo insitu …');
    assert.match(finding('other processes').detail, /CAP_SYS_PTRACE/);
    assert.deepEqual(
      [finding('cache').verdict, finding('cache').mend],
      ['part', 'XDG_CACHE_HOME=/some/folder insitu …'],
    );
  });

  test('without CAP_SYS_PTRACE, root cannot look into others either', { timeout: 60_000 }, async () => {
    const { able, finding } = await visitBy('setpriv', '--bounding-set=-sys_ptrace');
    assert.equal(able, true);
    assert.equal(finding('other processes').verdict, 'part');
  });

  test('without tracefs: it says who mounts it, and mounts nothing; its command does', {
    timeout: 60_000,
  }, async () => {
    const bare = 'umount -a -t tracefs; umount -a -t debugfs; ! grep -q tracefs /proc/mounts || exit 77;';
    const run = async (script: string): Promise<Visit & { readonly output: string }> => {
      const words = ['-m', 'sh', '-c', `${bare} ${script}`, process.execPath, executable];
      const outcome = await insitu(words, { command: 'unshare', timeout: 50_000 });
      return { ...read(outcome), output: outcome.stdout };
    };
    const root = await run('"$0" "$1" doctor --json; grep -c tracefs /proc/mounts');
    assert.match(root.finding('tracefs').detail, /not mounted: insitu mounts it/);
    assert.equal(root.output.trim().split('\n').at(-1), '0');
    const weak = await run('setpriv --bounding-set=-sys_admin "$0" "$1" doctor --json; true');
    assert.deepEqual([weak.finding('tracefs').verdict, weak.finding('tracepoint').verdict], ['no', 'no']);
    const mend = /^(mount .*) \(as root, on the host\)$/.exec(weak.finding('tracefs').mend ?? '')?.[1];
    assert.ok(mend);
    const mended = await run(`${mend}; setpriv --bounding-set=-sys_admin "$0" "$1" doctor --json; true`);
    assert.equal(mended.finding('tracefs').verdict, 'yes');
  });

  test('programs: names, types, stacks, build-id, machine', { timeout: 60_000 }, async () => {
    const verdicts = async (name: string): Promise<Record<string, string>> => {
      const { sections } = await visit(built(name));
      return Object.fromEntries((sections.at(-1)?.findings ?? []).map(({ what, verdict }) => [what, verdict]));
    };
    const all = {
      machine: 'yes',
      'build-id': 'yes',
      'function names': 'yes',
      'arguments, types': 'yes',
      'source lines': 'yes',
      'user stacks': 'yes',
    };
    assert.deepEqual(await verdicts('debug'), all);
    const plain = { ...all, 'arguments, types': 'part', 'source lines': 'part' };
    assert.deepEqual(await verdicts('plain'), plain);
    assert.deepEqual(await verdicts('stripped'), { ...plain, 'function names': 'part' });
    assert.deepEqual(await verdicts('nameless'), { ...plain, 'function names': 'part', 'build-id': 'part' });
    assert.equal((await verdicts('frameless'))['user stacks'], 'part');
    const arm = readFileSync(built('debug'));
    arm.writeUInt16LE(183, 18); // e_machine: EM_AARCH64
    writeFileSync(built('arm'), arm);
    const { finding } = await visit(built('arm'));
    assert.equal(finding('machine').verdict, 'no');
    assert.match(finding('machine').detail, /arm64/);
  });

  test("a package's program: the package with its symbols", {
    skip: !existsSync('/usr/bin/dpkg-query') && 'needs dpkg',
  }, async () => {
    const owner = execFileSync('sh', ['-c', 'dpkg-query -S /bin/bash 2>/dev/null || dpkg-query -S /usr/bin/bash'], {
      encoding: 'utf8',
    });
    const { finding } = await visit('/bin/bash');
    const { verdict, mend } = finding('function names');
    // Where bash's debug symbols are installed there is nothing to mend.
    if (verdict === 'part') assert.match(mend ?? '', new RegExp(`apt-get install ${owner.split(':')[0]}-dbgsym`));
  });

  describe('processes', () => {
    const children: ChildProcess[] = [];
    after(() => {
      for (const child of children) child.kill('SIGKILL');
    });
    const start = (command: string, ...words: string[]): number => {
      const child = spawn(command, words, { stdio: 'ignore' });
      children.push(child);
      return child.pid as number;
    };
    const running = async (pid: number, wanted: RegExp): Promise<void> => {
      const maps = (): string => {
        try {
          return readFileSync(`/proc/${pid}/maps`, 'latin1');
        } catch {
          return '';
        }
      };
      for (let tries = 0; tries < 400 && !wanted.test(maps()); tries++) await sleep(25);
    };

    test('as it runs', async () => {
      const pid = start(built('debug'));
      await running(pid, /debug[\s\S]*libc/);
      const { finding, sections, status } = await visit(String(pid));
      assert.equal(status, 0);
      assert.match(finding('process').detail, /^debug, one thread$/);
      assert.equal(sections.at(-1)?.title, built('debug'));
      assert.ok(
        !sections
          .flatMap(({ findings }) => findings)
          .some(({ what }) => what === 'debugger' || what === 'program file'),
      );
    });

    test('its file has gone', async () => {
      copyFileSync(built('debug'), built('gone'));
      execFileSync('chmod', ['755', built('gone')]);
      const pid = start(built('gone'));
      await running(pid, /gone[\s\S]*libc/);
      rmSync(built('gone'));
      const { finding } = await visit(String(pid));
      assert.match(finding('program file').detail, /gone has been replaced/);
      assert.match(finding('program file').mend ?? '', new RegExp(`uprobe:/proc/${pid}/exe:`));
    });

    test('a debugger holds it', { skip: lacking('strace') }, async () => {
      const pid = start(built('debug'));
      await running(pid, /libc/);
      const strace = start('strace', '-o', built('strace.log'), '-p', String(pid));
      for (
        let tries = 0;
        tries < 400 && !readFileSync(`/proc/${pid}/status`, 'latin1').includes(`TracerPid:\t${strace}\n`);
        tries++
      )
        await sleep(25);
      const { finding } = await visit(String(pid));
      assert.match(finding('debugger').detail, new RegExp(`^strace \\(pid ${strace}\\) traces it too`));
    });

    test('code made at run time, with names and without', { timeout: 60_000 }, async () => {
      const loop = 'let n = 0; setInterval(() => { for (let i = 0; i < 1e5; i++) n += i % 7; }, 1)';
      const plain = start(process.execPath, '-e', loop);
      const named = start(process.execPath, '--perf-basic-prof', '-e', loop);
      for (const pid of [plain, named]) await running(pid, /^\S+ [r-][w-]xp 00000000 00:00 0 *$/m);
      for (let tries = 0; tries < 400 && !existsSync(`/tmp/perf-${named}.map`); tries++) await sleep(25);
      try {
        const without = (await visit(String(plain))).finding('code made at run time');
        assert.deepEqual([without.verdict, without.mend], ['part', 'node --perf-basic-prof …']);
        const withNames = (await visit(String(named))).finding('code made at run time');
        assert.deepEqual([withNames.verdict, withNames.detail], ['yes', 'perf map']);
      } finally {
        rmSync(`/tmp/perf-${named}.map`, { force: true });
      }
    });
  });

  test('as text; what is not there', async () => {
    const { stdout } = await insitu(['doctor', built('stripped')], { timeout: 60_000 });
    assert.match(stdout, /^This machine\n {2}ok {4}kernel +Linux \d/);
    assert.match(stdout, /^ {2}part {2}function names +stripped: .*\n +-> .*--symbols /m);
    assert.match(stdout, /\ninsitu can trace here.*\.\n$/);
    for (const [words, complaint] of [
      [['doctor', '/there/is/none'], /\/there\/is\/none/],
      [['doctor', '4194303'], /there is no process 4194303/],
      [['doctor', built('a.c')], /not an ELF file/],
      [['doctor', 'a', 'b'], /doctor takes one program/],
    ] as const) {
      const { status, stderr } = await insitu([...words]);
      assert.equal(status, 1);
      assert.match(stderr, complaint);
    }
  });
});

/** A tracer in a pid and mount namespace of its own, and one outside that looks into it. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { executable, insitu, lacking, sleep } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-namespace-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const skip = lacking('tracefs', 'gcc') || (existsSync('/usr/bin/unshare') ? false : 'needs unshare');
const unshare = ['--pid', '--mount', '--fork', '--mount-proc', '--kill-child'];
const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');

describe('namespaces', { skip }, () => {
  test('a tracer inside sees its own numbers, and names of its own processes', { timeout: 40_000 }, async () => {
    // The child's own word: $$ is its pid where it is.
    const command = 'sh -c "echo child $$; kill -0 $$; exit 0"';
    const script = `tracepoint:syscalls:sys_enter_kill /pid == cpid/ { printf("%d %d %d %d %s", pid, tid, args.pid, pid(init) > pid, ustack(1)); }`;
    const { stdout, stderr } = await insitu([...unshare, executable, '-q', '-c', command, '-e', script], {
      command: 'unshare',
    });
    const child = Number(/child (\d+)/.exec(stdout)?.[1]);
    assert.ok(child > 0 && child < 300, stdout + stderr);
    assert.ok(
      lines(stdout).some((line) => line.startsWith(`${child} ${child} ${child} 1`)),
      stdout + stderr,
    );
    assert.match(stdout, /^\s+\w*kill\+\d+/m);
  });

  test('-p inside takes the number inside', { timeout: 40_000 }, async () => {
    const script = 'uprobe:libc:getppid { printf("%d\\n", pid); exit(); }';
    const shell = `perl -e 'getppid() while select(undef, undef, undef, 0.05) == 0' & echo target $!; sleep 0.3; exec "$0" -q -p $! -e '${script}'`;
    const { stdout, stderr } = await insitu([...unshare, 'sh', '-c', shell, executable], { command: 'unshare' });
    const target = /target (\d+)/.exec(stdout)?.[1];
    assert.ok(target !== undefined && lines(stdout).includes(target), stdout + stderr);
  });

  test('--follow inside: children and what they exec, by their numbers inside', { timeout: 40_000 }, async () => {
    const tree = join(folder, 'tree.pl');
    // Each says its number and how often it will call getppid(2) before its exec, and the program after it.
    writeFileSync(
      tree,
      `$| = 1; print "$$ 1\\n"; getppid();
for (1 .. 2) {
  next if fork;
  print "$$ 2\\n"; getppid() for 1 .. 2;
  exit if fork;
  select(undef, undef, undef, 0.2);
  print "$$ 5\\n";
  exec "perl", "-e", "getppid() for 1 .. 5";
}
`,
    );
    const script =
      'tracepoint:syscalls:sys_enter_getppid { @t[pid] = count(); } uprobe:libc:getppid { @u[pid] = count(); }';
    const { stdout, stderr } = await insitu(
      [...unshare, executable, '-q', '--follow', '-c', `perl ${tree}`, '-e', script],
      { command: 'unshare', timeout: 35_000 },
    );
    const said = lines(stdout).filter((line) => /^\d+ \d+$/.test(line));
    assert.equal(said.length, 5, stdout + stderr);
    assert.deepEqual(
      lines(stdout)
        .filter((line) => line.startsWith('@'))
        .sort(),
      ['t', 'u'].flatMap((name) => said.map((line) => `@${name}[${line.replace(' ', ']: ')}`)).sort(),
      stderr,
    );
  });

  test('pid(init) and pid(curr_ns) are the same outside', { timeout: 40_000 }, async () => {
    const script = 'BEGIN { printf("%d %d %d %d\\n", pid, pid(curr_ns), pid(init), tid(init) == tid); exit(); }';
    const { stdout, stderr } = await insitu(['-q', '-e', script]);
    const [pid, ...others] = lines(stdout)[0]?.split(' ') ?? [];
    assert.deepEqual(others, [pid, pid, '1'], stderr);
  });

  test('a path means the file that the process sees under it', { timeout: 40_000 }, async () => {
    const source = join(folder, 'program.c');
    const hidden = join(folder, 'mounted');
    writeFileSync(
      source,
      '#include <unistd.h>\n__attribute__((noinline)) void only_inside(int x) { __asm__ volatile(""); }\nint main(void) { for (int i = 0;; i++) { only_inside(i); usleep(20000); } }\n',
    );
    execFileSync('mkdir', ['-p', hidden]);
    // The program is built into a file system that only the other mount namespace has.
    const shell = `mount -t tmpfs none ${hidden} && gcc -O1 -o ${hidden}/program ${source} && echo ready && exec ${hidden}/program`;
    const child = spawn('unshare', ['--mount', 'sh', '-c', shell], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      await new Promise((resolve) => child.stdout.once('data', resolve));
      while (readFileSync(`/proc/${child.pid}/comm`, 'latin1') !== 'program\n') await sleep(20);
      assert.ok(!existsSync(`${hidden}/program`));
      const script = `uprobe:${hidden}/program:only_inside { printf("%s %s %d\\n", comm, func, arg0 > 0); exit(); }`;
      const { stdout, stderr } = await insitu(['-q', '-p', String(child.pid), '-e', script]);
      // It may run on between exit() and the detaching.
      assert.deepEqual([...new Set(lines(stdout))], ['program only_inside 1'], stderr);
    } finally {
      child.kill('SIGKILL');
    }
  });
});

/** The tracer as a process: children, signals, streams, and what it leaves behind. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { closeFd } from '../src/kernel/sys/bpfcall.ts';
import { objectFd } from '../src/kernel/sys/objects.ts';
import { executable, insitu, lacking, patience, Running, root, sleep } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-process-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const skip = lacking('tracefs');
const alive = (pid: number): boolean => {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
};
async function gone(pid: number, within = 3000): Promise<boolean> {
  for (const end = Date.now() + within; Date.now() < end; await sleep(20)) if (!alive(pid)) return true;
  return false;
}

/** Ids of the BPF programs, maps and links that a process holds, from its file descriptors. */
function bpfObjects(pid: number): { readonly kind: 'PROG' | 'MAP' | 'LINK'; readonly id: number }[] {
  return readdirSync(`/proc/${pid}/fdinfo`).flatMap((fd) => {
    const text = readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1');
    return [...text.matchAll(/^(prog|map|link)_id:\s*(\d+)/gm)].map(([, kind = '', id]) => ({
      kind: kind.toUpperCase() as 'PROG' | 'MAP' | 'LINK',
      id: Number(id),
    }));
  });
}

const exists = (kind: 'PROG' | 'MAP' | 'LINK', id: number): boolean => {
  const fd = objectFd(kind, id);
  if (fd !== undefined) closeFd(fd);
  return fd !== undefined;
};

describe('-c', { skip }, () => {
  test('attaches before the first instruction of the program', { timeout: 20_000, skip: lacking('gcc') }, async () => {
    // In a program without a dynamic loader, _start is the first instruction that runs.
    const source = join(folder, 'first.c');
    const binary = join(folder, 'first');
    writeFileSync(source, 'int main(void) { return 0; }\n');
    execFileSync('gcc', ['-static', '-o', binary, source]);
    const script = `uprobe:${binary}:_start { printf("%d\\n", pid == cpid); }`;
    const outcome = await insitu(['-q', '-c', binary, '-e', script]);
    assert.equal(outcome.stdout.trim(), '1', outcome.stderr);
    assert.equal(outcome.status, 0);
  });

  test('passes arguments with quotes, the environment and standard streams', { timeout: 20_000 }, async () => {
    const outcome = await insitu(
      [
        '-q',
        '-c',
        `sh -c 'read line; echo "$0|$1|$VALUE|$line"; echo oops >&2' "one two" 'three"four'`,
        '-e',
        'END { }',
      ],
      { input: 'from stdin\n', env: { VALUE: 'set' } },
    );
    assert.match(outcome.stdout, /^one two\|three"four\|set\|from stdin$/m, outcome.stderr);
    assert.match(outcome.stderr, /^oops$/m);
  });

  test('it has a process group of its own', { timeout: 20_000 }, async () => {
    // Fields 1, 5 and 6 of /proc/PID/stat: pid, process group, session.
    const { stdout } = await insitu(['-q', '-c', "cut -d' ' -f1,5,6 /proc/self/stat", '-e', 'END { }']);
    const [pid, group, session] = stdout.trim().split(' ');
    assert.ok(Number(pid) > 1, stdout);
    assert.deepEqual([group, session], [pid, pid]);
  });

  test('it reads a terminal, and Ctrl-C there ends both, END block and all', {
    timeout: 20_000,
    skip: existsSync('/usr/bin/script') ? false : 'needs script (bsdutils)',
  }, async () => {
    const reader = join(folder, 'reader.sh');
    writeFileSync(reader, 'read a; echo "got $a"; echo $$; sleep 30\n');
    // exec: a dash that waits for it would end by the SIGINT itself.
    const inner = `exec ${executable} -c 'sh ${reader}' -e 'END { printf("the end\\n"); }'`;
    const running = spawn('script', ['-qec', inner, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
    let text = '';
    running.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    const until = async (word: RegExp): Promise<void> => {
      for (const end = Date.now() + 10_000 * patience; !word.test(text); await sleep(10)) {
        assert.ok(Date.now() < end, `no ${word} in ${text}`);
      }
    };
    await until(/Attached/);
    running.stdin.write('a line\n');
    await until(/got a line\r?\n\d+/);
    const child = Number(/got a line\r?\n(\d+)/.exec(text)?.[1]);
    assert.ok(alive(child));
    running.stdin.write('\x03');
    await until(/the end/);
    assert.ok(await gone(child), 'the child is still there');
    running.stdin.end();
    assert.equal(await new Promise((resolve) => running.once('exit', resolve)), 0);
  });

  test('expands nothing', { timeout: 20_000 }, async () => {
    const outcome = await insitu(['-q', '-c', 'echo $HOME * ~', '-e', 'END { }']);
    assert.match(outcome.stdout, /^\$HOME \* ~$/m);
  });

  test('ends with the program and tells its exit status with -v', { timeout: 20_000 }, async () => {
    const outcome = await insitu(['-v', '-c', "sh -c 'exit 3'", '-e', 'END { printf("done\\n"); }']);
    assert.match(outcome.stdout, /^done$/m);
    assert.match(outcome.stderr, /\b3\b/);
    assert.equal(outcome.status, 0);
    const killed = await insitu(['-v', '-c', "sh -c 'kill -9 $$'", '-e', 'END { }']);
    assert.match(killed.stderr, /SIGKILL|signal 9/);
  });

  test('the child has the default dispositions and no blocked signals', { timeout: 20_000 }, async () => {
    const outcome = await insitu(['-q', '-c', 'grep -E "^Sig(Blk|Ign)" /proc/self/status', '-e', 'END { }']);
    assert.match(outcome.stdout, /SigBlk:\s*0{16}/);
    assert.match(outcome.stdout, /SigIgn:\s*0{16}/);
  });

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) {
    test(`${signal} is passed on, and the child does what it does at it`, { timeout: 20_000 }, async () => {
      const child = `trap "echo caught; exit 5" ${signal.slice(3)}; echo ready; while :; do sleep 0.05; done`;
      const running = new Running(['-v', '-c', `bash -c '${child}'`, '-e', 'END { printf("end\\n"); }']);
      await running.until(() => running.stdout.includes('ready'), 'the child has set its trap');
      running.child.kill(signal);
      const { status, stdout, stderr } = await running.ended();
      assert.match(stdout, /^end$/m, stderr);
      assert.match(stdout, /^caught$/m, stderr);
      assert.match(stderr, /exited with code: 5/);
      assert.equal(status, 0);
    });
  }

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
    test(`the child ends when insitu gets ${signal}`, { timeout: 20_000 }, async () => {
      const running = new Running(['-c', 'sleep 60', '-e', 'BEGIN { printf("child %d\\n", cpid); }']);
      await running.until(() => /child \d+/.test(running.stdout), 'it said its child');
      const child = Number(/child (\d+)/.exec(running.stdout)?.[1]);
      assert.ok(alive(child));
      running.child.kill(signal);
      await running.ended();
      assert.ok(await gone(child), 'the child is still there');
    });
  }
});

describe('-p', { skip }, () => {
  test('ends with the process', { timeout: 20_000 }, async () => {
    const process = spawn('sleep', ['60'], { stdio: 'ignore' });
    const running = new Running(['-p', String(process.pid), '-e', 'END { printf("over\\n"); }']);
    await running.attached();
    process.kill('SIGKILL');
    const outcome = await running.ended();
    assert.match(outcome.stdout, /^over$/m);
    assert.equal(outcome.status, 0);
  });
});

describe('the end', { skip }, () => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    test(`after ${signal} the END block has run and maps are printed`, { timeout: 20_000 }, async () => {
      const running = new Running(['-e', 'BEGIN { @m[1] = 5; } interval:s:60 { } END { printf("the end\\n"); }']);
      await running.attached();
      running.child.kill(signal);
      const { status, stdout, stderr } = await running.ended();
      assert.match(stdout, /^the end\n\n*@m\[1\]: 5$/m, stderr);
      assert.equal(status, 0);
    });
  }

  test('SIGUSR1 prints all maps and starts no debugger', { timeout: 20_000 }, async () => {
    const running = new Running([
      '-q',
      '-e',
      'BEGIN { @m[1] = 5; @n = 6; } interval:s:60 { } END { clear(@m); clear(@n); }',
    ]);
    await running.attached();
    running.child.kill('SIGUSR1');
    await running.until(() => running.stdout.includes('@n: 6'), 'it printed the maps');
    const { status, stdout, stderr } = await running.interrupt();
    assert.match(stdout, /^@m\[1\]: 5$/m);
    assert.equal(stderr, '');
    assert.equal(status, 0);
  });

  test('after SIGKILL no program, map or link is left', { timeout: 20_000 }, async () => {
    const script =
      'tracepoint:syscalls:sys_enter_openat { @[comm] = count(); } interval:s:1 { @t = nsecs; } ' +
      'uprobe:/usr/bin/node:uv_tcp_bind { @u++; }';
    const running = new Running(['-e', script]);
    await running.attached();
    const objects = bpfObjects(running.pid);
    for (const kind of ['PROG', 'MAP', 'LINK'] as const) {
      assert.ok(
        objects.some((object) => object.kind === kind),
        `it holds no ${kind}`,
      );
    }
    running.child.kill('SIGKILL');
    await running.ended();
    // Links go at once, programs and maps after an RCU grace period.
    for (const end = Date.now() + 5000 * patience; Date.now() < end; await sleep(50)) {
      if (!objects.some(({ kind, id }) => exists(kind, id))) return;
    }
    assert.deepEqual(
      objects.filter(({ kind, id }) => exists(kind, id)),
      [],
    );
  });

  test('a closed standard output ends it quietly', { timeout: 20_000 }, async () => {
    const running = new Running(['-e', 'interval:ms:10 { printf("tick\\n"); }']);
    await running.until(() => running.stdout.includes('tick'), 'it printed');
    running.child.stdout?.destroy();
    const { stderr, status } = await running.ended();
    assert.doesNotMatch(stderr, /ERROR|EPIPE/);
    assert.equal(status, 1);
  });

  test('a full file is told', { timeout: 20_000 }, async () => {
    const { status, stderr } = await insitu(['-o', '/dev/full', '-e', 'BEGIN { printf("x\\n"); exit(); }']);
    assert.match(stderr, /ERROR: cannot write to \/dev\/full: no space left on device/i);
    assert.equal(status, 1);
  });
});

describe('a full ring buffer', { skip }, () => {
  test('events that find no room are counted and told, and exit() still ends the run', {
    timeout: 30_000,
  }, async () => {
    // BEGIN runs to its end before anything is read: 300,000 records of 64 bytes are more than the buffer holds.
    const count = 300_000;
    const script = `BEGIN { $i = 0; while ($i < ${count}) { printf("%d event with some text to fill it\\n", $i); $i++; } exit(3); }`;
    const { status, stdout, stderr } = await insitu(['-q', '-e', script], { timeout: 25_000 });
    const seen = stdout.match(/event with some text/g)?.length ?? 0;
    const lost = Number(/Lost (\d+) event/i.exec(stderr)?.[1]);
    // The record of exit() is one more.
    assert.equal(seen + lost, count + 1, stderr);
    assert.ok(seen > 0 && lost > 0);
    assert.equal(status, 3);
  });
});

describe('ways to start it', { skip }, () => {
  test('under the name bpftrace, through a link, from another folder', { timeout: 20_000 }, async () => {
    const link = join(folder, 'bpftrace');
    symlinkSync(executable, link);
    const outcome = await insitu(['-q', '-e', 'BEGIN { printf("%s\\n", "linked"); exit(); }'], {
      command: link,
      cwd: '/',
    });
    assert.equal(outcome.stdout.trim(), 'linked', outcome.stderr);
  });

  test('a script with a shebang and its run bit', { timeout: 20_000 }, async () => {
    const path = join(folder, 'run.bt');
    writeFileSync(path, `#!${executable}\nBEGIN { printf("%d\\n", $1 + 1); exit(); }\n`, { mode: 0o755 });
    const outcome = await insitu(['41'], { command: path, cwd: '/' });
    assert.equal(outcome.stdout.trim(), '42', outcome.stderr);
  });

  test('a script from standard input', { timeout: 20_000 }, async () => {
    const outcome = await insitu(['-q', '-', '5'], { input: 'BEGIN { printf("%d\\n", $1); exit(); }' });
    assert.equal(outcome.stdout.trim(), '5', outcome.stderr);
  });

  test('output into a file', { timeout: 20_000 }, async () => {
    const path = join(folder, 'out');
    const outcome = await insitu(['-q', '-o', path, '-e', 'BEGIN { printf("in the file\\n"); exit(); }']);
    assert.equal(readFileSync(path, 'utf8').trim(), 'in the file', outcome.stderr);
    assert.equal(outcome.stdout, '');
  });

  test('--dry-run attaches and runs nothing', { timeout: 20_000 }, async () => {
    const outcome = await insitu(['--dry-run', '-e', 'BEGIN { printf("never\\n"); }']);
    assert.equal(outcome.stdout.trim(), '');
    assert.equal(outcome.status, 0, outcome.stderr);
  });

  test('every stage of the compilation has a printer', { timeout: 20_000 }, async () => {
    for (const [stage, pattern] of [
      ['ast', /printf/],
      ['types', /int/],
      ['ir', /call|return/],
      ['bpf', /exit/],
      ['verifier', /processed \d+ insns/],
    ] as const) {
      const outcome = await insitu([
        '-d',
        stage,
        '--dry-run',
        '-e',
        'BEGIN { $x = pid; printf("%d\\n", $x); exit(); }',
      ]);
      assert.match(outcome.stdout + outcome.stderr, pattern, `-d ${stage}`);
      assert.equal(outcome.status, 0);
    }
  });

  test('-V and -h need no privileges and no script', { timeout: 20_000 }, async () => {
    const version = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version;
    assert.match((await insitu(['-V'])).stdout, new RegExp(`^\\w+ v${version.replaceAll('.', '\\.')}`));
    assert.match((await insitu(['-h'])).stdout, /USAGE:[\s\S]*EXAMPLES:/);
  });
});

describe('speed', { skip }, () => {
  test('every event reaches the reader of a pipe while the trace runs', { timeout: 30_000 }, async (t) => {
    const target = join(folder, 'touched');
    const script = `tracepoint:syscalls:sys_enter_openat /pid == ${process.pid}/ { printf("opened %s\\n", str(args.filename)); }`;
    const running = new Running(['-e', script]);
    await running.attached();
    const delays: number[] = [];
    for (let i = 0; i < 15; i++) {
      const path = `${target}${i}-`;
      const start = performance.now();
      closeSync(openSync(path, 'w'));
      await running.until(() => running.stdout.includes(`opened ${path}\n`), 'the line came');
      delays.push(performance.now() - start);
      await sleep(20 + 7 * i);
    }
    await running.interrupt();
    const median = delays.sort((a, b) => a - b)[7] as number;
    assert.equal(delays.length, 15);
    t.diagnostic(`median from event to printed line: ${median.toFixed(1)} ms`);
  });
});

/** Programs without frame pointers, in the ways that calls can nest: insitu's stacks are gdb's, frame by frame. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { insitu, lacking, root } from '../insitu.ts';
import { assertSame, compare } from './compare.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-frames-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const source = (name: string): string => join(root, 'test', 'unwind', 'programs', name);
const built = (name: string): string => join(folder, name);

function build(command: string, ...args: string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8', cwd: folder });
  assert.equal(status, 0, `${command}: ${error?.message ?? stderr}`);
}

const noFramePointers = ['-O2', '-g0', '-fomit-frame-pointer', '-fno-optimize-sibling-calls'];
const found = (name: string): string | undefined =>
  [...(process.env['PATH'] ?? '').split(':'), '/usr/local/go/bin', join(process.env['HOME'] ?? '', '.cargo/bin')]
    .map((path) => join(path, name))
    .find((path) => existsSync(path));
/** Its own library compiled takes Go twenty seconds: kept. */
const goCache = join(process.env['INSITU_TEST_CACHE'] ?? join(homedir(), '.cache', 'insitu-test'), 'go-build');
const missing = (name: string): string | false => (found(name) === undefined ? `needs ${name}` : false);

describe('C, -O2 -fomit-frame-pointer', { skip: lacking('gcc', 'gdb') }, () => {
  before(() => {
    build(
      'gcc',
      ...noFramePointers,
      '-shared',
      '-fPIC',
      '-Wl,-soname,libthrough.so',
      '-o',
      'libthrough.so',
      source('library.c'),
    );
    // Tail calls are kept where they are the subject: in a file of their own they would be, too.
    build(
      'gcc',
      '-O2',
      '-g0',
      '-fomit-frame-pointer',
      '-o',
      'frames',
      source('frames.c'),
      './libthrough.so',
      '-Wl,-rpath,$ORIGIN',
      '-pthread',
    );
    build(
      'gcc',
      '-O2',
      '-g0',
      '-fomit-frame-pointer',
      '-static',
      '-o',
      'static',
      source('frames.c'),
      source('library.c'),
      '-pthread',
    );
    build(
      'gcc',
      '-O2',
      '-g0',
      '-fomit-frame-pointer',
      '-no-pie',
      '-Wl,-z,lazy',
      '-o',
      'lazy',
      source('frames.c'),
      './libthrough.so',
      '-Wl,-rpath,$ORIGIN',
      '-pthread',
    );
  });

  const ways = ['deep', 'alloca', 'aligned', 'tail', 'large', 'signal', 'alternate', 'library', 'qsort', 'thread'];
  for (const way of ways) {
    test(way, async () => {
      const compared = await compare([built('frames'), way], ['umask']);
      assertSame(compared);
      for (const { end } of compared.insitu) assert.equal(end, '');
      if (way === 'deep') assert.ok((compared.insitu[0]?.frames.length ?? 0) >= 100);
    });
  }
  for (const way of ['deep', 'signal', 'thread']) {
    test(`${way}, linked statically`, async () => assertSame(await compare([built('static'), way], ['umask'])));
  }
  test('library, without PIE and bound lazily', async () => {
    assertSame(await compare([built('lazy'), 'library'], ['umask']));
  });
});

test('C++', { skip: lacking('gcc', 'gdb') }, async () => {
  build('g++', ...noFramePointers, '-o', 'cxx', source('frames.cc'));
  const compared = await compare([built('cxx')], ['umask'], { count: 4 });
  assertSame(compared);
  assert.equal(compared.gdb.length, 4);
  assert.ok((compared.gdb[0]?.frames.length ?? 0) >= 90);
});

test('python3', { skip: lacking('gdb') || missing('python3') }, async () => {
  const script =
    'import os\ndef f(n):\n  return os.umask(18) if n == 0 else f(n - 1)\nsorted([3, 1, 2], key=lambda n: f(n))\n';
  writeFileSync(built('deep.py'), script);
  const python = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : (found('python3') as string);
  assertSame(await compare([python, built('deep.py')], ['umask'], { count: 3 }));
});

test('bash', { skip: lacking('gdb') || missing('bash') }, async () => {
  const script = 'f() { if [ $1 = 0 ]; then umask 022; else f $(($1 - 1)); fi; }; f 5; eval "f 3"';
  writeFileSync(built('deep.sh'), script);
  assertSame(await compare(['/bin/bash', built('deep.sh')], ['umask'], { count: 2 }));
});

test('Rust', { skip: lacking('gdb') || missing('rustc') }, async () => {
  writeFileSync(
    built('deep.rs'),
    `extern "C" { fn umask(mask: u32) -> u32; }
#[inline(never)] fn deep(n: u32, v: &mut Vec<u32>) -> u32 { v.push(n); let r = if n == 0 { unsafe { umask(18) } } else { deep(n - 1, v) }; v.push(r); r + v.len() as u32 }
fn main() {
  let mut v = Vec::new();
  println!("{}", deep(20, &mut v));
  let t = std::thread::spawn(|| { let mut v = Vec::new(); let mut s: Vec<u32> = vec![3, 1, 2]; s.sort_by(|a, b| { if v.is_empty() { deep(3, &mut v); } a.cmp(b) }); });
  t.join().unwrap();
}
`,
  );
  build(found('rustc') as string, '-O', '-o', 'rust', 'deep.rs');
  assertSame(await compare([built('rust')], ['umask'], { count: 2 }));
});

function buildGo(output: string, file: string): void {
  const compiler = found('go') as string;
  build('env', 'GO111MODULE=off', `GOCACHE=${goCache}`, 'CGO_ENABLED=0', compiler, 'build', '-o', output, file);
}

test('Go', { skip: lacking('gdb') || missing('go') }, async () => {
  writeFileSync(
    built('deep.go'),
    `package main

import (
	"fmt"
	"sort"
	"syscall"
)

//go:noinline
func deep(n int) int {
	if n == 0 {
		return syscall.Umask(18)
	}
	return deep(n-1) + n
}

func main() {
	fmt.Println(deep(20))
	done := make(chan int)
	go func() {
		s := []int{3, 1, 2}
		sort.Slice(s, func(i, j int) bool { deep(1); return s[i] < s[j] })
		done <- deep(3)
	}()
	<-done
}
`,
  );
  buildGo('go', 'deep.go');
  assertSame(await compare([built('go')], ['umask'], { count: 4 }));
});

test('Go: below a call that the runtime has put in at a fault, the function was interrupted', {
  skip: lacking('tracefs', 'btf') || missing('go'),
}, async () => {
  // Faults at the first instruction behind its prologue: one byte before that another row holds.
  writeFileSync(
    built('fault.go'),
    `package main

import (
	"fmt"
	"runtime"
	"syscall"
)

//go:noinline
func other(n int) int { return n + 1 }

//go:noinline
func faulty(p *int) int {
	return other(*p) + other(3)
}

//go:noinline
func guarded(p *int) (r int) {
	defer func() {
		recover()
		r = syscall.Umask(18)
		pcs := make([]uintptr, 64)
		frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
		for {
			frame, more := frames.Next()
			fmt.Println("FRAME", frame.Function)
			if !more {
				break
			}
		}
	}()
	return faulty(p) + 1
}

func main() {
	guarded(nil)
}
`,
  );
  buildGo('fault', 'fault.go');
  const script = 'tracepoint:syscalls:sys_enter_umask /pid == cpid/ { printf("BEGIN%sEND\\n", ustack); }';
  const { stdout, stderr } = await insitu(['-q', '-c', built('fault'), '-e', script]);
  const names = (/BEGIN\n([\s\S]*?)END/.exec(stdout)?.[1] ?? '')
    .split('\n')
    .flatMap((line) => line.trim().replace(/(\.abi0)?\+\d+$/, '') || []);
  const expected = [...stdout.matchAll(/^FRAME (.*)$/gm)].map(([, name = '']) => name);
  assert.ok(expected.includes('main.faulty') && expected.includes('runtime.sigpanic'), stdout);
  // Go tells of inlined functions too, and by name alone; older versions leave out how a panic calls what was deferred.
  const told = (all: readonly string[], others: readonly string[]): readonly string[] => [
    ...all.slice(0, 1),
    ...all.slice(all.indexOf('runtime.gopanic')).filter((name) => others.includes(name)),
  ];
  const stack = names.slice(names.indexOf('main.guarded.func1'));
  assert.equal(stack[0], 'main.guarded.func1', `${stdout}${stderr}`);
  assert.deepEqual(told(stack, stack), told(expected, stack), `${stdout}${stderr}`);
  for (const name of ['main.faulty', 'main.guarded', 'main.main', 'runtime.goexit'])
    assert.ok(names.includes(name), name);
});

test('Node with code of its compiler', { skip: lacking('gdb') }, async () => {
  const script = `function deep(n) { return n === 0 ? process.umask(18) : deep(n - 1) + 1; }
for (let i = 0; i < 3; i++) [3, 1, 2].sort((a, b) => { deep(10); return a - b; });`;
  writeFileSync(built('deep.js'), script);
  const compared = await compare([process.execPath, built('deep.js')], ['umask'], { count: 3, timeout: 90_000 });
  assertSame(compared);
  for (const { frames, end } of compared.insitu) {
    assert.equal(end, '');
    assert.ok(frames.length > 30);
  }
});

/**
 * Uretprobes on functions that exceptions pass: the program ends by what it would have caught, so that a
 * warning comes before; none where nothing is thrown. What the warning offers in their place does no harm.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { insitu, lacking, type Outcome } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-uretprobe-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const has = (command: string): boolean => spawnSync(command, ['--version']).error === undefined;
const skip = (compiler: string): string | false =>
  lacking() || (has(compiler) ? false : `needs ${compiler}`) || (process.arch === 'x64' ? false : 'x86-64 code');

const cpp = `#include <cstdio>
#include <stdexcept>
extern "C" {
__attribute__((noinline)) int inner(int n) { if (n < 0) throw std::runtime_error("negative"); return n * 2; }
__attribute__((noinline)) int middle(int n) { int result = inner(n) + 1; asm volatile(""); return result; }
__attribute__((noinline)) int outer(int n) { int result = middle(n) + 1; asm volatile(""); return result; }
__attribute__((noinline)) int outmost(int n) { int result = outer(n) + 1; asm volatile(""); return result; }
__attribute__((noinline)) int alone(int n) { asm volatile(""); return n + 1; }
}
int main() {
  std::printf("%d %d\\n", outmost(3), alone(1));
  std::fflush(stdout);
  try { std::printf("%d\\n", outmost(-1)); } catch (const std::exception &error) { std::printf("caught %s\\n", error.what()); }
  return 0;
}
`;
const c = `#include <pthread.h>
#include <stdio.h>
__attribute__((noinline)) int inner(int n) { asm volatile(""); return n * 2; }
__attribute__((noinline)) int middle(int n) { int result = inner(n) + 1; asm volatile(""); return result; }
int main(void) { printf("%d\\n", middle(3)); return 0; }
`;
const rust = `
#[inline(never)] #[no_mangle] pub fn middle(n: i64) -> i64 { inner(n) + 1 }
#[inline(never)] fn inner(n: i64) -> i64 { if n < 0 { panic!("negative") } n * 2 }
fn main() { println!("{}", middle(std::env::args().count() as i64)); }
`;

function build(name: string, compiler: string, suffix: string, source: string, ...flags: string[]): string {
  const binary = join(folder, name);
  writeFileSync(`${binary}.${suffix}`, source);
  execFileSync(compiler, [...flags, '-o', binary, `${binary}.${suffix}`], { stdio: 'pipe' });
  return binary;
}

const warning = /^WARNING: uretprobe on (.*): an exception or panic that passes .*$/gm;
/** The functions that each warning names, of a script that is only attached. */
async function warned(script: string): Promise<readonly string[]> {
  const { status, stderr } = await insitu(['--dry-run', '-e', script], { timeout: 60_000 });
  assert.equal(status, 0, stderr);
  return [...stderr.matchAll(warning)].map(([, names = '']) => names);
}

describe('a uretprobe in C++', { skip: skip('g++') }, () => {
  const run = (binary: string, script: string): Promise<Outcome> =>
    insitu(['-q', '-c', `sh -c "ulimit -c 0; exec ${binary}"`, '-e', script], { timeout: 60_000 });

  test('is warned of, and with reason; what the warning offers does no harm', async () => {
    const binary = build('throws', 'g++', 'cc', cpp, '-O1');
    const broken = await run(binary, `uretprobe:${binary}:middle { @returned = count(); }`);
    assert.match(broken.stderr, /^WARNING: uretprobe on middle: an exception or panic that passes it ends /m);
    assert.match(broken.stdout, /^9 2$/m, broken.stderr);
    assert.doesNotMatch(broken.stdout, /caught/);
    assert.match(broken.stderr, /terminate called after throwing/);
    const [, offered = ''] =
      /, as do uprobes where middle returns: (uprobe:[^(]*) \(reg\("ax"\) is the result\)$/m.exec(broken.stderr) ?? [];
    const whole = await run(binary, `${offered} { @result[(int32)reg("ax")] = count(); }`);
    assert.match(whole.stdout, /^9 2\ncaught negative$/m, whole.stderr);
    // Of the two calls one returns: 2 * 3 + 1.
    assert.deepEqual(whole.stdout.match(/^@result.*$/gm), ['@result[7]: 1']);
    assert.doesNotMatch(whole.stderr, warning);
  });

  test('on many: one warning; not on functions that call no other, and main', async () => {
    const binary = build('many', 'g++', 'cc', cpp, '-O1');
    const on = (name: string): string => `uretprobe:${binary}:${name} { }`;
    assert.deepEqual(await warned(['middle', 'alone', 'outer'].map(on).join('\n')), ['middle, outer']);
    const all = ['main', 'alone', 'inner', 'middle', 'outer', 'outmost'];
    assert.deepEqual(await warned(all.map(on).join('\n')), ['inner, middle, outer and others']);
    assert.deepEqual(await warned(`${on('alone')} ${on('main')} uprobe:${binary}:middle { }`), []);
    const quiet = await insitu(['--dry-run', '--no-warnings', '-e', on('middle')]);
    assert.doesNotMatch(quiet.stderr, warning);
  });

  test('in a library that catches nothing; not in a program that catches nothing', async () => {
    const source = cpp.replace(/ catch .*/, '').replace(/try \{/, '{');
    const library = build('library.so', 'g++', 'cc', source, '-O1', '-shared', '-fPIC');
    assert.deepEqual(await warned(`uretprobe:${library}:middle { }`), ['middle']);
    const program = build('uncaught', 'g++', 'cc', source, '-O1');
    assert.deepEqual(await warned(`uretprobe:${program}:middle { }`), []);
  });

  test('stripped, with all libraries within', async () => {
    const binary = build('static', 'g++', 'cc', cpp, '-O1', '-static');
    const [, address] = /^([0-9a-f]+) T middle$/m.exec(execFileSync('nm', [binary], { encoding: 'utf8' })) ?? [];
    execFileSync('strip', [binary]);
    assert.equal((await warned(`uretprobe:${binary}:0x${address} { }`)).length, 1);
  });
});

test('a uretprobe in C is not warned of', { skip: skip('gcc') }, async () => {
  for (const [name, ...flags] of [['dynamic'], ['cleaning', '-fexceptions'], ['whole', '-static']] as const) {
    const binary = build(name, 'gcc', 'c', c, '-O1', ...flags);
    assert.deepEqual(await warned(`uretprobe:${binary}:middle { }`), [], name);
  }
  // Its cleanups are for threads that are cancelled.
  assert.deepEqual(await warned('uretprobe:libc:getaddrinfo { }'), []);
});

test('a uretprobe in Go is, of every function', { skip: skip('go'), timeout: 120_000 }, async () => {
  // Its stack has to grow below middle(): the runtime finds the kernel's return address on it, and ends the program.
  const source = `package main
import "fmt"
//go:noinline
func deep(n int) int { var room [1024]int; room[n%1024] = n; if n == 0 { return room[0] }; return deep(n-1) + room[n%1024] }
//go:noinline
func middle(n int) int { return deep(n) + 1 }
func main() { done := make(chan int); go func() { done <- middle(400) }(); fmt.Println(<-done) }
`;
  const binary = join(folder, 'grows');
  writeFileSync(`${binary}.go`, source);
  const env = { ...process.env, CGO_ENABLED: '0', GO111MODULE: 'off', GOFLAGS: '' };
  execFileSync('go', ['build', '-o', binary, `${binary}.go`], { stdio: 'pipe', env });
  // 400 + 399 + … + 1, and 1.
  assert.equal(execFileSync(binary, { encoding: 'utf8' }), '80201\n');
  const broken = await insitu(['-q', '-c', binary, '-e', `uretprobe:${binary}:main.middle { }`], { timeout: 60_000 });
  const told =
    /^WARNING: uretprobe on main\.middle: Go's runtime ends .* Without harm: uprobes where main\.middle returns: (uprobe:[^(]*) \(reg\("ax"\) is the result\)$/m;
  const [, offered = ''] = told.exec(broken.stderr) ?? [];
  assert.match(broken.stderr, /unexpected return pc for main\.middle/);
  const whole = await insitu(['-q', '-c', binary, '-e', `${offered} { @result[reg("ax")] = count(); }`], {
    timeout: 60_000,
  });
  assert.match(whole.stdout, /^80201$/m, whole.stderr);
  assert.match(whole.stdout, /^@result\[80201\]: 1$/m);
  assert.doesNotMatch(whole.stderr, /WARNING: uretprobe/);
});

test('a uretprobe in Rust is, where panics unwind', { skip: skip('rustc'), timeout: 120_000 }, async () => {
  const unwinds = build('unwinds', 'rustc', 'rs', rust, '-O');
  assert.deepEqual(await warned(`uretprobe:${unwinds}:middle { }`), ['middle']);
  const aborts = build('aborts', 'rustc', 'rs', rust, '-O', '-C', 'panic=abort');
  assert.deepEqual(await warned(`uretprobe:${aborts}:middle { }`), []);
});

/** --flame, --folded, --pprof and --speedscope of a program whose functions are known to be busy 3:1. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { insitu, lacking } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-flame-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);
const busy = at('busy');

/** One round of `often` does three times what one of `seldom` does; both spend it in `spin`. */
const source = `
static volatile unsigned long sink;
__attribute__((noinline)) void spin(unsigned long rounds) { for (unsigned long i = 0; i < rounds; i++) sink += i; }
__attribute__((noinline)) void often(void) { spin(300000); sink++; }
__attribute__((noinline)) void seldom(void) { spin(100000); sink++; }
int main(void) {
  for (int i = 0; i < 6000; i++) { often(); seldom(); }
  return 0;
}
`;

/** Counts of folded lines, by the frames in them. */
function counts(text: string): { readonly total: number; of(frame: string): number } {
  const lines = text
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [, frames = '', count] = /^(.*) (\d+)$/.exec(line) ?? [];
      return { frames: frames.split(';'), count: Number(count) };
    });
  const sum = (some: typeof lines): number => some.reduce((all, { count }) => all + count, 0);
  return { total: sum(lines), of: (frame) => sum(lines.filter(({ frames }) => frames.includes(frame))) };
}

describe('profiles of stacks', { skip: lacking('tracefs', 'btf', 'gcc') }, () => {
  before(() => {
    writeFileSync(at('busy.c'), source);
    execFileSync('gcc', ['-O1', '-fomit-frame-pointer', '-fno-optimize-sibling-calls', '-o', busy, at('busy.c')]);
  });

  test('the four files of one run agree with each other and with the program', { timeout: 60_000 }, async (context) => {
    const script = 'profile:hz:999 /comm == "busy"/ { @[comm, ustack] = count(); }';
    const outcome = await insitu([
      ...['-q', '-e', script, '-c', busy, '--folded', '-', '--flame', at('a.svg')],
      ...['--pprof', at('a.pb.gz'), '--speedscope', at('a.json')],
    ]);
    assert.equal(outcome.status, 0, outcome.stderr);
    const folded = counts(outcome.stdout);
    assert.ok(folded.total > 100, outcome.stdout);
    const ratio = folded.of('often') / folded.of('seldom');
    assert.ok(ratio > 2 && ratio < 4.5, `often : seldom = ${ratio}\n${outcome.stdout}`);
    assert.match(outcome.stdout, /^busy;(?:.*;)?main;often;spin \d+$/m);
    assert.match(outcome.stdout, /^busy;(?:.*;)?main;seldom;spin \d+$/m);

    const svg = readFileSync(at('a.svg'), 'utf8');
    const widths = [...svg.matchAll(/<g class="f [a-z]+" data-s="\d+" data-n="(\d+)" data-d="0"/g)];
    assert.equal(
      widths.reduce((sum, [, count]) => sum + Number(count), 0),
      folded.total,
    );
    const scope = JSON.parse(readFileSync(at('a.json'), 'utf8'));
    assert.equal(
      scope.profiles[0].weights.reduce((sum: number, weight: number) => sum + weight, 0),
      folded.total,
    );
    const packed = readFileSync(at('a.pb.gz'));
    assert.ok(gunzipSync(packed).includes('seldom'));
    const read = spawnSync('go', ['tool', 'pprof', '-top', at('a.pb.gz')], { encoding: 'utf8' });
    if (read.status !== 0) return context.diagnostic('without go tool pprof: the file is not read back');
    assert.match(read.stdout, new RegExp(`% of ${folded.total} total|of ${folded.total} total`));
  });

  test('the map is printed too, and the page is one file', { timeout: 60_000 }, async () => {
    const script = 'profile:hz:999 /comm == "busy"/ { @on[ustack] = count(); @[comm] = count(); }';
    const outcome = await insitu(['-e', script, '-c', busy, '--flame', at('a.html')]);
    assert.equal(outcome.status, 0, outcome.stderr);
    assert.match(outcome.stdout, /^@on\[$/m);
    assert.match(outcome.stdout, /^@\[busy\]: \d+$/m);
    assert.match(readFileSync(at('a.html'), 'utf8'), /^<!DOCTYPE html>[\s\S]*data-t="often"/);
  });

  test('inlined functions are frames within the one they are in', { timeout: 60_000 }, async (context) => {
    const inlined = at('inlined');
    const always = 'static inline __attribute__((always_inline)) void';
    writeFileSync(
      at('inlined.c'),
      `static volatile unsigned long sink;
${always} inner(unsigned long n) { for (unsigned long i = 0; i < n; i++) sink += i; }
${always} middle(unsigned long n) { inner(n); sink++; }
__attribute__((noinline)) void outer(void) { middle(300000); sink++; }
int main(void) { for (int i = 0; i < 2000; i++) outer(); return 0; }
`,
    );
    execFileSync('gcc', ['-g', '-O1', '-o', inlined, at('inlined.c')]);
    const script =
      'config = { show_debug_info = true } profile:hz:999 /comm == "inlined"/ { @[ustack, kstack] = count(); }';
    const outcome = await insitu(['-q', '-e', script, '-c', inlined, '--folded', '-', '--pprof', at('inlined.pb.gz')]);
    assert.equal(outcome.status, 0, outcome.stderr);
    assert.match(outcome.stdout, /^(?:.*;)?main;outer;middle;inner \d+$/m);
    const read = spawnSync('go', ['tool', 'pprof', '-raw', at('inlined.pb.gz')], { encoding: 'utf8' });
    if (read.status !== 0) return context.diagnostic('without go tool pprof: the file is not read back');
    assert.match(read.stdout, /inner .*inlined\.c:2\b/);
    assert.match(read.stdout, /middle .*inlined\.c:3\b/);
    assert.match(read.stdout, /^1: 0x0\/0x0\/0x0 .*\/inlined /m);
  });
});

describe('mistakes', { skip: lacking('btf') }, () => {
  const one = 'BEGIN { @a[kstack] = count(); exit(); }';

  test('no map keyed by stacks: one message before the run, no file left', async () => {
    const script = 'BEGIN { printf("it ran\\n"); @[comm] = count(); exit(); }';
    const outcome = await insitu(['-e', script, '--flame', at('none.svg'), '--pprof', at('none.pb.gz')]);
    assert.equal(outcome.status, 1);
    assert.match(outcome.stderr, /^ERROR: no map of this script is keyed by a stack: .*\nHINT: count by stack: /m);
    assert.doesNotMatch(outcome.stdout, /it ran/);
    assert.deepEqual(
      readdirSync(folder),
      readdirSync(folder).filter((name) => !name.startsWith('none')),
    );
  });

  test('a map that is empty at the end: one message, no file left, an old one kept', async () => {
    writeFileSync(at('old.svg'), '');
    const script = 'BEGIN { @a[kstack] = count(); @b[kstack] = avg(1); exit(); } END { clear(@a); }';
    const outcome = await insitu(['-e', script, '--flame', at('old.svg'), '--speedscope', at('none.json')]);
    assert.equal(outcome.status, 1);
    assert.match(outcome.stderr, /^ERROR: no map with counts by stack at the end/m);
    assert.match(outcome.stderr, /^HINT: @b holds neither counts nor sums, which alone have a width$/m);
    assert.equal(existsSync(at('none.json')), false);
    assert.equal(existsSync(at('old.svg')), true);
  });

  test('of several maps the flame graph shows one, and says so; the others hold all', async () => {
    const script = 'BEGIN { @a[kstack] = count(); @b[comm, kstack] = sum(5); @c[kstack] = avg(1); exit(); }';
    const both = await insitu(['-q', '-e', script, '--flame', at('both.svg'), '--folded', '-']);
    assert.equal(both.status, 0, both.stderr);
    assert.match(both.stderr, /^WARNING: @c is left out: /m);
    assert.match(both.stderr, /^WARNING: .*both\.svg shows @a; --flame-map @b shows another map$/m);
    assert.match(both.stdout, /^@c\[\n[^;]*\]: 1\s+@a;.* 1\n@b;insitu;.* 5\n$/);
    const second = await insitu(['-q', '-e', script, '--folded', '-', '--flame-map', 'b']);
    assert.match(second.stdout, /^insitu;.* 5$/m);
  });

  test('a map that is not there is told, with those that are', async () => {
    const outcome = await insitu(['-e', one, '--folded', '-', '--flame-map', '@b']);
    assert.equal(outcome.status, 1);
    assert.match(outcome.stderr, /^ERROR: no map @b of this script is keyed by a stack\nHINT: there is @a$/m);
  });

  test('maps that are not printed at the end', async () => {
    const outcome = await insitu(['-e', `config = { print_maps_on_exit = false } ${one}`, '--folded', '-']);
    assert.equal(outcome.status, 1);
    assert.match(outcome.stderr, /^ERROR: config print_maps_on_exit = false leaves no maps/m);
  });

  test('a file that cannot be written is told before the run, as of -o', async () => {
    const outcome = await insitu(['-e', one, '--folded', '-', '--flame', '/nowhere/a.svg']);
    assert.equal(outcome.status, 1);
    assert.match(outcome.stderr, /^ERROR: cannot write to \/nowhere\/a\.svg: no such file or directory$/m);
    assert.match(outcome.stderr, /HINT: name a file .*: --flame FILE$/m);
    assert.equal(existsSync('/nowhere'), false);
  });

  test('a flame graph of an unknown kind', async () => {
    const outcome = await insitu(['-e', one, '--flame', 'a.png']);
    assert.equal(outcome.status, 1);
    assert.match(outcome.stderr, /^ERROR: --flame takes a file that ends with \.svg or \.html, not 'a\.png'$/m);
  });
});

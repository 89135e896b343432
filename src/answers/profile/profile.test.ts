/** Maps made by hand → folded lines, boxes, SVG and speedscope's JSON, each worked out by hand. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { fixedNames } from '../../render/fixed.ts';
import type { Names } from '../../render/names.ts';
import type { MapValue } from '../../values/map.ts';
import type { StackEnd, StackValue, Value } from '../../values/value.ts';
import { flameBoxes } from './flame.ts';
import { foldedText } from './folded.ts';
import { speedscopeText } from './speedscope.ts';
import { holdsNumbers, keyedByStacks, stackProfile } from './stacks.ts';
import { escapeXml, flameHtml, flameSvg } from './svg.ts';

// A return address is looked up one byte before, so the callers stand here at address - 1.
const symbols = {
  '1000': { name: 'leaf', offset: 0, file: '/bin/a' },
  '1010': { name: 'leaf', offset: 16, file: '/bin/a' },
  '1fff': { name: 'main', offset: 15, file: '/bin/a' },
  '2000': { name: 'main', offset: 16, file: '/bin/a' },
  '2fff': { name: 'std::vector<int; 3>::at<&x>', offset: 1, file: '/bin/a' },
  '3000': { name: '~Server::run', offset: 4, file: '/bin/a' },
  '4000': { name: 'LazyCompile:*go', offset: 0, file: '[jit]' },
  ffffffff81000000: { name: 'do_syscall_64', offset: 3 },
};
const wording = { names: fixedNames({ symbols, files: { '5000': '/lib/x.so', '5fff': '/lib/x.so' } }), trailer: '..' };

const stack = (frames: readonly number[], more: Partial<StackValue> = {}): StackValue => ({
  kind: 'stack',
  space: 'user',
  mode: 'bpftrace',
  pid: 7,
  frames,
  ...more,
});
const kernel = (): StackValue => ({ ...stack([]), space: 'kernel', pid: 0, frames: [0xffffffff81000000n] });
const comm = (text: string): Value => ({ kind: 'string', text, cut: false });
const int = (value: number | bigint): Value => ({ kind: 'int', value });
type Row = readonly [key: readonly Value[], value: Value];
const map = (...entries: readonly Row[]): MapValue => ({
  name: 'cpu',
  kind: 'map',
  keyed: true,
  set: true,
  entries: entries.map(([key, value]) => ({ key, value })),
});
const folded = (...entries: readonly Row[]): string => foldedText([stackProfile(map(...entries), wording)]);

describe('folded lines', () => {
  test('outermost first, without offsets, the same stacks added up', () => {
    const text = folded(
      [[stack([0x1000, 0x2000])], int(3)],
      [[stack([0x1010, 0x2000])], int(4)],
      [[stack([0x2000])], int(0)],
    );
    assert.equal(text, 'main;leaf 7\n');
  });

  test('other parts of the key are outermost, then user, then kernel frames', () => {
    const key = [kernel(), comm('my app'), stack([0x1000, 0x2000])];
    assert.equal(folded([key, int(2)]), 'my app;main;leaf;do_syscall_64 2\n');
    assert.equal(folded([[{ kind: 'tuple', elements: key }], int(2)]), 'my app;main;leaf;do_syscall_64 2\n');
  });

  test('a frame without a name shows its file, and a stack that ends early why', () => {
    const end: StackEnd = 'no rule';
    assert.equal(
      folded([[stack([0x1000, 0x5000, 0x2000], { end })], int(1)]),
      '[no unwind rule for main (/bin/a)];main;[unknown] (/lib/x.so);leaf 1\n',
    );
    assert.equal(folded([[stack([0x7777], { end: 'page not present' })], int(1)]), '[page not present];[unknown] 1\n');
  });

  test('an empty stack is told', () => {
    assert.equal(folded([[stack([])], int(5)]), '[no stack] 5\n');
    assert.equal(folded([[stack([]), kernel()], int(5)]), 'do_syscall_64 5\n');
  });

  test("the format's own characters do not come from names", () => {
    assert.equal(
      folded([[comm('a;b\nc'), stack([0x3000, 0x3000])], int(1)]),
      'a:b c;std::vector<int: 3>::at<&x>;~Server::run 1\n',
    );
  });

  test('functions that were inlined stand within the one they are in', () => {
    const names: Names = {
      ...wording.names,
      userSource: (_pid, address) =>
        address === 0x1000
          ? [
              { name: 'inner', file: 'a.h', line: 3 },
              { name: 'middle', file: 'a.c', line: 9 },
              { name: 'leaf', file: 'a.c', line: 20 },
            ]
          : undefined,
    };
    const profile = stackProfile(map([[stack([0x1000, 0x2000])], int(1)]), { ...wording, names });
    assert.equal(foldedText([profile]), 'main;leaf;middle;inner 1\n');
  });

  test('of several maps, each line names its map', () => {
    const one = stackProfile(map([[stack([0x1000])], int(1)]), wording);
    assert.equal(foldedText([one, { ...one, name: '@off' }]), '@cpu;leaf 1\n@off;leaf 1\n');
  });

  test('counts beyond 2^53 stay exact', () => {
    const most = 2n ** 53n;
    assert.equal(folded([[stack([0x1000])], int(most + 1n)], [[stack([0x1010])], int(2)]), 'leaf 9007199254740995\n');
  });
});

test('which maps a profile is made of', () => {
  const counted = map([[comm('a'), stack([0x1000])], int(1)]);
  assert.equal(keyedByStacks(counted) && holdsNumbers(counted), true);
  assert.equal(keyedByStacks(map([[comm('a')], int(1)])), false);
  const averages = map([[stack([0x1000])], { kind: 'avg', average: 1, count: 1, total: 1 }]);
  assert.deepEqual([keyedByStacks(averages), holdsNumbers(averages)], [true, false]);
  const profile = stackProfile(map([[stack([0x1000])], int(-4)], [[stack([0x2000])], int(4)]), wording);
  assert.deepEqual([profile.total, profile.negative, profile.samples.length], [4n, 1, 1]);
});

const example = stackProfile(
  map(
    [[stack([0x1000, 0x2000])], int(30)],
    [[stack([0x3000, 0x2000])], int(10)],
    [[stack([0x2000])], int(5)],
    [[stack([0x4000])], int(15)],
    [[kernel()], int(40)],
  ),
  wording,
);

test('boxes: callees within their callers, beside each other, by name', () => {
  const boxes = flameBoxes(example).map(({ frame, depth, start, count }) => [frame.name, depth, start, count]);
  assert.deepEqual(boxes, [
    ['LazyCompile:*go', 0, 0n, 15n],
    ['do_syscall_64', 0, 15n, 40n],
    ['main', 0, 55n, 45n],
    ['leaf', 1, 55n, 30n],
    ['~Server::run', 1, 85n, 10n],
  ]);
});

describe('the picture', () => {
  const svg = flameSvg(example, { title: 'a <b> & "c"' });
  const widthsAt = (text: string, depth: number): number[] =>
    [...text.matchAll(/data-d="(-?\d+)".*?<rect [^>]*width="([\d.]+)"/g)]
      .filter(([, row]) => Number(row) === depth)
      .map(([, , width]) => Number(width));

  test('widths are the shares of 1180 px', () => {
    assert.deepEqual(widthsAt(svg, -1), [1180]);
    assert.deepEqual(widthsAt(svg, 0), [177, 472, 531]);
    assert.deepEqual(widthsAt(svg, 1), [354, 118]);
  });

  test('kinds, tooltips, no need of another file', () => {
    assert.match(svg, /<g class="f jit" [^>]*><title>LazyCompile:\*go \(\[jit\]\): 15, 15\.00 %<\/title>/);
    assert.match(svg, /<g class="f inferred" [^>]*><title>~Server::run \(\/bin\/a\): 10, 10\.00 %<\/title>/);
    assert.match(svg, /<g class="f kernel" /);
    assert.match(svg, /<title>main \(\/bin\/a\): 45, 45\.00 %<\/title>/);
    for (const text of [svg, flameHtml(example, { title: 'x' })]) {
      assert.deepEqual(text.match(/(?:src|href|@import|url\()[^\n]*/g), null);
      assert.deepEqual(new Set(text.match(/https?:[^"' ]*/g)), new Set(['http://www.w3.org/2000/svg']));
    }
  });

  test('names cannot break out of it', () => {
    assert.equal(escapeXml('<a href="x">&\u0001\ud800'), '&lt;a href=&quot;x&quot;&gt;&amp;\ufffd\ufffd');
    const evil = '</title></svg><script>alert(1)</script>';
    const hostile = stackProfile(map([[comm(evil), stack([0x3000, 0x3000])], int(1)]), wording);
    const html = flameHtml(hostile, { title: evil });
    assert.equal(html.match(/<script>/g)?.length, 1);
    assert.equal(html.includes('alert(1)</script>'), false);
  });

  test('is well-formed XML', (context) => {
    const hostile = stackProfile(map([[comm(']]>&<"\u0000'), stack([0x3000, 0x3000])], int(1)]), wording);
    for (const text of [svg, flameSvg(hostile, { title: '\u0007<&>' })]) {
      const check =
        'import sys, xml.etree.ElementTree as e; print(len(e.parse(sys.stdin.buffer).getroot().findall(".//{*}title")))';
      const parsed = spawnSync('python3', ['-c', check], { input: text, encoding: 'utf8' });
      if (parsed.error !== undefined) {
        context.skip('needs python3, whose XML parser looks at it');
        return;
      }
      assert.equal(parsed.status, 0, parsed.stderr);
      assert.equal(Number(parsed.stdout), text === svg ? 6 : 4);
    }
  });

  test('what is too narrow to be seen is counted', () => {
    const wide = map([[stack([0x1000])], int(1_000_000)], [[stack([0x2000])], int(1)]);
    const profile = stackProfile(wide, wording);
    assert.match(flameSvg(profile, { title: 'x' }), />1 boxes narrower than 0\.1 px are not drawn</);
    assert.match(flameHtml(profile, { title: 'x' }), /data-t="main"/);
  });
});

test("speedscope's file", () => {
  const file = JSON.parse(speedscopeText([example, { ...example, name: '@off' }], 'x.bt'));
  assert.equal(file.$schema, 'https://www.speedscope.app/file-format-schema.json');
  const names = file.shared.frames.map((frame: { name: string }) => frame.name);
  assert.deepEqual(names, ['main', 'leaf', '~Server::run', 'LazyCompile:*go', 'do_syscall_64']);
  assert.deepEqual(
    file.profiles.map(({ name, type }: { name: string; type: string }) => [name, type]),
    [
      ['@cpu', 'sampled'],
      ['@off', 'sampled'],
    ],
  );
  assert.deepEqual(file.profiles[0].samples, [[0, 1], [0, 2], [0], [3], [4]]);
  assert.deepEqual(file.profiles[0].weights, [30, 10, 5, 15, 40]);
  assert.equal(file.profiles[0].endValue, 100);
});

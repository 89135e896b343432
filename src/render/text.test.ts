import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Source } from '../diag/source.ts';
import { histogramBuckets, lhistBuckets } from '../program/histogram.ts';
import { type StackEnd, stackEnds } from '../program/unwind.ts';
import type { TraceEvent } from '../values/event.ts';
import { histogramIndex, lhistIndex } from '../values/histogram.ts';
import type { MapEntry, MapValue } from '../values/map.ts';
import { selectEntries, sortEntries } from '../values/map.ts';
import type { HistogramValue, StackValue, Value } from '../values/value.ts';
import { fixedNames } from './fixed.ts';
import { createRenderer } from './index.ts';
import { inetText, valueText } from './words.ts';

// Literals without a remark were printed by bpftrace 0.27.1.

const names = fixedNames({
  symbols: {
    '7f442331ae89': { name: 'syscall', offset: 25, file: '/usr/lib/x86_64-linux-gnu/libc.so.6' },
    ffffffff81f0582a: { name: '__bpf_prog_test_run_raw_tp', offset: 106 },
    ffffffff81000000: { name: '_text', offset: 0 },
  },
  buildIds: { '7f442331ae89': { buildId: '93ac61ec5a8eb1396f9fbd350e3169a558528a40', offset: 0x2724a } },
  stacks: { 5: [0xffffffff81f0582an] },
  users: { 0: 'root' },
});

/** What an event writes to stdout and to stderr. */
function render(event: TraceEvent, script = ''): { readonly out: string; readonly err: string } {
  let out = '';
  let err = '';
  const wording = { names, trailer: '..' };
  const source = new Source('stdin', script);
  createRenderer('text', { write: (text) => (out += text), error: (text) => (err += text), wording, source })(event);
  return { out, err };
}

const print = (value: Value): string => render({ type: 'value', value }).out;
const int = (value: number | bigint): Value => ({ kind: 'int', value });
const string = (text: string): Value => ({ kind: 'string', text, cut: false });
const tuple = (...elements: Value[]): Value => ({ kind: 'tuple', elements });
const array = (...elements: Value[]): Value => ({ kind: 'array', elements });
const record = (fields: Record<string, Value>): Value => ({
  kind: 'record',
  name: '',
  fields: Object.entries(fields).map(([name, value]) => ({ name, value })),
});

function map(name: string, value: Value | readonly MapEntry[]): MapValue {
  const entries = 'kind' in value ? [{ key: [], value }] : sortEntries(value);
  const kinds = { hist: 'hist', lhist: 'hist', avg: 'stats', stats: 'stats' } as const;
  const kind = kinds[(entries[0]?.value.kind ?? 'int') as keyof typeof kinds] ?? 'map';
  return { name, kind, keyed: !('kind' in value), entries, set: true };
}
const printMap = (value: MapValue): string => render({ type: 'map', map: value }).out;

function shown(counts: readonly number[]): readonly [number, number] | undefined {
  const first = counts.findIndex((count) => count > 0);
  return first < 0 ? undefined : [first, counts.findLastIndex((count) => count > 0)];
}
function hist(bits: number, ...values: (number | bigint)[]): HistogramValue {
  const counts = new Array<number>(histogramBuckets(bits)).fill(0);
  for (const value of values) (counts[histogramIndex(BigInt(value), bits)] as number) += 1;
  return { kind: 'hist', counts, shown: shown(counts), bits, min: 0n, max: 0n, step: 0n };
}
function lhist(min: bigint, max: bigint, step: bigint, ...values: number[]): HistogramValue {
  const counts = new Array<number>(lhistBuckets(min, max, step)).fill(0);
  for (const value of values) (counts[lhistIndex(BigInt(value), min, max, step)] as number) += 1;
  return { kind: 'lhist', counts, shown: shown(counts), bits: 0, min, max, step };
}

test('values', () => {
  assert.equal(print(int(-1)), '-1\n');
  assert.equal(print(int(18446744073709551615n)), '18446744073709551615\n');
  assert.equal(print(string('abc')), 'abc\n');
  assert.equal(print(tuple(int(1), string('a'), tuple(int(2), int(3)))), '(1, a, (2, 3))\n');
  assert.equal(print({ kind: 'bool', value: true }), 'true\n');
  assert.equal(print({ kind: 'pointer', value: 5 }), '0x5\n');
  assert.equal(print({ kind: 'pointer', value: 0xffff888109f7d3c0n }), '0xffff888109f7d3c0\n');
  assert.equal(print(array(int(1), int(2), int(3))), '[1,2,3]\n');
  assert.equal(print(array(array(int(1), int(2)), array(int(3), int(4)))), '[[1,2],[3,4]]\n');
  assert.equal(
    print(record({ a: int(1), b: string('x'), c: record({ z: int(1) }) })),
    '{ .a = 1, .b = x, .c = { .z = 1 } }\n',
  );
  assert.equal(print({ kind: 'buffer', bytes: Uint8Array.from([0x61, 1, 0x62]) }), 'a\\x01b\n');
  assert.equal(print({ kind: 'enum', value: 2, name: 'GREEN' }), 'GREEN\n');
  assert.equal(print({ kind: 'enum', value: 7, name: undefined }), '7\n');
  assert.equal(print({ kind: 'username', value: 0 }), 'root\n');
  assert.equal(print({ kind: 'strerror', value: 2 }), 'No such file or directory\n');
  assert.equal(print({ kind: 'signal_name', value: 9 }), 'Killed\n');
  assert.equal(print({ kind: 'mac_address', bytes: Uint8Array.from([0x6e, 0x6d, 0, 0, 0, 0]) }), '6E:6D:00:00:00:00\n');
  assert.equal(print({ kind: 'probe_name', value: 0 }), 'begin\n');
});

// bpftrace 0.17 on a struct with an array of structs (the 0.27.1 binary here crashes on it).
test('arrays of records', () => {
  const value = record({ ins: array(record({ a: int(6) }), record({ a: int(7) })), uc: array(int(1)) });
  assert.equal(print(value), '{ .ins = [{ .a = 6 },{ .a = 7 }], .uc = [1] }\n');
});

test('internet addresses', () => {
  const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));
  assert.equal(inetText(2, bytes('7f000001')), '127.0.0.1');
  assert.equal(inetText(10, bytes('00000000000000000000000000000001')), '::1');
  assert.equal(inetText(10, bytes('fe800000000000000000000000010002')), 'fe80::1:2');
  // RFC 5952 sections 4.2 and 5, and inet_ntop(3).
  assert.equal(inetText(10, bytes('20010db8000000000001000000000001')), '2001:db8::1:0:0:1');
  assert.equal(inetText(10, bytes('20010db8000000010001000100010001')), '2001:db8:0:1:1:1:1:1');
  assert.equal(inetText(10, bytes('00000000000000000000000000000000')), '::');
  assert.equal(inetText(10, bytes('20010000000000000000000000000000')), '2001::');
  assert.equal(inetText(10, bytes('00000000000000000000ffffc0000201')), '::ffff:192.0.2.1');
});

const stack = (mode: 'bpftrace' | 'perf' | 'raw' | 'build_id', ...frames: (number | bigint)[]): Value => ({
  kind: 'stack',
  space: typeof frames[0] === 'bigint' ? 'kernel' : 'user',
  mode,
  pid: 7,
  frames,
});

test('stacks', () => {
  const known = 0x7f442331ae89;
  const unknown = 0x55c2e055ace8;
  assert.equal(print(stack('bpftrace', known, unknown)), '\n        syscall+25\n        0x55c2e055ace8\n\n');
  assert.equal(
    print(stack('perf', known, unknown)),
    '\n\t7f442331ae89 syscall+25 (/usr/lib/x86_64-linux-gnu/libc.so.6)\n\t55c2e055ace8 0x55c2e055ace8 ([unknown])\n\n',
  );
  assert.equal(print(stack('raw', known, unknown)), '\n7f442331ae89\n55c2e055ace8\n\n');
  assert.equal(print(stack('build_id', known)), '\n93ac61ec5a8eb1396f9fbd350e3169a558528a40 0x2724a\n\n');
  assert.equal(print(stack('bpftrace', 0xffffffff81f0582an)), '\n        __bpf_prog_test_run_raw_tp+106\n\n');
  assert.equal(print(stack('perf', 0xffffffff81f0582an)), '\n\tffffffff81f0582a __bpf_prog_test_run_raw_tp+106\n\n');
  assert.equal(print(stack('bpftrace')), '\n\n');
  const stored: Value = {
    kind: 'stack',
    space: 'kernel',
    mode: 'bpftrace',
    pid: 0,
    frames: [],
    stored: { map: 0, id: 5 },
  };
  assert.equal(print(stored), '\n        __bpf_prog_test_run_raw_tp+106\n\n');
});

test('a stack that ends early says why', () => {
  const ended = (end: StackEnd, mode: 'bpftrace' | 'perf' | 'raw' = 'bpftrace'): string =>
    print({ ...(stack(mode, 0x7f442331ae89) as StackValue), end });
  assert.equal(ended('complete'), '\n        syscall+25\n\n');
  assert.equal(ended('no user registers'), '\n        syscall+25\n\n');
  assert.equal(ended('depth'), '\n        syscall+25\n        [depth limit 127]\n\n');
  assert.equal(ended('page not present', 'raw'), '\n7f442331ae89\n[page not present]\n\n');
  assert.equal(
    ended('no rule'),
    '\n        syscall+25\n        [no unwind rule for syscall+25 (/usr/lib/x86_64-linux-gnu/libc.so.6)]\n\n',
  );
  for (const end of stackEnds) assert.doesNotThrow(() => ended(end));
});

test('a return address is named by the call before it', () => {
  const frames = fixedNames({
    symbols: {
      '1fff': { name: 'calls', offset: 15 },
      '2000': { name: 'follows', offset: 0 },
      '2fff': { name: 'before', offset: 31 },
      '3000': { name: 'interrupted', offset: 0 },
      '1000': { name: '__restore_rt', offset: 0 },
      fff: { name: 'padding', offset: 7 },
    },
  });
  const text = (...addresses: number[]): string =>
    valueText(stack('bpftrace', ...addresses), { names: frames, trailer: '..' });
  assert.equal(text(0x2000, 0x2000), '\n        follows+0\n        calls+16\n');
  assert.equal(text(0x1000, 0x3000, 0x3000), '\n        __restore_rt+0\n        interrupted+0\n        before+32\n');
});

test('symbols', () => {
  assert.equal(print({ kind: 'symbol', space: 'kernel', address: 0xffffffff81000000n, pid: 0 }), '_text\n');
  assert.equal(print({ kind: 'symbol', space: 'user', address: 0x7f442331ae89, pid: 7 }), 'syscall\n');
  assert.equal(print({ kind: 'symbol', space: 'user', address: 0x1234, pid: 7 }), '0x1234\n');
  assert.equal(print({ kind: 'symbol', space: 'kernel', address: 0, pid: 0 }), '0\n');
});

test('maps', () => {
  assert.equal(printMap(map('s', string('str'))), '@s: str\n');
  assert.equal(printMap(map('', int(1))), '@: 1\n');
  assert.equal(printMap(map('t', tuple(int(1), string('a')))), '@t: (1, a)\n');
  assert.equal(printMap(map('k2', [{ key: [int(1), string('abc')], value: int(5) }])), '@k2[1, abc]: 5\n');
  assert.equal(printMap(map('kt', [{ key: [tuple(int(1), int(2))], value: int(1) }])), '@kt[1, 2]: 1\n');
  const nested = [tuple(int(1), tuple(int(2), string('x'))), int(3)];
  assert.equal(printMap(map('kn', [{ key: nested, value: int(1) }])), '@kn[(1, (2, x)), 3]: 1\n');
  assert.equal(printMap(map('ka', [{ key: [array(int(1), int(2), int(3))], value: int(1) }])), '@ka[[1,2,3]]: 1\n');
  assert.equal(
    printMap(
      map('k', [
        { key: [int(1)], value: int(5) },
        { key: [int(-1)], value: int(3) },
      ]),
    ),
    '@k[-1]: 3\n@k[1]: 5\n',
  );
  assert.equal(printMap(map('e', [])), '');
  const frames = stack('bpftrace', 0x7f442331ae89, 0x556995443e78);
  assert.equal(
    printMap(map('kboth', [{ key: [frames, string('bpftrace')], value: int(1) }])),
    '@kboth[\n        syscall+25\n        0x556995443e78\n, bpftrace]: 1\n',
  );
  assert.equal(printMap(map('ust', frames)), '@ust: \n        syscall+25\n        0x556995443e78\n\n');
  assert.equal(
    printMap(map('k', [{ key: [record({ a: int(1), b: string('x') })], value: int(1) }])),
    '@k[{ .a = 1, .b = x }]: 1\n',
  );
});

test('averages and statistics', () => {
  assert.equal(printMap(map('avg', { kind: 'avg', average: -3, count: 2, total: -7 })), '@avg: -3\n');
  // As bpftrace up to 0.26 prints it; 0.27 made it a record.
  assert.equal(
    printMap(map('st', { kind: 'stats', average: 4, count: 2, total: 8 })),
    '@st: count 2, average 4, total 8\n',
  );
});

test('hist', () => {
  assert.equal(
    printMap(map('x', hist(0, 3))),
    '@x:\n[2, 4)                 1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|\n\n',
  );
  assert.equal(
    printMap(map('b1', hist(1, -5, ...Array.from({ length: 70 }, (_, i) => i)))),
    `@b1:
(..., 0)               1 |@@@                                                 |
[0]                    1 |@@@                                                 |
[1]                    1 |@@@                                                 |
[2]                    1 |@@@                                                 |
[3]                    1 |@@@                                                 |
[4, 6)                 2 |@@@@@@                                              |
[6, 8)                 2 |@@@@@@                                              |
[8, 12)                4 |@@@@@@@@@@@@@                                       |
[12, 16)               4 |@@@@@@@@@@@@@                                       |
[16, 24)               8 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |
[24, 32)               8 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |
[32, 48)              16 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
[48, 64)              16 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
[64, 96)               6 |@@@@@@@@@@@@@@@@@@@                                 |

`,
  );
  const labels = (value: HistogramValue): string[] =>
    printMap(map('m', value))
      .split('\n')
      .filter((line) => / [1-9]\d* \|/.test(line))
      .map((line) => line.slice(0, line.indexOf(')') + 1));
  const powers = [-2, 2, 1023, 1024, 1048576, 5_000_000_000, 1_100_000_000_000, 1n << 50n, 1n << 60n, 2n ** 63n - 1n];
  assert.deepEqual(labels(hist(0, ...powers)), [
    '(..., 0)',
    '[2, 4)',
    '[512, 1K)',
    '[1K, 2K)',
    '[1M, 2M)',
    '[4G, 8G)',
    '[1T, 2T)',
    '[1P, 2P)',
    '[1E, 2E)',
    '[4E, 8E)',
  ]);
  assert.deepEqual(labels(hist(1, 2n ** 63n - 1n)), ['[6E, 8E)']);
  assert.deepEqual(labels(hist(2, 5000, 5500)), ['[4K, 5K)', '[5K, 6K)']);
  assert.deepEqual(labels(hist(3, 1_000_000)), ['[960K, 1024K)']);
  const fine = [1023, 1024, 1_000_000, (1n << 62n) - 1n, 1n << 62n, 2n ** 63n - 1n];
  assert.deepEqual(labels(hist(5, ...fine)), [
    '[1008, 1024)',
    '[1024, 1056)',
    '[976K, 992K)',
    '[4032P, 4096P)',
    '[4096P, 4224P)',
    '[8064P, 8192P)',
  ]);
});

test('lhist', () => {
  assert.equal(
    printMap(map('l', lhist(0n, 10n, 2n, -5, 0, 3, 10, 9))),
    `@l:
(..., 0)               1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
[0, 2)                 1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
[2, 4)                 1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
[4, 6)                 0 |                                                    |
[6, 8)                 0 |                                                    |
[8, 10)                1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
[10, ...)              1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|

`,
  );
  const rows = (value: HistogramValue): string[] =>
    printMap(map('l', value))
      .split('\n')
      .filter((line) => / [1-9]\d* \|/.test(line))
      .map((line) => line.slice(0, line.indexOf('|')));
  assert.deepEqual(rows(lhist(0n, 10n, 1n, 5)), ['[5]                    1 ']);
  assert.deepEqual(rows(lhist(0n, 10n, 3n, 0, 3, 9, 10)), [
    '[0, 3)                 1 ',
    '[3, 6)                 1 ',
    '[9, ...)               2 ',
  ]);
  assert.deepEqual(rows(lhist(0n, 10240n, 1024n, 0, 1500, 15000)), [
    '[0, 1K)                1 ',
    '[1K, 2K)               1 ',
    '[10K, ...)             1 ',
  ]);
  assert.deepEqual(rows(lhist(0n, 10485760n, 1048576n, 1048576)), ['[1M, 2M)               1 ']);
  assert.deepEqual(rows(lhist(0n, 10496000n, 1049600n, 1049600)), ['[1025K, 2050K)         1 ']);
  assert.deepEqual(rows(lhist(5n, 5125n, 1024n, 5)), ['[5, 1029)              1 ']);
  assert.deepEqual(rows(lhist(1000n, 3000n, 24n, 1023, 1025)), [
    '[1000, 1024)           1 ',
    '[1024, 1048)           1 ',
  ]);
  assert.deepEqual(rows(lhist(1000000000n, 1000001000n, 100n, 0, 1000000050)), [
    '(..., 1000000000)       1 ',
    '[1000000000, 1000000100)       1 ',
  ]);
});

test('histograms under keys, divided ones, empty ones', () => {
  const two = map('hk', [
    { key: [int(2)], value: hist(0, 5, 8) },
    { key: [int(1)], value: hist(0, 5) },
  ]);
  assert.equal(
    printMap(two),
    `@hk[1]:
[4, 8)                 1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|

@hk[2]:
[4, 8)                 1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
[8, 16)                1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|

`,
  );
  // print(@hh, 0, 2) of three 5 and one 9.
  assert.equal(
    printMap(selectEntries(map('hh', hist(0, 5, 5, 5, 9)), 0, 2)),
    `@hh:
[4, 8)                 1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
[8, 16)                0 |                                                    |

`,
  );
  // After zero(@h), and after clear(@h).
  assert.equal(printMap(map('h', hist(0))), '@h:\n\n');
  assert.equal(printMap({ ...map('h', hist(0)), set: false }), '');
});

test('the rest of the events', () => {
  assert.deepEqual(render({ type: 'printf', text: 'a b' }), { out: 'a b', err: '' });
  assert.deepEqual(render({ type: 'join', text: '/bin/echo,a,b,c' }), { out: '/bin/echo,a,b,c\n', err: '' });
  assert.deepEqual(render({ type: 'time', text: '18:44:37\n' }), { out: '18:44:37\n', err: '' });
  assert.deepEqual(render({ type: 'cat_output', text: '32768\n' }), { out: '32768\n', err: '' });
  assert.deepEqual(render({ type: 'attached_probes', count: 1 }), { out: '', err: 'Attached 1 probe\n' });
  assert.deepEqual(render({ type: 'end' }), { out: '\n\n', err: '' });
  assert.deepEqual(render({ type: 'exit', code: 3 }), { out: '', err: '' });
});

test('complaints say where', () => {
  const script = 'BEGIN { errorf("err %d\\n", 5); @a[3]=1; }';
  const at = (text: string): readonly [number, number] => [script.indexOf(text), script.indexOf(text) + text.length];
  assert.equal(
    render({ type: 'errorf', text: 'err 5\n', span: at('errorf("err %d\\n", 5)') }, script).err,
    'stdin:1:9-30: ERROR: err 5\n',
  );
  assert.equal(
    render({ type: 'warnf', text: 'warn 5', span: at('@a[3]=1') }, script).err,
    'stdin:1:32-39: WARNING: warn 5\n',
  );
  assert.equal(
    render({ type: 'runtime_error', what: 'map_update_elem', code: -7, span: at('@a[3]=1') }, script).err,
    `stdin:1:32-39: WARNING: Map full; can't update element. Try increasing max_map_keys config or manually setting the max entries in a map declaration e.g. \`let @a = hash(5000)\`
Additional Info - helper: map_update_elem, retcode: -7
${script}
                               ~~~~~~~
`,
  );
  assert.match(
    render({ type: 'runtime_error', what: 'probe_read_str', code: -14, span: at('@a[3]=1') }, script).err,
    /: WARNING: Bad address\nAdditional Info - helper: probe_read_str, retcode: -14\n/,
  );
});

test('what was dropped is told with its reason', () => {
  const said: string[] = [];
  const render = createRenderer('text', {
    write: () => assert.fail('on standard output'),
    error: (text) => said.push(text),
    wording: { names, trailer: '..' },
    source: new Source('s.bt', 'BEGIN { }'),
  });
  render({ type: 'dropped', what: 'reads', count: 1 });
  render({ type: 'dropped', what: 'map', name: 'm', count: 3 });
  render({ type: 'dropped', what: 'file', name: '/x', count: 1, reason: 'No such file or directory' });
  render({ type: 'dropped', what: 'mappings', count: 2 });
  render({ type: 'dropped', what: 'missed', count: 1, reason: '1 tracepoint:a:b' });
  assert.match(said[3] ?? '', /^WARNING: 2 records of processes .* found no room/);
  assert.match(said[4] ?? '', /^WARNING: 1 run of a probe was missed \(1 tracepoint:a:b\): .*\n$/);
  assert.match(said[0] ?? '', /^WARNING: 1 read of traced memory failed .*\n$/);
  assert.match(said[1] ?? '', /^WARNING: map @m is full: 3 updates were dropped .*max_map_keys.*\n$/);
  assert.equal(said[2], "ERROR: failed to open file '/x' (No such file or directory)\n");
});

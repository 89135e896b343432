import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Source } from '../diag/source.ts';
import type { TraceEvent } from '../values/event.ts';
import type { MapValue } from '../values/map.ts';
import type { HistogramValue, Value } from '../values/value.ts';
import { fixedNames } from './fixed.ts';
import { createRenderer } from './index.ts';

// Literals without a remark were printed by bpftrace 0.27.1 -f json.

const names = fixedNames({ symbols: { '7f442331ae89': { name: 'syscall', offset: 25 } } });

function render(event: TraceEvent, script = ''): string {
  let out = '';
  const write = (text: string): void => {
    out += text;
  };
  const error = (text: string): void => assert.fail(`nothing goes to stderr: ${text}`);
  createRenderer('json', { write, error, wording: { names, trailer: '..' }, source: new Source('stdin', script) })(
    event,
  );
  for (const line of out.trimEnd().split('\n')) if (line !== '') JSON.parse(line);
  return out;
}

const print = (value: Value): string => render({ type: 'value', value });
const int = (value: number | bigint): Value => ({ kind: 'int', value });
const string = (text: string): Value => ({ kind: 'string', text, cut: false });
const scalar = (name: string, kind: MapValue['kind'], value: Value): MapValue => ({
  name,
  kind,
  keyed: false,
  set: true,
  entries: [{ key: [], value }],
});
const keyed = (name: string, kind: MapValue['kind'], ...entries: (readonly [Value[], Value])[]): MapValue => ({
  name,
  kind,
  keyed: true,
  set: true,
  entries: entries.map(([key, value]) => ({ key, value })),
});
const printMap = (map: MapValue): string => render({ type: 'map', map });
const hist = (counts: number[], shown: readonly [number, number] | undefined): HistogramValue => ({
  kind: 'hist',
  counts,
  shown,
  bits: 0,
  min: 0n,
  max: 0n,
  step: 0n,
});

test('values', () => {
  assert.equal(print(int(-1)), '{"type": "value", "data": -1}\n');
  assert.equal(print(string('a\nb"c\\\t\x01')), '{"type": "value", "data": "a\\nb\\"c\\\\\\t\\u0001"}\n');
  const tuple: Value = {
    kind: 'tuple',
    elements: [int(1), string('a'), { kind: 'tuple', elements: [int(2), int(3)] }],
  };
  assert.equal(print(tuple), '{"type": "value", "data": [1,"a",[2,3]]}\n');
  assert.equal(print({ kind: 'bool', value: true }), '{"type": "value", "data": true}\n');
  assert.equal(print({ kind: 'pointer', value: 4660 }), '{"type": "value", "data": 4660}\n');
  assert.equal(print({ kind: 'enum', value: 2, name: 'GREEN' }), '{"type": "value", "data": 2}\n');
  assert.equal(
    print({ kind: 'buffer', bytes: Uint8Array.from([34, 92, 10, 255, 128]) }),
    '{"type": "value", "data": [34,92,10,-1,-128]}\n',
  );
  const record: Value = {
    kind: 'record',
    name: '',
    fields: [
      { name: 'a', value: int(1) },
      { name: 'b', value: string('x') },
    ],
  };
  assert.equal(print(record), '{"type": "value", "data": {"a": 1, "b": "x"}}\n');
  const stack: Value = {
    kind: 'stack',
    space: 'user',
    mode: 'bpftrace',
    pid: 1,
    frames: [0x7f442331ae89, 0x563315463be8],
  };
  assert.equal(print(stack), '{"type": "value", "data": "\\n        syscall+25\\n        0x563315463be8\\n"}\n');
});

// bpftrace 0.27 makes strings of these; insitu writes the digits.
test('integers beyond 2^53 keep every digit', () => {
  assert.equal(print(int(18446744073709551615n)), '{"type": "value", "data": 18446744073709551615}\n');
  assert.equal(print(int(-9223372036854775807n)), '{"type": "value", "data": -9223372036854775807}\n');
});

test('maps', () => {
  assert.equal(printMap(scalar('a', 'map', int(0))), '{"type": "map", "data": {"@a": 0}}\n');
  assert.equal(
    printMap(keyed('kc', 'map', [[int(5)], int(1)], [[int(1)], int(2)])),
    '{"type": "map", "data": {"@kc": {"5": 1, "1": 2}}}\n',
  );
  assert.equal(
    printMap(keyed('x', 'map', [[string('a'), int(1)], int(3)])),
    '{"type": "map", "data": {"@x": {"a,1": 3}}}\n',
  );
  const inner: Value = { kind: 'tuple', elements: [int(1), { kind: 'tuple', elements: [int(2), string('x')] }] };
  assert.equal(
    printMap(keyed('kn', 'map', [[inner, int(3)], int(1)])),
    '{"type": "map", "data": {"@kn": {"(1,(2,x)),3": 1}}}\n',
  );
  assert.equal(printMap(keyed('e', 'map')), '');
  const stack: Value = {
    kind: 'stack',
    space: 'user',
    mode: 'bpftrace',
    pid: 1,
    frames: [0x7f442331ae89, 0x55b02c2e1808],
  };
  assert.equal(
    printMap(keyed('kboth', 'map', [[stack, string('bpftrace')], int(1)])),
    '{"type": "map", "data": {"@kboth": {"\\nsyscall+25\\n0x55b02c2e1808\\n,bpftrace": 1}}}\n',
  );
  const record: Value = {
    kind: 'record',
    name: '',
    fields: [
      { name: 'a', value: int(1) },
      { name: 'b', value: string('x') },
    ],
  };
  assert.equal(
    printMap(keyed('k', 'map', [[record], int(1)])),
    '{"type": "map", "data": {"@k": {"{.a=1,.b=x}": 1}}}\n',
  );
  assert.equal(
    printMap(keyed('ek', 'map', [[{ kind: 'enum', value: 1, name: 'RED' }], int(1)])),
    '{"type": "map", "data": {"@ek": {"RED": 1}}}\n',
  );
});

// bpftrace 0.27.1 drops the blank; a key says what the script's key was.
test('blanks in a key stay', () => {
  assert.equal(printMap(keyed('q', 'map', [[string('a b')], int(1)])), '{"type": "map", "data": {"@q": {"a b": 1}}}\n');
});

test('averages, statistics, histograms', () => {
  assert.equal(
    printMap(scalar('avg', 'stats', { kind: 'avg', average: 3, count: 2, total: 7 })),
    '{"type": "stats", "data": {"@avg": 3}}\n',
  );
  assert.equal(
    printMap(scalar('st', 'stats', { kind: 'stats', average: 4, count: 2, total: 8 })),
    '{"type": "stats", "data": {"@st": {"count": 2, "average": 4, "total": 8}}}\n',
  );
  assert.equal(
    printMap(scalar('h', 'hist', hist([2, 1, 1, 2, 1], [0, 4]))),
    '{"type": "hist", "data": {"@h": [{"max": -1, "count": 2},{"min": 0, "max": 0, "count": 1},{"min": 1, "max": 1, "count": 1},{"min": 2, "max": 3, "count": 2},{"min": 4, "max": 7, "count": 1}]}}\n',
  );
  assert.equal(
    printMap(keyed('hk', 'hist', [[int(0)], hist([0, 0, 1], [2, 2])], [[int(2)], hist([0, 0, 0, 0, 1, 1], [4, 5])])),
    '{"type": "hist", "data": {"@hk": {"0": [{"min": 1, "max": 1, "count": 1}], "2": [{"min": 4, "max": 7, "count": 1},{"min": 8, "max": 15, "count": 1}]}}}\n',
  );
  const linear: HistogramValue = {
    kind: 'lhist',
    counts: [4, 3, 3, 3],
    shown: [0, 3],
    bits: 0,
    min: 4n,
    max: 10n,
    step: 3n,
  };
  assert.equal(
    printMap(scalar('l4', 'hist', linear)),
    '{"type": "hist", "data": {"@l4": [{"max": 3, "count": 4},{"min": 4, "max": 6, "count": 3},{"min": 7, "max": 9, "count": 3},{"min": 10, "count": 3}]}}\n',
  );
  assert.equal(printMap(scalar('h', 'hist', hist([0, 0], undefined))), '{"type": "hist", "data": {"@h": []}}\n');
});

test('the rest of the events', () => {
  assert.equal(
    render({ type: 'attached_probes', count: 1 }),
    '{"type": "attached_probes", "count": 1, "data": {"probes": 1}}\n',
  );
  assert.equal(render({ type: 'printf', text: '5 x\n' }), '{"type": "printf", "data": "5 x\\n"}\n');
  assert.equal(render({ type: 'time', text: '18:44:38\n' }), '{"type": "time", "data": "18:44:38\\n"}\n');
  assert.equal(render({ type: 'join', text: 'mkdir,-p' }), '{"type": "join", "data": "mkdir,-p"}\n');
  assert.equal(render({ type: 'system_output', text: 'hi\n' }), '{"type": "syscall", "data": "hi\\n"}\n');
  assert.equal(render({ type: 'cat_output', text: 'Linux\n' }), '{"type": "cat", "data": "Linux\\n"}\n');
  assert.equal(
    render({ type: 'lost_events', count: 6195 }),
    '{"type": "lost_events", "count": 6195, "data": {"events": 6195}}\n',
  );
  assert.equal(render({ type: 'end' }), '');
});

test('complaints are objects too', () => {
  const script = 'config={max_map_keys=2} BEGIN { @a[1]=1; @a[2]=1; @a[3]=1; }';
  const span = [script.indexOf('@a[3]=1'), script.indexOf('@a[3]=1') + 7] as const;
  // bpftrace says "Argument list too long" here, the errno's words; insitu what that means.
  assert.deepEqual(JSON.parse(render({ type: 'runtime_error', what: 'map_update_elem', code: -7, span }, script)), {
    type: 'helper_error',
    msg: "Map full; can't update element. Try increasing max_map_keys config or manually setting the max entries in a map declaration e.g. `let @a = hash(5000)`",
    helper: 'map_update_elem',
    retcode: -7,
    filename: 'stdin',
    line: 1,
    col: 51,
  });
  assert.equal(
    render({ type: 'runtime_error', what: 'divide', code: 0, span: [48, 56] }, `${' '.repeat(48)}5/($y-1)`),
    '{"type": "runtime_error", "msg": "Divide or modulo by 0 detected. This can lead to unexpected results. 1 is being used as the result.", "filename": "stdin", "line": 1, "col": 49}\n',
  );
  assert.equal(
    render({ type: 'errorf', text: 'err 5\n', span: [47, 60] }, `\n${' '.repeat(60)}`),
    '{"type": "errorf", "msg": "err 5\\n", "filename": "stdin", "line": 2, "col": 47}\n',
  );
});

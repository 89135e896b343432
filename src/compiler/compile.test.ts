import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sampleTarget } from '../../test/sample.ts';
import { Source } from '../diag/source.ts';
import { type CompileResult, compile } from './compile.ts';

const run = (text: string, parameters: readonly string[] = []): CompileResult =>
  compile(new Source('test', text), sampleTarget(), { parameters });

/** [script, code of the first error, text that its span covers]. */
const mistakes: readonly (readonly [string, string, string])[] = [
  ['BEGIN { print($x) }', 'undefined-variable', '$x'],
  ['BEGIN { if (1) { $x = 1 } print($x) }', 'undefined-variable', '$x'],
  ['BEGIN { print(@x) }', 'undefined-map', '@x'],
  ['BEGIN { nosuch(1) }', 'unknown-function', 'nosuch'],
  ['BEGIN { @a = count; }', 'call-expected', 'count'],
  ['BEGIN { print(nosuch) }', 'unknown-identifier', 'nosuch'],
  ['BEGIN { print(AF_INETT) }', 'unknown-identifier', 'AF_INETT'],
  ['BEGIN { $x = 1; $x = "a" }', 'type-mismatch', '$x = "a"'],
  ['BEGIN { @x = 1; @x = "a" }', 'type-mismatch', '@x = "a"'],
  ['BEGIN { @x = count(); @x = sum(1) }', 'type-mismatch', '@x = sum(1)'],
  ['BEGIN { @x[1] = 1; @x["a"] = 1 }', 'key-mismatch', '@x["a"]'],
  ['BEGIN { @x[1] = 1; @x = 1 }', 'key-mismatch', '@x'],
  ['BEGIN { @x[1] = 1; @x[1, 2] = 1 }', 'key-mismatch', '@x[1, 2]'],
  ['BEGIN { $x = count() }', 'aggregate-in-variable', '$x = count()'],
  ['BEGIN { @a = count(); @b = @a }', 'aggregate-copy', '@b = @a'],
  ['BEGIN { count() }', 'aggregate-unassigned', 'count()'],
  ['BEGIN { $x = 1 + "a" }', 'operand-type', '1 + "a"'],
  ['BEGIN { if (1 == "a") { } }', 'type-mismatch', '1 == "a"'],
  ['BEGIN { if ((1, 2)) { } }', 'bad-condition', '(1, 2)'],
  ['BEGIN { $x = 1; print($x->y) }', 'field-access', '$x->y'],
  ['BEGIN { $s = (struct sockaddr_in *)0; print($s->nosuch) }', 'unknown-field', 'nosuch'],
  ['BEGIN { $s = (struct nosuch *)0 }', 'unknown-type', 'struct nosuch *'],
  ['BEGIN { print(args.fd) }', 'no-args', 'args'],
  ['tracepoint:syscalls:sys_enter_bind { print(args.nosuch) }', 'unknown-field', 'nosuch'],
  ['BEGIN { print(arg0) }', 'no-registers', 'arg0'],
  ['BEGIN { print(retval) }', 'no-retval', 'retval'],
  ['BEGIN { printf("%d") }', 'format-arguments', 'printf("%d")'],
  ['BEGIN { printf("%d", "a") }', 'format-type', '"a"'],
  ['BEGIN { printf("%y", 1) }', 'bad-format', '"%y"'],
  ['BEGIN { printf(comm) }', 'literal-expected', 'comm'],
  ['BEGIN { print(1 / 0) }', 'division-by-zero', '0'],
  ['BEGIN { unroll(pid) { } }', 'unroll-count', 'pid'],
  ['BEGIN { unroll(1000) { } }', 'unroll-count', '1000'],
  ['BEGIN { break; }', 'outside-loop', 'break'],
  ['BEGIN { @h = hist(1, 9) }', 'hist-bits', '9'],
  ['BEGIN { @h = lhist(1, 10, 0, 1) }', 'lhist-bounds', 'lhist(1, 10, 0, 1)'],
  ['BEGIN { clear(1) }', 'map-expected', '1'],
  ['BEGIN { @a[1] = 1; delete(@a) }', 'key-expected', 'delete(@a)'],
  ['BEGIN { $a = (1, 2); print($a.2) }', 'tuple-index', '2'],
  ['BEGIN { print(pton("1.2.3")) }', 'bad-address', '"1.2.3"'],
  ['nosuch:x { }', 'unknown-probe', 'nosuch'],
  ['tracepoint:syscalls:sys_enter_nosuch { }', 'no-tracepoint', 'tracepoint:syscalls:sys_enter_nosuch'],
  ['interval:s:0 { }', 'probe-form', 'interval:s:0'],
  ['config = { max_strlen = 0 } BEGIN { }', 'bad-config-value', 'max_strlen'],
  ['config = { strlen = 10 } BEGIN { }', 'renamed-config', 'strlen'],
  ['config = { nosuch = 10 } BEGIN { }', 'unknown-config', 'nosuch'],
];

describe('mistakes have a code and a place', () => {
  for (const [text, code, covered] of mistakes) {
    test(text, () => {
      const result = run(text);
      assert.ok(!result.ok, 'accepted');
      const first = result.diagnostics.find((item) => item.severity === 'error');
      assert.ok(first?.span);
      assert.deepEqual([first.code, text.slice(first.span.start, first.span.end).trimEnd()], [code, covered]);
    });
  }
});

test('what object() does not take is told once, wherever it stands', () => {
  for (const text of [
    'uprobe:/usr/bin/sample:main { print(object(arg0, 99)) }',
    'uprobe:/usr/bin/sample:main { $x = object(arg0, 9) }',
  ]) {
    const result = run(text);
    assert.ok(!result.ok, 'accepted');
    assert.deepEqual(
      result.diagnostics.map(({ message }) => message),
      ['the depth of object() is a number from 0 to 8'],
    );
  }
  const printed = run('uprobe:/usr/bin/sample:main { print(object(arg0)) }');
  assert.ok(!printed.ok, 'accepted');
  assert.equal(printed.diagnostics.length, 1);
  assert.match(printed.diagnostics[0]?.hints.join() ?? '', /prints by itself/);
});

test('several mistakes are told at once', () => {
  const result = run('BEGIN { print($x); nosuch(); @a = 1; @a = "b" } END { print(pidd) }');
  assert.ok(!result.ok);
  const codes = result.diagnostics.map((item) => item.code);
  assert.deepEqual(codes, ['undefined-variable', 'unknown-function', 'type-mismatch', 'unknown-identifier']);
});

const sample = `
  tracepoint:syscalls:sys_enter_setsockopt /pid == $1/ {
    $v = *args.optval;
    @[comm, args.optname] = count();
    @h = hist($v);
    for ($i : 0..3) { @sum[$i] = sum($i); }
    printf("%s %d %s\\n", comm, $v, ustack);
  }`;

test('the same source and target give the same program, as plain data', () => {
  const [first, second] = [run(sample, ['5']), run(sample, ['5'])];
  assert.ok(first.ok && second.ok);
  assert.deepEqual(first.program, second.program);
  assert.deepEqual(structuredClone(first.program), first.program);
});

test('a use before the assignment takes the type from the assignment', () => {
  const result = run('BEGIN { $x = @later; @copy = $x } END { @later = "text" }');
  assert.ok(result.ok, 'refused');
  const copy = result.program.maps.find((map) => map.name === 'copy');
  assert.deepEqual(copy?.user?.value, { kind: 'string', size: 5 });
});

test('strings of a map have the room of the longest', () => {
  const result = run('BEGIN { @m["a"] = "b"; @m["longer key"] = "some longer value" }');
  assert.ok(result.ok, 'refused');
  const map = result.program.maps.find((item) => item.name === 'm');
  assert.deepEqual(map?.user?.keys[0]?.schema, { kind: 'string', size: 11 });
  assert.deepEqual(map?.user?.value, { kind: 'string', size: 18 });
});

test('a pointer of a system call keeps pointing into user memory through a map', () => {
  const result = run(`
    tracepoint:syscalls:sys_enter_accept4 { @sockaddr[tid] = args->upeer_sockaddr; }
    tracepoint:syscalls:sys_exit_accept4 { $sa = (struct sockaddr *)@sockaddr[tid]; @family = $sa->sa_family; }`);
  assert.ok(result.ok, 'refused');
  const ir = result.dump('ir');
  assert.match(ir, /bpf_probe_read_user\(/);
  assert.doesNotMatch(ir, /bpf_probe_read_kernel\(/);
});

test('where the space of a pointer is lost, its address decides', () => {
  const result = run('BEGIN { $p = (struct sockaddr *)nsecs; @family = $p->sa_family; }');
  assert.ok(result.ok, 'refused');
  assert.match(result.dump('ir'), /bpf_probe_read_user\(/);
  assert.match(result.dump('ir'), /bpf_probe_read_kernel\(/);
});

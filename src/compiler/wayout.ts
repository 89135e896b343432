/** What to do about errors that say nothing more of their own: a general way out for each kind of them, by code. */
import type { Diagnostic } from '../diag/diagnostic.ts';

const waysOut: Readonly<Record<string, string>> = {
  'argument-type': 'a cast changes a type: (uint64)value; str() makes text of a pointer',
  'assign-to-memory': 'assign to a $variable or a @map',
  'bad-condition': 'compare it with something',
  'bad-format': 'conversions: %d %i %u %x %X %o %c %p %s, and %r %rx %rh for buf(); %% is a percent sign',
  'bad-key': 'keys are integers, strings, tuples of them, stacks and what ntop(), usym() and buf() give',
  'bad-length': 'a length is a number of bytes from 0 on',
  'bad-tuple': 'a tuple holds integers, strings, pointers and other tuples: cast, or take one of its members',
  cast: 'integers and pointers are cast to each other; text comes from str(), numbers are printed by %d',
  deref: 'cast it to a pointer first: *(uint64 *)value',
  'division-by-zero': 'divide by something else, or check it first: $n != 0 ? $x / $n : 0',
  'expected-expression': 'a value is a number, "text", a $variable, a @map, a builtin or a function call',
  'expected-token': "statements are separated by ';', blocks stand between '{' and '}'",
  'field-access': "'.' takes a member of a struct, '->' of a pointer to one: ((struct NAME *)value)->member",
  'format-arguments': 'each conversion of the format takes one argument; %% is a percent sign',
  'format-type': '%d and its like print integers, %p pointers, %r what buf() gives, %s everything',
  'index-range': 'the first element is [0]',
  'index-type': 'cast it to a pointer first: ((uint8 *)value)[0]',
  'invalid-define': 'write: #define NAME value',
  'invalid-target': 'values are kept in $variables and @maps',
  'invalid-number': 'hexadecimal digits are 0 to 9 and a to f: 0x1f',
  'key-expected': 'name a key: @map[key]',
  'key-mismatch': 'all uses of a map have keys of the same types; another map may have others',
  'literal-expected': 'write the value itself, not a $variable or a @map',
  'map-expected': 'maps begin with @',
  'no-function': "insitu -l 'kprobe:*' lists the kernel's functions",
  'no-value': 'call it as a statement of its own',
  'operand-type': 'operators take integers; strings are compared by == and !=, and put together by printf()',
  'outside-loop': '`return` leaves the whole block',
  'range-type': 'for ($i : 0..10) { … }',
  redeclared: 'assign without `let`, or take another name',
  'too-deep': 'take a part of it into a $variable first',
  'tuple-index': 'the elements of a tuple are .0, .1, …',
  'type-mismatch': 'a name keeps the type that it had first: take another name, or cast the value',
  'type-size': 'take one of its members',
  'unclosed-declaration': "it ends in '};'",
  'unclosed-block': "count the '{' and '}' of the block",
  'unknown-character': 'outside of strings and comments it has no meaning: leave it out',
  'unknown-escape': 'the escapes are \\n \\t \\r \\\\ \\" \\NNN (octal) and \\xHH (hexadecimal)',
  'unknown-field': 'print(*pointer) shows a struct with all its members',
  'unknown-function': 'the functions are those of the bpftrace language: https://bpftrace.org',
  'unknown-type': 'declare it in the script, or #include the header that does',
  'unroll-count': 'a loop takes any number: while ($i < $n) { … $i++; }',
  'unterminated-comment': 'a comment goes from /* to */, or from // to the end of the line',
  'variable-expected': 'variables begin with $',
};

/** The same, with a way out. */
export function withWayOut(diagnostic: Diagnostic): Diagnostic {
  const hint = waysOut[diagnostic.code];
  if (diagnostic.severity !== 'error' || diagnostic.hints.length > 0 || hint === undefined) return diagnostic;
  return { ...diagnostic, hints: [hint] };
}

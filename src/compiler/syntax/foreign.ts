/** What users of other languages write, recognised to say what it is called here. */
import type { Parser } from './parser.ts';
import type { Token } from './token.ts';
import { isTypeWord } from './types.ts';

/** Statements of other languages, and what to write instead. */
const absent: Readonly<Record<string, string>> = {
  elif: "write 'else if'",
  elseif: "write 'else if'",
  elsif: "write 'else if'",
  switch: 'use if and else if',
  foreach: 'loops are written: for ($kv : @map) { ... } and for ($i : 0..10) { ... }',
  do: 'use while (condition) { ... }',
  goto: 'use if, while, break and continue',
  var: 'variables are written: $name = value; or let $name = value;',
  const: 'variables are written: $name = value; or let $name = value;',
  def: 'a piece of code with a name is a macro, above the first probe: macro name($a) { ... }',
  fn: 'a piece of code with a name is a macro, above the first probe: macro name($a) { ... }',
  function: 'a piece of code with a name is a macro, above the first probe: macro name($a) { ... }',
};

/** Reports a statement that other languages have; false when the word is none of these. */
export function atForeignKeyword(p: Parser, token: Token): boolean {
  const hint = Object.hasOwn(absent, token.text) ? absent[token.text] : undefined;
  const after = p.peek(1).kind;
  if (hint === undefined || !(after === '(' || after === '{' || after === 'identifier' || after === 'variable'))
    return false;
  p.error(
    'unknown-keyword',
    `there is no '${token.text}' in this language`,
    { start: token.start, end: token.end },
    hint,
  );
  return true;
}

/** Fails at `int $x` and at a call without brackets. */
export function checkForeignStatement(p: Parser, token: Token): void {
  const after = p.peek(1);
  if (after.kind === 'variable' && isTypeWord(p, token.text)) {
    p.fail(
      'typed-declaration',
      'a variable is not declared with a type before its name',
      { start: token.start, end: after.end },
      `write $${after.text} = value; or let $${after.text} : type = value;`,
    );
  }
  if (after.kind === 'string' || after.kind === 'variable' || after.kind === 'map' || after.kind === 'positional') {
    p.fail(
      'call-without-brackets',
      `the arguments of '${token.text}' stand in brackets`,
      { start: token.start, end: token.end },
      `write ${token.text}(...)`,
    );
  }
}

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readCases } from '../../../test/cases.ts';
import { ProgramGenerator } from '../../../test/generator.ts';
import { root, sharedCases } from '../../../test/insitu.ts';
import { Diagnostics } from '../../diag/diagnostic.ts';
import { Source } from '../../diag/source.ts';
import type { Script } from './ast.ts';
import { formatScript } from './format.ts';
import { parse } from './parse.ts';
import { printScript } from './print.ts';

/** Undefined when the script has mistakes. */
function read(text: string): { readonly source: Source; readonly script: Script } | undefined {
  const source = new Source('test', text);
  const diagnostics = new Diagnostics();
  const script = parse(source, diagnostics);
  return diagnostics.hasErrors ? undefined : { source, script };
}

function format(text: string): string {
  const parsed = read(text);
  assert.ok(parsed, text);
  return formatScript(parsed.source, parsed.script);
}

const commentsOf = ({ script }: { readonly script: Script }): string[] =>
  script.comments.map(({ text }) => text.replace(/[ \t]+$/gm, ''));

/** What must hold of any script: the same tree, the same comments, and nothing to do a second time. */
function check(text: string): void {
  const before = read(text);
  if (before === undefined) return;
  const formatted = formatScript(before.source, before.script);
  const after = read(formatted);
  assert.ok(after, `${text}\n=>\n${formatted}`);
  assert.equal(printScript(after.script), printScript(before.script), formatted);
  assert.deepEqual(commentsOf(after), commentsOf(before), formatted);
  assert.equal(formatScript(after.source, after.script), formatted, 'formatted again');
  assert.doesNotMatch(formatted, /[ \t]$/m);
}

test('a probe, its predicate, statements and the last semicolon', () => {
  assert.equal(
    format('t:a:b , t:a:c/pid==$1&&comm!="x"/{@[comm]=hist(args.x);if($a>1){print(1)}else if(!$a){$b=-1}else{exit()}}'),
    `t:a:b,
t:a:c
/pid == $1 && comm != "x"/
{
  @[comm] = hist(args.x);
  if ($a > 1) {
    print(1);
  } else if (!$a) {
    $b = -1;
  } else {
    exit();
  }
}
`,
  );
});

test('operators: prefix, between, behind; casts, pointers, fields, ranges', () => {
  assert.equal(
    format(
      'BEGIN{$a=(uint64)-1-2- -3;$b=*$p+ *$q&$c;@n++;--@m[1];$s=(struct x **)$b;$t=sizeof(struct x*);$u=$a?:$b?1:2;for($i:0..$n){print($i.0,$p->x.y)}let $z:int8* =3;$v=&$a&&!$b}',
    ),
    `BEGIN
{
  $a = (uint64)-1 - 2 - -3;
  $b = *$p + *$q & $c;
  @n++;
  --@m[1];
  $s = (struct x **)$b;
  $t = sizeof(struct x *);
  $u = $a ?: $b ? 1 : 2;
  for ($i : 0..$n) {
    print($i.0, $p->x.y);
  }
  let $z : int8 * = 3;
  $v = &$a && !$b;
}
`,
  );
});

test('comments stay where they belong', () => {
  assert.equal(
    format(`// top
BEGIN { // begins
/* own line */
$a=1;//behind
   // above
if ($a) { } // after the block

printf("%d", // the format
$a /* inside */); @x=count() // last
}
// end`),
    `// top
BEGIN
{ // begins
  /* own line */
  $a = 1; //behind
  // above
  if ($a) {
  } // after the block

  printf("%d", // the format
      $a /* inside */);
  @x = count(); // last
}

// end
`,
  );
});

test('what is not of the language itself stays as written', () => {
  assert.equal(
    format(`#!/usr/bin/env insitu
#define X   3
#include  <linux/in.h>
struct  a { int b ;  // kept
};
config={max_strlen=64}
let   @m=lruhash( 100 );
macro add($a,@b){@b+=$a;$a+X}
uprobe:/bin/x:"f(int,  char)"{print({let $x=1;$x})}
`),
    `#!/usr/bin/env insitu
#define X   3
#include  <linux/in.h>
struct  a { int b ;  // kept
};
config = {
  max_strlen = 64;
}

let @m = lruhash(100);
macro add($a, @b)
{
  @b += $a;
  $a + X
}

uprobe:/bin/x:"f(int,  char)"
{
  print({
    let $x = 1;
    $x
  });
}
`,
  );
});

test('a long line breaks where the writer broke it', () => {
  assert.equal(
    format(`BEGIN { $port = (1 >> 8) |
 (2 & 0xff00);
printf("%d %d", 1,


 2); }`),
    `BEGIN
{
  $port = (1 >> 8) |
      (2 & 0xff00);
  printf("%d %d", 1,
      2);
}
`,
  );
});

test('the scripts of this project, squeezed and stretched, keep their meaning', () => {
  const folder = join(root, 'test', 'cases');
  const scripts = [
    ...readdirSync(folder).flatMap((file) =>
      readCases(readFileSync(join(folder, file), 'utf8')).map(({ program }) => program),
    ),
    ...readdirSync(join(root, 'tools'))
      .filter((file) => file.endsWith('.bt'))
      .map((file) => readFileSync(join(root, 'tools', file), 'utf8')),
    ...(existsSync(sharedCases) ? [readFileSync(join(sharedCases, 'trace-envoy-socket.bt'), 'utf8')] : []),
  ];
  assert.ok(scripts.length > 50);
  for (const script of scripts) {
    check(script);
    check(script.replace(/\n/g, '\n\n \n'));
    if (!/\/\/|^#/m.test(script)) check(script.replace(/\s*\n\s*/g, ' '));
  }
});

test('blocks that stand for their value', () => {
  check('BEGIN { { { print(1) } 2 } }');
  check('BEGIN { { { { print(1) } EE } } time("x") }');
  check('BEGIN { $x = { 1; { 2; 3 } } }');
  check('macro m() { { 1; 2 } } BEGIN { { m() } }');
});

test('random programs keep their meaning', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const text = new ProgramGenerator(seed).script();
    check(text);
    // A comment at a random line end, one in a line of its own.
    const lines = text.split('\n');
    lines[seed % lines.length] += ' // behind';
    lines.splice((seed * 7) % lines.length, 0, '/* above\n   goes on */');
    check(lines.join('\n'));
  }
});

test('a semicolon of no statement leaves nothing behind', () => {
  assert.equal(format('BEGIN {;\n\n;\n  print(1);;\n\n  exit() }'), 'BEGIN\n{\n  print(1);\n\n  exit();\n}\n');
});

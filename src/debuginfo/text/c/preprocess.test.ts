/** The preprocessor against gcc -E, token by token. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { noCompiler, runPreprocessor } from '../../../../test/gcc.ts';
import { tokenize } from './macro.ts';
import { Preprocessor } from './preprocess.ts';

function preprocess(text: string): { readonly tokens: string; readonly source: Preprocessor } {
  const source = new Preprocessor({ name: 'test', text }, () => undefined, [['__x86_64__', '1']]);
  const out: string[] = [];
  for (let token = source.token(); token.kind !== 'end'; token = source.token()) out.push(token.text);
  return { tokens: out.join(' '), source };
}

const samples: Readonly<Record<string, string>> = {
  'the example of C11 6.10.3.5, redefinition and re-examination': `
#define x 3
#define f(a) f(x * (a))
#undef x
#define x 2
#define g f
#define z z[0]
#define h g(~
#define m(a) a(w)
#define w 0,1
#define t(a) a
#define p() int
#define q(x) x
#define r(x,y) x ## y
#define str(x) # x
f(y+1) + f(f(z)) % t(t(g)(0) + t)(1);
g(x+(3,4)-w) | h 5) & m
(f)^m(m);
p() i[q()] = { q(1), r(2,3), r(4,), r(,5), r(,) };
char c[2][6] = { str(hello), str() };`,
  'strings and pasting, C11 6.10.3.5 example 4': `
#define str(s) # s
#define xstr(s) str(s)
#define debug(s, t) printf("x" # s "= %d, x" # t "= %s", x ## s, x ## t)
#define INCFILE(n) vers ## n
#define glue(a, b) a ## b
#define xglue(a, b) glue(a, b)
#define HIGHLOW "hello"
#define LOW LOW ", world"
debug(1, 2);
fputs(str(strncmp("abc\\0d", "abc", '\\4') == 0) str(: @\\n), s);
xstr(INCFILE(2).h)
glue(HIGH, LOW);
xglue(HIGH, LOW)`,
  'placemarkers, C11 6.10.3.5 example 5': `
#define t(x,y,z) x ## y ## z
int j[] = { t(1,2,3), t(,4,5), t(6,,7), t(8,9,), t(10,,), t(,11,), t(,,12), t(,,) };`,
  'variable arguments': `
#define debug(...) fprintf(stderr, __VA_ARGS__)
#define showlist(...) puts(#__VA_ARGS__)
#define gnu(fmt, args...) printf(fmt, ## args)
#define std(fmt, ...) printf(fmt, ## __VA_ARGS__)
debug("Flag"); debug("X = %d\\n", x);
showlist(The first, second, and third items.);
gnu("a"); gnu("a", 1, 2); std("b"); std("b", (1, 2), 3);`,
  conditionals: `
#define A 1
#if A && !defined B && (defined(A) || 0)
one
#elif 1
two
#else
three
#endif
#ifdef B
four
# if 1
five
# else
six
# endif
#elif A == 1
seven /* a comment
#endif */ eight
#else
nine
#endif
#ifndef B
ten
#endif
#if 0
'unterminated " quotes
#if garbage (
#endif
#elif 0x10 >> 4 == 1 && -1 < 0 && -1 > 0u && (2 ? 3 : 4) == 3 && 'a' == 97 && ~0 == -1
eleven
#endif
#if 1 ? 0 : (1 / 0)
twelve
#elif 0 && (1 / 0)
thirteen
#elif UNKNOWN == 0 && __has_attribute(nonsense) == 0
fourteen
#endif`,
  'lines, comments and spellings': `
#define LONG a \\
  b \\
  c
LONG // a comment \\
  that goes on
x/**/y /* two
lines */ z
#define EMPTY
EMPTY EMPTY w EMPTY
#define F(a) [a]
F
(
1
)
F F EMPTY (2)
0x1p-3 1.5e+10 .5 1'000 a.b->c ... <<= "a\\"b" L'x' u8"s"
#define SELF SELF + 1
SELF
#define ONE TWO
#define TWO ONE
ONE TWO
#define NEST(a) a a
NEST(NEST(NEST(q)))
#define CALL(f, x) f(x)
CALL(NEST, CALL(F, 1))`,
};

describe('preprocessor', () => {
  for (const [name, text] of Object.entries(samples)) {
    it(`agrees with gcc on ${name}`, { skip: noCompiler }, () => {
      const theirs = tokenize(runPreprocessor(text), 'gcc').map((token) => token.text);
      const { tokens, source } = preprocess(text);
      assert.equal(tokens, theirs.join(' '));
      assert.deepEqual(source.problems, []);
    });
  }

  it('says what is wrong, where', () => {
    const cases: readonly (readonly [text: string, code: string, at: string])[] = [
      ['#if 1\nx', 'unclosed-condition', 'if'],
      ['#endif\n', 'stray-directive', 'endif'],
      ['#else\n', 'stray-directive', 'else'],
      ['#if 1 +\n#endif', 'bad-condition', '+'],
      ['#if 1 / 0\n#endif', 'bad-condition', '/'],
      ['#if 1 2\n#endif', 'bad-condition', '2'],
      ['#define\n', 'bad-directive', 'define'],
      ['#define F(a\nx', 'bad-directive', 'F'],
      ['#nonsense\n', 'bad-directive', 'nonsense'],
      ['#include x\n', 'bad-directive', ' x'],
      ['#error no such thing\n', 'error-directive', '#error'],
    ];
    for (const [text, code, at] of cases) {
      const { problems } = preprocess(text).source;
      assert.equal(problems.length, 1, text);
      const [problem] = problems;
      assert.equal(problem?.code, code, text);
      assert.equal(text.slice(problem.start, problem.end), at, text);
    }
  });

  it('ends with macros that never end', () => {
    const doubling = Array.from({ length: 40 }, (_, i) => `#define M${i + 1} M${i} M${i}`).join('\n');
    assert.throws(() => preprocess(`#define M0 x\n${doubling}\nM40`), /too many tokens/);
  });
});

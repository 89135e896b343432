import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { noCompiler, runC } from '../../../../test/gcc.ts';
import { describe as spell } from '../../../types/layout.ts';
import { type CompositeType, int32, uint64 } from '../../../types/model.ts';
import { layOut, typeTable } from '../../../types/table.ts';
import { type CDefinitions, type COptions, readCDefinitions } from './index.ts';

const read = (text: string, options: Partial<COptions> = {}): CDefinitions =>
  readCDefinitions(
    { text, name: 'script' },
    { include: () => undefined, types: undefined, pointerSize: 8, ...options },
  );

const fields = (definitions: CDefinitions, name: string): string[] =>
  (definitions.types.find('struct', name) as CompositeType).fields().map((field) => {
    const bits = field.bits === undefined ? '' : `:${field.bits.offset}+${field.bits.width}`;
    return `${field.offset}${bits} ${spell(field.type)} ${field.name}`;
  });

describe('declarations', () => {
  it('make types that scripts ask for by name', () => {
    // Offsets and sizes by hand, from the alignment of each member.
    const definitions = read(`
      enum state { IDLE, BUSY = 10, DONE };
      typedef struct { int x; int y; } point;
      union either { char c[3]; short s; };
      struct task { char name[16]; enum state state : 8; unsigned flags : 24; point *at; struct task *next; int (*run)(struct task *); point where[2]; };
      static inline int f(struct task *t) { if (t) { return t->state; } return 0; }
      extern int g(int), variable;
      int array[3] = { 1, 2, 3 };
    `);
    assert.deepEqual(definitions.problems, []);
    assert.deepEqual(fields(definitions, 'task'), [
      '0 int8[16] name',
      '16:0+8 enum state state',
      '16:8+24 uint32 flags',
      '24 struct {…} * at',
      '32 struct task * next',
      '40 int32 (*)() run',
      '48 struct {…}[2] where',
    ]);
    assert.equal((definitions.types.find('struct', 'task') as CompositeType).size, 64);
    assert.equal((definitions.types.find('union', 'either') as CompositeType).size, 4);
    assert.equal(definitions.types.find('typedef', 'point')?.kind, 'struct');
    assert.equal(definitions.types.findEnumerator('DONE')?.value, 11n);
    assert.equal(definitions.types.findEnumerator('DONE')?.type.name, 'state');
    assert.deepEqual([...definitions.types.names('struct')], ['task']);
    assert.deepEqual([...definitions.types.names('typedef')], ['point']);
    assert.equal(definitions.types.find('struct', 'nothing'), undefined);
    assert.equal(definitions.types.find('typedef', 'f'), undefined);
  });

  it('may refer to themselves and to what comes later', () => {
    const definitions = read('struct a { struct b *b; }; struct b { struct a a; struct b *next; };');
    const a = definitions.types.find('struct', 'a') as CompositeType;
    const pointer = a.fields()[0]?.type;
    assert.equal(pointer?.kind === 'pointer' && pointer.to(), definitions.types.find('struct', 'b'));
  });

  it('take from the kernel what they do not declare', () => {
    const kernel = typeTable({
      types: [
        layOut('struct', 'list_head', [
          ['next', uint64],
          ['prev', uint64],
        ]),
      ],
      typedefs: { atomic_t: layOut('struct', '', [['counter', int32]]) },
    });
    const definitions = read('struct mine { struct list_head list; atomic_t count; u16 x; struct unknown *p; };', {
      types: kernel,
    });
    assert.deepEqual(definitions.problems, []);
    assert.deepEqual(fields(definitions, 'mine'), [
      '0 struct list_head list',
      '16 struct {…} count',
      '20 uint16 x',
      '24 struct unknown * p',
    ]);
    // The fallback is the caller's: what is not declared here is not found here.
    assert.equal(definitions.types.find('struct', 'list_head'), undefined);
  });

  it('tell user pointers by __user', () => {
    const definitions = read('struct s { char __user *a; char *b; };');
    const spaces = (definitions.types.find('struct', 's') as CompositeType)
      .fields()
      .map((field) => field.type.kind === 'pointer' && field.type.space);
    assert.deepEqual(spaces, ['user', 'either']);
  });

  it('that are not understood are reported, and the others read', () => {
    const cases: readonly (readonly [text: string, code: string, at: string])[] = [
      ['struct s { foo_t x; };', 'unknown-type', 'foo_t'],
      ['struct s { struct nothing x; };', 'incomplete-type', 'x'],
      ['struct s { int x[n]; };', 'not-constant', 'n'],
      ['struct s { int x[-1]; };', 'bad-declaration', '['],
      ['struct s { int x : 33; };', 'bad-declaration', '33'],
      ['struct s { int x', 'bad-declaration', ''],
      ['struct s { int x;', 'bad-declaration', '{'],
      ['enum e { 1 };', 'bad-declaration', '1'],
      ['int 5;', 'bad-declaration', '5'],
      ['struct s { int f(void); };', 'bad-declaration', 'f'],
      ['typedef unsigned float x;', 'bad-declaration', 'x'],
    ];
    for (const [text, code, at] of cases) {
      const definitions = read(`struct before { int a; };\n${text}\n`);
      const [problem] = definitions.problems;
      assert.equal(problem?.code, code, text);
      assert.equal(problem?.severity, 'error', text);
      assert.equal(`struct before { int a; };\n${text}\n`.slice(problem?.start, problem?.end), at, text);
      assert.equal(definitions.types.find('struct', 's'), undefined, text);
      assert.ok(definitions.types.find('struct', 'before'), text);
    }
    const after = read('struct bad { foo x; };\nvoid f(void) { } }\nstruct good { int x; };');
    assert.ok(after.types.find('struct', 'good'));
  });

  it('of headers are read in place; headers that are not there are listed', () => {
    const headers: Readonly<Record<string, string>> = {
      'a.h':
        '#ifndef A_H\n#define A_H\n#include "b.h"\nstruct a { struct b b; };\nstruct broken { nonsense x; };\n#endif\n',
      'b.h': '#pragma once\nstruct b { int x; };\n',
    };
    const definitions = read(
      '#include <a.h>\n#include <b.h>\n#include <linux/none.h>\n#if __has_include(<b.h>)\n#define HAS 1\n#endif\nstruct c { struct a a; };',
      {
        include: (path) => (headers[path] === undefined ? undefined : { path: `/h/${path}`, text: headers[path] }),
      },
    );
    assert.deepEqual(fields(definitions, 'c'), ['0 struct a a']);
    assert.deepEqual(
      definitions.missing.map(({ path, system, file }) => ({ path, system, file })),
      [{ path: 'linux/none.h', system: true, file: 'script' }],
    );
    assert.deepEqual(
      definitions.problems.map(({ severity, file, code }) => ({ severity, file, code })),
      [{ severity: 'warning', file: '/h/a.h', code: 'unknown-type' }],
    );
    assert.equal(definitions.macroValue('HAS'), 1n);
    const circle = read('#include "a.h"', { include: (path) => ({ path, text: '#include "a.h"\n' }) });
    assert.equal(circle.problems[0]?.code, 'include-depth');
  });
});

describe('macros', () => {
  const text = `
    #define X (1 << 3)
    #define Y (X | 0x10)
    #define Z ((unsigned char)(Y + 0xf00))
    #define S sizeof(struct s)
    #define O __builtin_offsetof(struct s, b)
    #define NEGATIVE (-5)
    #define BIG 0xffffffffffffffffULL
    #define ALL (~0U)
    #define CHAR 'A'
    #define E (FIRST + 1)
    #define TEXT "text"
    #define F(x) ((x) + 1)
    #define USES_F F(F(2))
    #define FLOAT 1.5
    #define NOTHING
    #define UNKNOWN (something + 1)
    #define LOOP LOOP
    #define GONE 1
    #undef GONE
    struct s { char a; long b; };
    enum { FIRST = 41 };
  `;
  it('have the values that C gives them', () => {
    const definitions = read(text);
    assert.deepEqual(definitions.problems, []);
    const values: Readonly<Record<string, bigint | undefined>> = {
      X: 8n,
      Y: 24n,
      Z: 24n,
      S: 16n,
      O: 8n,
      NEGATIVE: -5n,
      BIG: 0xffffffffffffffffn,
      ALL: 0xffffffffn,
      CHAR: 65n,
      E: 42n,
      USES_F: 4n,
      TEXT: undefined,
      F: undefined,
      FLOAT: undefined,
      NOTHING: undefined,
      UNKNOWN: undefined,
      LOOP: undefined,
      GONE: undefined,
      __x86_64__: 1n,
      nonsense: undefined,
    };
    for (const [name, value] of Object.entries(values)) assert.equal(definitions.macroValue(name), value, name);
    assert.equal(definitions.macros.get('X'), '(1 << 3)');
    assert.equal(definitions.macros.get('TEXT'), '"text"');
    assert.equal(definitions.macros.has('F'), false);
    assert.equal(definitions.macros.has('__x86_64__'), false);
  });

  const headers = ['linux/in.h', 'linux/tcp.h', 'linux/fcntl.h', 'asm/ioctls.h', 'linux/prctl.h', 'linux/stat.h'];
  const folders = ['/usr/include', '/usr/include/x86_64-linux-gnu'];
  const find = (path: string): { path: string; text: string } | undefined => {
    const folder = folders.find((candidate) => existsSync(`${candidate}/${path}`));
    return folder === undefined
      ? undefined
      : { path: `${folder}/${path}`, text: readFileSync(`${folder}/${path}`, 'utf8') };
  };
  const skip = noCompiler || (headers.every((header) => find(header) !== undefined) ? false : 'no uapi headers');
  it('of the uapi headers have the values that gcc gives them', { skip }, () => {
    const source = headers.map((header) => `#include <${header}>\n`).join('');
    const definitions = read(source, { include: (path) => find(path) });
    const known = [...definitions.macros.keys()].filter((name) => definitions.macroValue(name) !== undefined);
    assert.ok(known.length > 500, String(known.length));
    const shown = known
      .map((name) => `printf((${name}) < 0 ? "%lld\\n" : "%llu\\n", (long long)(${name}));`)
      .join('\n');
    const theirs = runC(`${source}extern int printf(const char *, ...);\nint main(void) {\n${shown}\nreturn 0; }`);
    assert.deepEqual(
      known.map((name) => String(definitions.macroValue(name))),
      theirs.trimEnd().split('\n'),
    );
  });
});

describe('hostile text', () => {
  it('is read or refused, never thrown at', () => {
    const words =
      'struct union enum typedef int unsigned { } ( ) [ ] ; , * : = 3 0x10 a b __attribute__((packed)) #define #if #else #endif #include <a.h> \n \\\n " \' /* */ // ## # sizeof defined ... 1+'.split(
        ' ',
      );
    const property = fc.property(
      fc.array(fc.constantFrom(...words), { maxLength: 60 }),
      fc.boolean(),
      (parts, lines) => {
        const text = parts.join(lines ? '\n' : ' ');
        const definitions = read(text, { include: () => ({ path: 'a.h', text: 'struct h { int a; };\n' }) });
        for (const problem of definitions.problems) assert.ok(problem.start <= problem.end);
        for (const name of definitions.types.names('struct')) definitions.types.find('struct', name);
        for (const name of definitions.macros.keys()) definitions.macroValue(name);
      },
    );
    fc.assert(property, { numRuns: 5000, seed: 20_240_607 });
  });

  it('ends soon', () => {
    const texts = [
      'struct a {'.repeat(10_000),
      `typedef int ${'('.repeat(50_000)}`,
      `int x[${'('.repeat(50_000)}1];`,
      `struct s { int x[${'1+'.repeat(50_000)}1]; };`,
      `#if ${'!'.repeat(50_000)}1\n#endif`,
      `${'#if 1\n'.repeat(50_000)}`,
      `int ${'*'.repeat(50_000)} x;`,
      `struct s { char a[1 << 30][1 << 30]; };`,
      `${'}'.repeat(50_000)}`,
      `/*${'*'.repeat(100_000)}`,
      `#define F(x) ${'x '.repeat(1000)}\nF(F(F(F(1))))`,
      `#define A(${Array.from({ length: 5000 }, (_, i) => `a${i}`).join(',')}) 1\nA()`,
      `enum e { ${Array.from({ length: 20_000 }, (_, i) => `E${i}`).join(',')} };`,
      `${'"'.repeat(50_001)}`,
    ];
    for (const text of texts) {
      const start = performance.now();
      read(text);
      assert.ok(performance.now() - start < 2000, `${text.slice(0, 40)} took ${performance.now() - start} ms`);
    }
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isFunction, lacking, listedSymbols, nodePath, output, random, workerdPath } from '../../../test/binaries.ts';
import { demangleBoth } from '../demangle/index.ts';
import { anyForm, formsOf, looksMangled, mangledPieces, mangledTest } from './names.ts';

test('pieces are what must stand in a mangled name', () => {
  assert.deepEqual(mangledPieces(['node::Start(int, char**)']), ['Start', 'node']);
  // Substitutions, builtin types and words of the demangler's own prove nothing.
  assert.deepEqual(mangledPieces(['std::string::append(char const*, unsigned long)']), ['append']);
  assert.deepEqual(mangledPieces(['(anonymous namespace)::Foo<5ul>::operator()']), ['Foo']);
  assert.deepEqual(mangledPieces(['{lambda(int)#1}', "'lambda0'"]), []);
  // The start of a pattern may be the end of such a word.
  assert.deepEqual(mangledPieces(['nt', 'ring', '2Foo']), ['Foo']);
});

/**
 * The promise that a search by pieces rests on: for any part of what c++filt makes of a
 * name, the pieces of that part are in the name.
 */
for (const [name, path] of Object.entries({ node: nodePath, workerd: workerdPath })) {
  describe(name, { skip: lacking(path, 'readelf', 'c++filt') }, () => {
    test('every piece of a part of a demangled name is in the mangled one', () => {
      const pick = random(3);
      const all = listedSymbols(path).filter((one) => isFunction(one) && /^_[ZR]/.test(one.name));
      const names = Array.from({ length: 3000 }, () => (all[pick(all.length)] as { name: string }).name);
      // -i: verbose, as nm -C; --no-verbose leaves std::string as it is.
      for (const option of ['-i', '--no-verbose']) {
        const demangled = output('c++filt', [option], `${names.join('\n')}\n`)
          .trimEnd()
          .split('\n');
        assert.equal(demangled.length, names.length);
        let pieces = 0;
        names.forEach((mangled, index) => {
          const text = demangled[index] as string;
          if (text === mangled) return;
          // A plain function of a namespace or class: every pattern for the start of its name admits it.
          if (/^[\w:~]+\(/.test(text)) {
            const cut = text.slice(0, 1 + pick(text.indexOf('(')));
            if (!mangledTest(`${cut}*`, [cut])(mangled)) assert.fail(`${cut}* does not admit ${mangled.slice(0, 200)}`);
          }
          const start = pick(text.length);
          for (const part of [text, text.slice(start, start + 1 + pick(40))]) {
            const test = mangledTest(`*${part}*`, [part]);
            if (!test(mangled)) assert.fail(`"${part}" does not admit ${mangled.slice(0, 200)}`);
            for (const piece of mangledPieces([part])) {
              pieces++;
              if (!mangled.includes(piece)) assert.fail(`${piece} is not in ${mangled.slice(0, 200)}`);
            }
          }
        });
        assert.ok(pieces > 3000);
      }
    });
  });
}

test('the forms that an expression is told to need are all that it needs', {
  skip: lacking(nodePath, 'c++filt'),
}, () => {
  const names = listedSymbols(nodePath).filter((one) => isFunction(one) && looksMangled(one.name));
  const pick = random(5);
  const words = [
    'node',
    'Start',
    'v8::',
    'ng',
    'am::',
    'std::',
    '.*',
    '.+',
    '(',
    '<',
    '^',
    '$',
    '\\(',
    'Env',
    'r',
    '[^<]*',
    '\\b',
    ' ',
    'int',
    'const',
    '::',
    '~',
    'operator',
    '(?=v)',
    'tor',
  ];
  let matched = 0;
  for (let round = 0; round < 3000; round++) {
    const source = Array.from({ length: 1 + pick(4) }, () => words[pick(words.length)]).join('');
    let regex: RegExp;
    try {
      regex = new RegExp(source);
    } catch {
      continue;
    }
    const forms = formsOf(source);
    for (let left = 12; left > 0; left--) {
      const { name } = names[pick(names.length)] as { readonly name: string };
      const test = (text: string): boolean => regex.test(text);
      const exact = anyForm(name, demangleBoth, test);
      assert.equal(anyForm(name, demangleBoth, test, forms), exact, `${source}: ${name}`);
      if (exact) matched++;
    }
  }
  assert.ok(matched > 3000, `only ${matched} matches`);
});

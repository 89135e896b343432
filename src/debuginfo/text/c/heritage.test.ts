/** Classes with virtual bases against g++ and clang++: random hierarchies, by what their debugging information says. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { random } from '../../../../test/binaries.ts';
import { openTypes } from '../../../kernel/host/programtypes.ts';
import type { CompositeType } from '../../../types/model.ts';
import { readCDefinitions } from './index.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-heritage-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Bases of all kinds: primary ones that are virtual, shared ones, functions that are declared again. */
const byHand = `
class Interface { public: virtual ~Interface(); virtual int one(); virtual int two(int, const char *) const; };
class Other { public: virtual ~Other(); virtual void three(); };
class Data { public: virtual ~Data(); int data; char tail; };
class Plain { public: long plain; char end; };
class Connection : public virtual Interface { public: int one() override; int connection; };
class Server : public virtual Interface { public: virtual int listen(int); };
class Both : public Connection, public virtual Server { public: short both; };
class Mixed : public Data, virtual public Interface, virtual public Plain { public: char mixed; };
class Last : public Mixed, public virtual Other, public Connection { public: long last; };
class Narrow : public virtual Interface { public: virtual ~Narrow(); virtual int two(int number, const char *text) const; };
class Wide : public virtual Narrow, public virtual Data { public: int wide; };
class Holder { public: char first; Wide wide; char second; };
class Deep : public Wide, public Both { public: int deep; };
`;

function hierarchies(seed: number, count: number): string {
  const below = random(seed);
  const members = ['char', 'short', 'int', 'long', 'char'];
  let text = '';
  for (let i = 0; i < count; i++) {
    const bases = new Map<number, boolean>();
    for (let left = i === 0 ? 0 : below(4); left > 0; left--) bases.set(below(i), below(2) === 0);
    const list = [...bases].map(([base, virtual]) => `public ${virtual ? 'virtual ' : ''}C${base}`);
    const functions = Array.from({ length: below(3) }, (_, n) => `virtual int f${i}_${n}(int);`);
    if (below(3) === 0) functions.push(`virtual ~C${i}();`);
    // A class with nothing in it at all lies elsewhere.
    const fields = below(3) + (functions.length === 0 && bases.size === 0 ? 1 : 0);
    const body = Array.from({ length: fields }, (_, n) => `${members[below(members.length)]} m${i}_${n};`);
    text += `class C${i}${list.length > 0 ? ` : ${list.join(', ')}` : ''} { public: ${[...functions, ...body].join(' ')} };\n`;
  }
  return text;
}

/** Sizes, members and the slots of virtual bases, in words. */
function describeClass(type: CompositeType): string[] {
  const fields = type.fields().flatMap(({ name, offset, base, virtualBase, type: of }) => {
    if (name.startsWith('_vptr')) return [];
    if (!base) return [`${name} at ${offset}`];
    const named = of.kind === 'struct' ? of.name : '';
    return [virtualBase === undefined ? `base ${named} at ${offset}` : `virtual base ${named} by ${virtualBase}`];
  });
  return [`${type.name}: ${type.size} bytes`, ...fields.sort()];
}

describe('virtual bases', () => {
  for (const compiler of ['g++', 'clang++']) {
    const missing = spawnSync(compiler, ['--version']).error !== undefined && `needs ${compiler}`;
    for (const [title, text] of [
      ['by hand', byHand],
      ['random 1', hierarchies(1, 150)],
      ['random 2', hierarchies(2, 150)],
    ] as const) {
      test(`${compiler}, ${title}`, { skip: missing, timeout: 120_000 }, () => {
        const names = [...text.matchAll(/^class (\w+)/gm)].map(([, name]) => name as string);
        const path = join(folder, `${compiler}-${title.replace(' ', '')}.cc`);
        const uses = names.map((name) => `unsigned long size_${name} = sizeof(${name}); ${name} *use_${name};`);
        writeFileSync(path, `${text}\n${uses.join('\n')}\n`);
        const object = path.replace(/cc$/, 'o');
        // Descriptions of all classes, also of those whose functions are elsewhere.
        const whole = compiler === 'g++' ? '-femit-class-debug-always' : '-fstandalone-debug';
        const words = ['-g', '-w', whole, '-shared', '-fPIC'];
        const built = spawnSync(compiler, [...words, '-o', object, path], {
          encoding: 'utf8',
        });
        assert.equal(built.status, 0, built.stderr);
        const { types } = openTypes(object, {});
        const declared = readCDefinitions(
          { text, name: title },
          { include: () => undefined, types: undefined, pointerSize: 8 },
        );
        assert.deepEqual(declared.problems, []);
        for (const name of names) {
          const theirs = types.find('struct', name);
          const ours = declared.types.find('struct', name);
          assert.ok(theirs?.kind === 'struct' && theirs.size > 0, name);
          assert.ok(ours?.kind === 'struct', name);
          assert.deepEqual(describeClass(ours), describeClass(theirs));
        }
      });
    }
  }
});

/** Names by the tables in a file lead to what going through all of it finds; tables that are wrong are told, and not used. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { after, describe, test } from 'node:test';
import { lacking, output, Workshop } from '../../../test/binaries.ts';
import { HostFile } from '../../kernel/host/file.ts';
import { inflate } from '../../kernel/host/inflate.ts';
import { conventions } from '../../types/abi.ts';
import { ElfFile } from '../elf/elf.ts';
import { DW_AT_name } from './constants.ts';
import type { EntryFile } from './entry.ts';
import { ListedNames, lastPart } from './listednames.ts';
import { makeNameIndex, type NameKind } from './nameindex.ts';
import { DwarfTypes } from './program.ts';
import { DwarfSections } from './sections.ts';

const workshop = new Workshop();
after(() => workshop[Symbol.dispose]());

function openElf(path: string): ElfFile | undefined {
  const file = existsSync(path) ? HostFile.open(path) : undefined;
  const elf = file?.ok ? ElfFile.open(path, file.value) : undefined;
  return elf?.ok ? elf.value : undefined;
}

function openTypes(path: string, notes: string[] = []): DwarfTypes {
  const elf = openElf(path);
  assert.ok(elf !== undefined);
  return new DwarfTypes(new DwarfSections(elf, inflate, undefined, openElf), {
    convention: conventions.x86_64,
    threadLocals: () => undefined,
    frameAddress: () => undefined,
    indexes: { kept: () => undefined, make: makeNameIndex },
    onNote: (note) => notes.push(note),
  });
}

const openFile = (path: string): EntryFile => openTypes(path).file;

const first = `
#include <string>
#include <map>
namespace geo {
struct Point { int x, y; enum Kind { Plain, Fancy } kind; static int made; struct Inner { long z; } inner; };
int Point::made = 3;
enum class Hue { Red, Green };
typedef Point Spot;
namespace { struct Hidden { int h; } hidden = {4}; }
template <class T> struct Box { T held; };
union Either { int i; float f; };
int counter = 5;
constexpr int limit = 10;
thread_local int mine = 6;
}
enum Level { Low, High };
typedef unsigned long word;
static int of_file;
std::map<std::string, geo::Point> table;
int use(geo::Point *p, geo::Hue h, geo::Spot s, geo::Box<int> b, geo::Either e, Level q, word w) {
  static int calls;
  struct Local { int l; } l = {1};
  calls++; geo::mine++;
  return p->x + (int)h + s.y + b.held + e.i + q + (int)w + l.l + geo::hidden.h + geo::counter + of_file++ + geo::limit + geo::Point::made;
}
`;
const second = `
namespace geo {
struct Other { int o; };
struct Point { int x, y; enum Kind { Plain, Fancy } kind; static int made; struct Inner { long z; } inner; };
int further = 8;
}
struct Top { int t; };
int other(geo::Other *o, geo::Point *p, Top *t) { return o->o + p->x + geo::further + t->t; }
`;
const third = `
namespace geo { struct Other; struct Point; }
struct Top;
int other(geo::Other *o, geo::Point *p, Top *t);
int main() { int a[8] = {1, 2, 3}; return other((geo::Other *)a, (geo::Point *)a, (Top *)a); }
`;
const sources = [first, second, third].map((text, at) => workshop.write(`unit${at}.cc`, text));

const kinds: readonly NameKind[] = ['struct', 'union', 'enum', 'typedef', 'variable', 'enumerator'];
/** Of the program's own names some of each kind, and what the tables are said to list. */
const own: readonly (readonly [kind: NameKind, name: string])[] = [
  ['struct', 'geo::Point'],
  ['struct', 'geo::Other'],
  ['struct', 'geo::Box<int>'],
  ['struct', 'geo::(anonymous namespace)::Hidden'],
  ['struct', 'Top'],
  ['union', 'geo::Either'],
  ['enum', 'geo::Hue'],
  ['typedef', 'geo::Spot'],
  ['typedef', 'word'],
  ['typedef', 'int'],
  ['variable', 'geo::counter'],
  ['variable', 'geo::further'],
  ['variable', 'geo::mine'],
  ['variable', 'of_file'],
];

interface Build {
  readonly what: string;
  readonly section: string;
  readonly compiler: string;
  readonly flags: readonly string[];
  readonly needs?: readonly string[];
  /** A tool to run on the program. */
  readonly then?: readonly string[];
  /** Kinds that its table has with their namespaces; all when absent. */
  readonly lists?: readonly NameKind[];
}

const builds: readonly Build[] = [
  { what: 'clang, one table a unit', section: '.debug_names', compiler: 'clang++', flags: ['-gdwarf-5', '-gpubnames'] },
  {
    what: 'clang, split units',
    section: '.debug_names',
    compiler: 'clang++',
    flags: ['-gdwarf-5', '-gpubnames', '-gsplit-dwarf'],
  },
  {
    what: 'gdb-add-index -dwarf-5',
    section: '.debug_names',
    compiler: 'g++',
    flags: ['-g'],
    then: ['gdb-add-index', '-dwarf-5'],
  },
  { what: 'gdb-add-index', section: '.gdb_index', compiler: 'g++', flags: ['-g'], then: ['gdb-add-index'] },
  {
    what: 'gdb-add-index, type units of DWARF 4',
    section: '.gdb_index',
    compiler: 'g++',
    flags: ['-gdwarf-4', '-fdebug-types-section'],
    then: ['gdb-add-index'],
    // gdb 13 leaves the namespaces of what is in type units away.
    lists: ['typedef', 'variable'],
  },
  {
    what: 'lld --gdb-index',
    section: '.gdb_index',
    compiler: 'clang++',
    flags: ['-gdwarf-4', '-ggnu-pubnames', '-fuse-ld=lld', '-Wl,--gdb-index'],
    needs: ['ld.lld'],
  },
  {
    what: 'gold --gdb-index',
    section: '.gdb_index',
    compiler: 'g++',
    flags: ['-gdwarf-4', '-ggnu-pubnames', '-fuse-ld=gold', '-Wl,--gdb-index'],
    needs: ['ld.gold'],
  },
];

let built = 0;
function compile({ compiler, flags, then = [] }: Omit<Build, 'what' | 'section'>, files: readonly string[]): string {
  const path = workshop.path(`program${built++}`);
  // Split units are written where the compiler runs.
  output('sh', [
    '-c',
    'cd "$1" && shift && exec "$@"',
    '',
    dirname(path),
    compiler,
    '-O0',
    ...flags,
    '-o',
    path,
    ...files,
  ]);
  const [tool, ...words] = then;
  if (tool !== undefined) output(tool, [...words, path]);
  return path;
}

/** How many names the tables lead to; each to what the index over all has. */
function compare(path: string, notes: string[] = []): number {
  const types = openTypes(path);
  const index = makeNameIndex(types.file);
  const listed = new ListedNames(openFile(path), (note) => notes.push(note));
  let found = 0;
  for (const kind of kinds.filter((one) => one !== 'enumerator')) {
    for (const entry of types.entries(kind)) {
      const name = types.reader.scopes.qualified(entry.originWith(DW_AT_name) ?? entry);
      if (name === '') continue;
      const place = listed.find(kind, name);
      if (place === undefined) continue;
      assert.notEqual(place, 'absent', `${kind} ${name}`);
      found++;
      assert.ok(
        index.find(kind, name).some((one) => JSON.stringify(one) === JSON.stringify(place)),
        `${kind} ${name}: ${JSON.stringify(place)} and not ${JSON.stringify(index.find(kind, name))}`,
      );
    }
  }
  return found;
}

describe('tables of names', () => {
  for (const build of builds) {
    const needs = [build.compiler, ...(build.needs ?? []), ...(build.then ?? []).slice(0, 1), 'readelf'];
    test(build.what, { skip: lacking(...needs), timeout: 60_000 }, () => {
      const path = compile(build, sources);
      assert.match(output('readelf', ['-SW', path]), new RegExp(` \\${build.section} `));
      const notes: string[] = [];
      const listed = new ListedNames(openFile(path), (note) => notes.push(note));
      for (const [kind, name] of own) {
        if (build.lists?.includes(kind) === false) continue;
        assert.ok(listed.find(kind, name) !== undefined, `${kind} ${name} is in the table: ${notes.join()}`);
      }
      // Of another kind; of another namespace, nothing of the sort; what lies in a function has no name outside.
      if (build.lists === undefined) {
        assert.equal(listed.find('union', 'geo::Point'), 'absent');
        assert.equal(listed.find('struct', 'word'), 'absent');
      }
      const absent = [
        ['struct', 'Point'],
        ['struct', 'geo::Nothing'],
        ['struct', 'Local'],
        ['variable', 'calls'],
      ] as const;
      for (const [kind, name] of absent) assert.equal(listed.find(kind, name), undefined, name);
      assert.ok(compare(path, notes) > 40, 'most names are in the table');
      assert.ok(notes.length > 0);
      for (const note of notes) assert.match(note, new RegExp(`^\\${build.section} tells where names are`));
    });
  }

  test('a table of some units: the others are gone through', { skip: lacking('clang++', 'g++') }, () => {
    // The unit without a table stands before the one with it, and has geo::Point too.
    const objects = [
      ['g++', '-g', 1],
      ['clang++', '-gpubnames', 0],
      ['clang++', '-gpubnames', 2],
    ] as const;
    const files = objects.map(([compiler, flag, source], at) => {
      const path = workshop.path(`part${at}.o`);
      output(compiler, ['-c', '-gdwarf-5', flag, '-o', path, sources[source] as string]);
      return path;
    });
    const path = compile({ compiler: 'g++', flags: [] }, files);
    const notes: string[] = [];
    assert.ok(compare(path, notes) > 60);
    assert.deepEqual(notes, ['.debug_names tells where names are; 1 units that it does not cover are gone through']);
    const point = makeNameIndex(openFile(path)).find('struct', 'geo::Point');
    assert.deepEqual([new ListedNames(openFile(path)).find('struct', 'geo::Point')], point);
    assert.ok(
      (openFile(path).units()[0]?.end ?? 0) > (point[0]?.offset ?? Number.NaN),
      'it is the one of the unit before',
    );
  });

  const wrong: readonly (readonly [build: Build, files: readonly number[], damage: 'other' | 'short' | 'grown'])[] = [
    [builds[0] as Build, [0, 1, 2], 'other'],
    [builds[0] as Build, [0, 1, 2], 'short'],
    [builds[0] as Build, [0, 1, 2], 'grown'],
    [builds[3] as Build, [0, 1, 2], 'other'],
    [builds[3] as Build, [0, 1, 2], 'short'],
  ];
  for (const [build, files, damage] of wrong) {
    const needs = [build.compiler, ...(build.then ?? []).slice(0, 1), 'objcopy'];
    test(`${build.section} that is ${damage}: told, and not used`, { skip: lacking(...needs), timeout: 60_000 }, () => {
      const path = compile(
        build,
        files.map((at) => sources[at] as string),
      );
      const truth = openTypes(path);
      const bytes = workshop.path('section');
      if (damage === 'other') {
        // Of a program whose first unit is not the same.
        const text = first.replace('struct Point {', 'struct Early { int e; } early; struct Point { Early before;');
        const changed = compile(build, [workshop.write('unit0b.cc', text), ...sources.slice(1)]);
        output('objcopy', ['--dump-section', `${build.section}=${bytes}`, changed, workshop.path('ignored')]);
      } else {
        output('objcopy', ['--dump-section', `${build.section}=${bytes}`, path, workshop.path('ignored')]);
        output('sh', ['-c', damage === 'short' ? 'truncate -s 300 "$1"' : 'printf "XXXXXXXX" >> "$1"', '', bytes]);
      }
      const broken = workshop.path('broken');
      output('objcopy', ['--update-section', `${build.section}=${bytes}`, path, broken]);
      const notes: string[] = [];
      const types = openTypes(broken, notes);
      for (const [kind, name] of own) {
        assert.equal(types.entry(kind, name)?.offset, truth.entry(kind, name)?.offset, name);
        assert.ok(types.entry(kind, name) !== undefined, name);
      }
      assert.match(notes.join('\n'), new RegExp(`^\\${build.section} is not used: \\S`, 'm'));
    });
  }

  test('a table of another build of a single unit', { skip: lacking('clang++', 'objcopy') }, () => {
    // Both have one unit, at 0: only names and entries tell that they are not the same.
    const flags = ['-shared', '-fPIC', ...(builds[0] as Build).flags];
    const [path, changed] = [first, `struct Before { int b; } before;\n${first}`].map((text, at) =>
      compile({ compiler: 'clang++', flags }, [workshop.write(`single${at}.cc`, text)]),
    ) as [string, string];
    const bytes = workshop.path('stale');
    output('objcopy', ['--dump-section', `.debug_names=${bytes}`, changed, workshop.path('ignored')]);
    const broken = workshop.path('stale.so');
    output('objcopy', ['--update-section', `.debug_names=${bytes}`, path, broken]);
    const notes: string[] = [];
    const types = openTypes(broken, notes);
    assert.equal(types.entry('struct', 'geo::Point')?.offset, openTypes(path).entry('struct', 'geo::Point')?.offset);
    assert.match(notes.at(-1) ?? '', /^\.debug_names is not used: (the name|what it calls)/);
  });
});

test('the last part of a name', () => {
  const cases: readonly (readonly [name: string, last: string])[] = [
    ['word', 'word'],
    ['geo::Point', 'Point'],
    ['geo::Box<ns::Other>', 'Box<ns::Other>'],
    ['std::map<a::b, c::d>::iterator', 'iterator'],
    ['geo::(anonymous namespace)::Hidden', 'Hidden'],
    ['core::option::Option<&alloc::string::String>', 'Option<&alloc::string::String>'],
    ['', ''],
  ];
  for (const [name, last] of cases) assert.equal(lastPart(name), last);
});

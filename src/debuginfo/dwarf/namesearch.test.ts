/** A search for one name finds what the index has of it: of fixtures, and of libc's and python's debug files. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import { lacking, libcDebugFile, output, Workshop } from '../../../test/binaries.ts';
import { HostFile } from '../../kernel/host/file.ts';
import { inflate } from '../../kernel/host/inflate.ts';
import { ElfFile } from '../elf/elf.ts';
import { EntryFile } from './entry.ts';
import { makeNameIndex, type NameKind, qualifiedName } from './nameindex.ts';
import { NameSearch } from './namesearch.ts';
import { Scopes } from './scopes.ts';
import { DwarfSections } from './sections.ts';

const workshop = new Workshop();
after(() => workshop[Symbol.dispose]());

const first = `
#include <string>
namespace shop {
enum class Size { small = 1, large };
enum Color { red, green };
struct Item { static int count; int price; struct Part { long weight; } part; };
int Item::count = 3;
struct Later;
extern Later *later;
template <class T> struct Box { T held; };
int total(const Item &item, Size size, Color color) { Box<long> box{item.price}; return int(box.held) + int(size) + color; }
}
union Either { int whole; float part; };
typedef unsigned short port_number;
namespace { struct Hidden { int a; } hidden; }
int global_count = 4;
int main(int argc, char **) { Either either{argc}; port_number port = 1; std::string text("x"); return shop::total({either.whole, {1}}, shop::Size::large, shop::red) + port + hidden.a + int(text.size()); }
`;
const second = `
namespace shop { struct Later { int day; }; Later *later; struct Item { int other; }; }
struct Either_ { int whole; };
static int hidden_count = 1;
int count_more() { shop::Later own{2}; Either_ either{1}; return own.day + either.whole + hidden_count++; }
`;

function built(name: string, compiler: string, ...options: readonly string[]): string {
  const path = workshop.path(name);
  const sources = [workshop.write('first.cc', first), workshop.write('second.cc', second)];
  output(compiler, ['-w', '-g', ...options, '-o', path, ...sources]);
  return path;
}

function entryFile(path: string): EntryFile {
  const reader = HostFile.open(path);
  assert.ok(reader.ok);
  const elf = ElfFile.open(path, reader.value);
  assert.ok(elf.ok);
  return new EntryFile(new DwarfSections(elf.value, inflate));
}

const kinds: readonly NameKind[] = ['struct', 'union', 'enum', 'typedef', 'variable', 'enumerator'];

/** Asks for every `step`th name; the number of those found, and of those left to an index. */
function compare(path: string, step: number): { readonly found: number; readonly unknown: number } {
  const file = entryFile(path);
  const index = makeNameIndex(file);
  const search = new NameSearch(file);
  const scopes = new Scopes();
  let found = 0;
  let unknown = 0;
  for (const kind of kinds) {
    const names = new Set<string>();
    for (const place of index.all(kind)) {
      const entry = place.section === 'info' ? file.at(place.offset) : file.atType(place.offset);
      assert.ok(entry !== undefined);
      names.add(qualifiedName(entry, scopes));
    }
    for (const [at, name] of [...names].entries()) {
      if (at % step !== 0 || name === '') continue;
      const answer = search.find(kind, name);
      if (answer === 'unknown') unknown++;
      else if (kind === 'enumerator' && answer === undefined)
        continue; // its enumeration's name was asked for
      else {
        found++;
        assert.deepEqual(answer, index.find(kind, name)[0], `${kind} ${name}`);
      }
    }
  }
  return { found, unknown };
}

describe('a name is found without an index', () => {
  test('C++, DWARF 4 and 5, with type units, compressed', { skip: lacking('g++') }, () => {
    for (const options of [
      [],
      ['-gdwarf-4'],
      ['-gdwarf-4', '-fdebug-types-section'],
      ['-fdebug-types-section', '-gz'],
    ]) {
      const path = built('fixture', 'g++', ...options);
      assert.ok(compare(path, 1).found > 40, options.join(' '));
      const search = new NameSearch(entryFile(path));
      assert.equal(typeof search.find('struct', 'shop::Later'), 'object', 'declared in one unit, defined in the other');
      assert.equal(typeof search.find('struct', 'shop::Item::Part'), 'object');
      assert.equal(typeof search.find('struct', '(anonymous namespace)::Hidden'), 'string', 'left to the index');
      assert.notEqual(typeof search.find('struct', 'shop::Either'), 'object', 'it lies in no namespace');
    }
  });

  test('names by index are left to the index', { skip: lacking('clang++') }, () => {
    assert.deepEqual(compare(built('clang', 'clang++', '-gdwarf-5'), 1).found, 0);
    assert.ok(compare(built('clang', 'clang++', '-gdwarf-4'), 1).found > 40);
  });

  const libc = libcDebugFile() ?? '';
  test('libc', { skip: libc === '' && 'there is no debug file of libc (apt-get install libc6-dbg)' }, () => {
    const { found, unknown } = compare(libc, 10);
    assert.ok(found > 100 && unknown < found / 4, `${found} found, ${unknown} left to the index`);
    const search = new NameSearch(entryFile(libc));
    assert.equal(search.find('struct', 'there_is_no_such_name'), undefined);
    assert.equal(search.find('struct', 'size_t'), undefined, 'a typedef');
  });

  const python = '/usr/bin/python3-dbg';
  test('python', { skip: existsSync(python) ? false : `needs ${python} (apt-get install python3-dbg)` }, () => {
    assert.ok(compare(python, 100).found > 40);
  });
});

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { after, describe, test } from 'node:test';
import { inflateSync } from 'node:zlib';
import { lacking, libcPath, output, random, Workshop } from '../../../test/binaries.ts';
import { virtualAddress } from '../../base/numbers.ts';
import { bytesReader } from '../../bytes/file.ts';
import { HostFile } from '../../kernel/host/file.ts';
import { ElfFile } from '../elf/elf.ts';
import { createLineIndex, type LineIndex } from './index.ts';

const workshop = new Workshop();
after(() => workshop[Symbol.dispose]());

function openElf(path: string): ElfFile {
  const file = HostFile.open(path);
  assert.ok(file.ok);
  const elf = ElfFile.open(path, file.value);
  assert.ok(elf.ok);
  return elf.value;
}

const inflate = (packed: Uint8Array, method: 'zlib' | 'zstd'): Uint8Array => {
  assert.equal(method, 'zlib');
  return inflateSync(packed);
};

const open = (path: string): LineIndex => createLineIndex(openElf(path), { inflate });

const source = `
#include <vector>
#include <string>
#include <cstdio>
#include <algorithm>
namespace shop {
struct Item { int price; std::string name; explicit Item(int p, const char *n) : price(p), name(n) {} };
static inline int tax(int p) { return p / 5 + (p % 7 ? 1 : 0); }
inline int total(const std::vector<Item> &v) {
  int t = 0;
  for (const auto &i : v) t += i.price + tax(i.price);
  return t;
}
template <class T> __attribute__((noinline)) T twice(T x) { return x + x; }
struct Base { virtual ~Base() {} virtual int run(int) = 0; };
struct Shop : Base { std::vector<Item> v; int run(int k) override; };
int Shop::run(int k) {
  for (int i = 0; i < k; i++) v.emplace_back(i * 3, "thing");
  std::sort(v.begin(), v.end(), [](const Item &a, const Item &b) { return a.price > b.price; });
  return total(v) + twice(k);
}
}
int main(int argc, char **) { shop::Shop s; std::printf("%d %f\\n", s.run(argc), shop::twice(1.5)); return 0; }
`;

/** Compiles a C++ program; returns its path. */
function gxx(name: string, file: string, text: string, ...options: readonly string[]): string {
  const path = workshop.path(name);
  output('g++', [...options, '-o', path, workshop.write(file, text)]);
  return path;
}

/** What `addr2line -i -f` says of each address: function, `file:line`, function, … from the innermost on. */
function addr2line(path: string, addresses: readonly number[]): string[][] {
  // It looks for the file of .gnu_debugaltlink from where it stands.
  const command = ['-c', 'cd "$1" && addr2line -a -i -f -e "$2"', '', dirname(path), basename(path)];
  const text = output('sh', command, addresses.map((one) => one.toString(16)).join('\n'));
  const answers: string[][] = [];
  for (const row of text.trimEnd().split('\n')) {
    if (/^0x[0-9a-f]{8,}$/.test(row)) answers.push([]);
    else answers.at(-1)?.push(row.replace(/ \(discriminator \d+\)$/, ''));
  }
  return answers;
}

/** The same of ours. */
function chain(index: LineIndex, address: number): string[] {
  const frames = index.at(virtualAddress(address))?.frames ?? [];
  if (frames.length === 0) return ['??', '??:0'];
  return frames.flatMap((one) => [one.function || '??', `${one.file || '??'}:${one.line || '?'}`]);
}

/** Rows of readelf's decoded line tables: base name and line of each address, the last row of an address. */
function decodedLines(path: string): Map<number, string> {
  const rows = new Map<number, string>();
  for (const row of output('readelf', ['--debug-dump=decodedline', '-W', path]).split('\n')) {
    const match = /^(\S+) +(\d+|-) +0x([0-9a-f]+|0)\b/.exec(row);
    if (match === null) continue;
    const [, file = '', line = '', address = ''] = match;
    if (line === '-') rows.delete(Number.parseInt(address, 16));
    else rows.set(Number.parseInt(address, 16), `${file}:${line}`);
  }
  return rows;
}

const builds: Readonly<Record<string, readonly string[]>> = {
  'DWARF 2': ['-gdwarf-2'],
  'DWARF 3': ['-gdwarf-3'],
  'DWARF 4': ['-gdwarf-4'],
  'DWARF 5': ['-gdwarf-5'],
  'DWARF 5, 64-bit format': ['-gdwarf-5', '-gdwarf64'],
  'DWARF 4, type units': ['-gdwarf-4', '-fdebug-types-section'],
  'DWARF 5, type units': ['-gdwarf-5', '-fdebug-types-section'],
  'DWARF 5, compressed (SHF_COMPRESSED)': ['-gdwarf-5', '-gz=zlib'],
  'DWARF 5, no PIE, thrown-away functions': ['-gdwarf-5', '-no-pie', '-ffunction-sections', '-Wl,--gc-sections'],
};

describe('lines and inlined functions of a C++ program, against addr2line and readelf', {
  skip: lacking('g++', 'addr2line', 'readelf', 'strip'),
}, () => {
  let truth: string[][] | undefined;
  const plainTruth = (): string[][] => {
    assert.ok(truth !== undefined);
    return truth.map((answer) => answer.slice());
  };
  for (const [what, options] of Object.entries(builds)) {
    test(what, () => {
      const built = gxx(`shop${what.replace(/\W+/g, '-')}`, 'shop.cc', source, '-O2', ...options);
      // Without symbols, so that addr2line has no other source for names than DWARF.
      const path = `${built}.stripped`;
      output('strip', ['-s', '--keep-section=.debug*', '-o', path, built]);
      const elf = openElf(path);
      const text = elf.section('.text');
      assert.ok(text !== undefined);
      const index = open(path);
      const addresses = Array.from({ length: text.size }, (_, at) => text.address + at);
      // binutils 2.40 gives nothing for two of them; the code is that of the plain build.
      const theirs = /64-bit|5, type units/.test(what) ? plainTruth() : addr2line(path, addresses);
      if (what === 'DWARF 5') truth = theirs;
      assert.equal(theirs.length, addresses.length);
      const lines = decodedLines(built);
      let deepest = 0;
      let fileDifferences = 0;
      for (const [at, address] of addresses.entries()) {
        const their = theirs[at] as string[];
        const our = chain(index, address);
        if (/^\?\?:[?0]$/.test(their[1] ?? '')) their[1] = '??:0';
        deepest = Math.max(deepest, our.length / 2);
        const where = `at 0x${address.toString(16)}`;
        const row = lines.get(address);
        if (row !== undefined && our[1] !== '??:0') assert.equal(basename(our[1] ?? ''), row, where);
        if (our[1] !== their[1]) {
          // binutils 2.40 takes the wrong file for some of DWARF 5's rows; readelf, asked above, settles it.
          fileDifferences++;
          assert.equal(our[1]?.replace(/.*:/, ''), their[1]?.replace(/.*:/, ''), where);
          our[1] = their[1] ?? '';
        }
        assert.deepEqual(our, their, where);
      }
      assert.ok(fileDifferences <= 4, `${fileDifferences} files differ from addr2line's`);
      assert.ok(deepest >= 6, `the deepest chain of inlined functions has only ${deepest}`);
      assert.ok(lines.size > 500);
      assert.match(index.producers().join(), /^GNU C\+\+/);
    });
  }

  test("a line's addresses are those where readelf shows statements of it", () => {
    const path = gxx('lines', 'lines.cc', source, '-O0', '-gdwarf-5');
    const rows = [
      ...output('readelf', ['--debug-dump=decodedline', '-W', path]).matchAll(/^lines\.cc +11 +0x(\w+).* x$/gm),
    ];
    const wanted = [...new Set(rows.map(([, address = '']) => Number.parseInt(address, 16)))].sort((a, b) => a - b);
    assert.ok(wanted.length > 0);
    assert.deepEqual(
      open(path).addressesOf((file) => file.endsWith('/lines.cc'), 11),
      wanted,
    );
  });
});

test('a separate debug file shortened and shared by dwz', { skip: lacking('g++', 'dwz', 'addr2line') }, () => {
  const paths = ['one', 'two'].map((name) => {
    const path = gxx(name, `${name}.cc`, source.replace('"thing"', `"${name}"`), '-O2', '-gdwarf-4');
    output('strip', ['-s', '--keep-section=.debug*', path]);
    return path;
  });
  const common = workshop.path('common.debug');
  output('dwz', ['-m', common, '-M', common, ...paths]);
  const [path = ''] = paths;
  const asked: string[] = [];
  const elf = openElf(path);
  const index = createLineIndex(elf, {
    supplementary: (name, buildId) => {
      asked.push(name);
      const shared = openElf(name);
      assert.equal(shared.buildId(), buildId);
      return shared;
    },
  });
  const text = elf.section('.text');
  assert.ok(text !== undefined);
  const addresses = Array.from({ length: text.size }, (_, at) => text.address + at);
  const theirs = addr2line(path, addresses);
  for (const [at, address] of addresses.entries()) {
    const our = chain(index, address);
    const their = theirs[at] as string[];
    if (/^\?\?:[?0]$/.test(their[1] ?? '')) their[1] = '??:0';
    assert.deepEqual(our, their, `at 0x${address.toString(16)}`);
  }
  assert.deepEqual(asked, [common]);
});

const libcDebug = ((): string | undefined => {
  if (libcPath === undefined) return undefined;
  const buildId = openElf(libcPath).buildId();
  const path = `/usr/lib/debug/.build-id/${buildId.slice(0, 2)}/${buildId.slice(2)}.debug`;
  return existsSync(path) ? path : undefined;
})();

test("libc's debug file, against addr2line", {
  skip: libcDebug === undefined ? 'no debug file of libc (Debian: libc6-dbg)' : lacking('addr2line'),
}, () => {
  const path = libcDebug as string;
  const index = open(path);
  const text = openElf(path).section('.text');
  assert.ok(text !== undefined);
  const pick = random(4);
  const addresses = Array.from({ length: 4000 }, () => text.address + pick(text.size));
  const theirs = addr2line(path, addresses);
  const lineOnly = (place: string): string => place.replace(/^.*:/, '');
  let same = 0;
  for (const [at, address] of addresses.entries()) {
    const our = chain(index, address);
    const their = theirs[at] as string[];
    // Code without DWARF has a name from the symbol table there.
    if (our[1] === '??:0' || our[0] === '??') continue;
    assert.deepEqual(our.slice(0, -2).map(lineOnly), their.slice(0, -2).map(lineOnly), `at 0x${address.toString(16)}`);
    assert.equal(lineOnly(our.at(-1) ?? ''), lineOnly(their.at(-1) ?? ''));
    same++;
  }
  assert.ok(same > 3800, `only ${same} of 4000 addresses have lines`);
});

test('damaged debug sections give no answer, or another, and no crash', { skip: lacking('g++') }, () => {
  const built = gxx('damaged', 'damaged.cc', source, '-O2', '-gdwarf-5');
  const whole = new Uint8Array(contentsOf(built));
  const intact = openElf(built);
  const sections = intact.sections.filter(({ name }) => name.startsWith('.debug_'));
  const text = intact.section('.text');
  assert.ok(text !== undefined && sections.length >= 6);
  const pick = random(11);
  const end = Date.now() + 4000;
  let rounds = 0;
  for (; rounds < 400 && Date.now() < end; rounds++) {
    const bytes = whole.slice();
    for (let left = 1 + pick(20); left > 0; left--) {
      const section = sections[pick(sections.length)];
      if (section !== undefined) bytes[section.offset + pick(section.size)] = pick(256);
    }
    const elf = ElfFile.open('damaged', bytesReader(bytes));
    assert.ok(elf.ok);
    const index = createLineIndex(elf.value);
    for (let left = 40; left > 0; left--) {
      for (const frame of index.at(virtualAddress(text.address + pick(text.size)))?.frames ?? []) {
        assert.equal(typeof frame.function, 'string');
      }
    }
  }
  assert.ok(rounds >= 20, `only ${rounds} rounds in four seconds`);
});

function contentsOf(path: string): Uint8Array {
  const file = HostFile.open(path);
  assert.ok(file.ok);
  return file.value.read(0, file.value.size);
}

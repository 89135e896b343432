/**
 * Names inferred in programs of all the kinds that linkers make, against their own
 * symbols, which are cut off before. Slots are counted by hand, by the Itanium C++ ABI
 * (2.5.2, 2.5.3) from the classes in bench/fixtures/classes.cc.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { isOfClass, isRight } from '../bench/judge.ts';
import { virtualAddress } from '../src/base/numbers.ts';
import { ElfFile } from '../src/debuginfo/elf/elf.ts';
import { Image } from '../src/debuginfo/elf/image.ts';
import { Pointers } from '../src/debuginfo/elf/relocations.ts';
import { HostFile } from '../src/kernel/host/file.ts';
import { type EvidenceIndex, nameFunctions } from '../src/symbolize/evidence/index.ts';
import { Learnt } from '../src/symbolize/evidence/learnt.ts';
import { lacking, listedSymbols, nodePath, output, readelf, Workshop } from './binaries.ts';
import { root } from './insitu.ts';

const workshop = new Workshop();
after(() => workshop[Symbol.dispose]());

interface Way {
  readonly title: string;
  readonly command: string;
  readonly flags: readonly string[];
  /** Which tables of relocations must have entries, so that the way is what it says. */
  readonly relocations: readonly ('rela' | 'rel' | 'relr')[];
  /** arm64: pointers are read, code is not. */
  readonly withoutCode?: boolean;
}

const ways: readonly Way[] = [
  { title: 'PIE, RELA', command: 'g++', flags: [], relocations: ['rela'] },
  { title: 'at a fixed address', command: 'g++', flags: ['-no-pie', '-fno-pie'], relocations: [] },
  { title: 'RELR', command: 'g++', flags: ['-Wl,-z,pack-relative-relocs'], relocations: ['relr'] },
  { title: 'REL', command: 'clang++', flags: ['-fuse-ld=lld', '-Wl,-z,rel'], relocations: ['rel'] },
  { title: 'without .eh_frame_hdr', command: 'g++', flags: ['-Wl,--no-eh-frame-hdr'], relocations: ['rela'] },
  { title: 'clang, libc++', command: 'clang++', flags: ['-stdlib=libc++'], relocations: ['rela'] },
  { title: 'arm64', command: 'aarch64-linux-gnu-g++', flags: [], relocations: ['rela'], withoutCode: true },
];

function open(path: string): ElfFile {
  const file = HostFile.open(path);
  if (!file.ok) throw file.error;
  const elf = ElfFile.open(path, file.value);
  if (!elf.ok) throw elf.error;
  return elf.value;
}

function named(path: string, learnt: readonly Learnt[] = []): EvidenceIndex {
  const index = nameFunctions(open(path), { learnt });
  if (!index.ok) throw index.error;
  return index.value;
}

/** Mangled names by address. */
function symbolsOf(path: string): Map<number, string[]> {
  const symbols = new Map<number, string[]>();
  for (const { address, name, type } of listedSymbols(path)) {
    if (type === 'FUNC') symbols.set(address, [...(symbols.get(address) ?? []), name]);
  }
  return symbols;
}

/** `A::vfunc[1]` for `A|B::vfunc[1]`: B is a base whose own table the linker has left out. */
const ofFirst = (name: string = ''): string => name.replace(/^([^|]+)\|.*(::(?:vfunc\[[^\]]*\]|~\w+))$/, '$1$2');

/** Symbol → what it is called without symbols, in every way. */
const slots: Readonly<Record<string, string>> = {
  // Shape: two destructors, area, name, corners; Square (a list of bases) adds move, which Movable has in slot 2 of its own.
  _ZNK6shapes6Square4areaEv: 'shapes::Square::vfunc[2]',
  _ZN6shapes6Square4moveEdd: 'shapes::Square::vfunc[5]',
  // Its thunk, in the table of Movable, which lies behind Polygon: a table's address and a vector.
  _ZThn32_N6shapes6Square4moveEdd: 'shapes::Square::vfunc[+32:2]',
  // One base.
  _ZNK6shapes6ScaledIdE4areaEv: 'shapes::Scaled<double>::vfunc[2]',
  // The base is in the C++ library: two destructors before.
  _ZNK7Failure4whatEv: 'Failure::vfunc[2]',
  // A virtual base that shares its table.
  _ZN6shapes4Both4sideEv: 'shapes::Both::vfunc[3]',
};

const withCode: Readonly<Record<string, string>> = {
  main: 'main',
  _start: '_start',
  _ZN6shapes6SquareD0Ev: 'shapes::Square::~Square',
  _ZL6workerPv: 'start of a thread',
};

describe('names without symbols', { skip: lacking('g++', 'strip', 'readelf') }, () => {
  for (const { title, command, flags, relocations, withoutCode = false } of ways) {
    test(title, { skip: lacking(command) }, () => {
      const path = workshop.path(title.replaceAll(/\W+/g, '-'));
      const source = join(root, 'bench', 'fixtures', 'classes.cc');
      output(command, ['-std=c++17', '-O2', ...flags, '-o', path, source, '-lpthread']);
      const strip = withoutCode ? 'aarch64-linux-gnu-strip' : 'strip';
      const stripped = `${path}.stripped`;
      output(strip, ['-s', '-o', stripped, path]);
      assert.ok(!readelf('-SW', stripped).some((line) => line.includes('.symtab')));
      if (title.includes('eh_frame_hdr')) {
        assert.ok(!readelf('-lW', stripped).some((line) => line.includes('GNU_EH_FRAME')));
      }
      const image = Image.of(open(stripped));
      assert.ok(image.ok);
      const { counts } = new Pointers(image.value);
      for (const table of ['rela', 'rel', 'relr'] as const) {
        if (relocations.includes(table)) assert.ok(counts[table] > 0, `${table}: ${JSON.stringify(counts)}`);
      }

      const names = named(stripped);
      const symbols = symbolsOf(path);
      const addresses = new Map([...symbols].flatMap(([at, own]) => own.map((name) => [name, at] as const)));
      for (const [symbol, wanted] of Object.entries(withoutCode ? slots : { ...slots, ...withCode })) {
        const address = addresses.get(symbol);
        assert.ok(address !== undefined, `${symbol} is not in the program`);
        assert.equal(ofFirst(names.at(virtualAddress(address))?.name), wanted, symbol);
      }
      // Functions' bounds: nothing is named where no symbol is, but for what the compiler gives none.
      for (const one of names) {
        const own = symbols.get(one.address);
        if (own === undefined || one.grade === 'hint') continue;
        assert.notEqual(isRight(one, own), false, `${one.name} [${one.rule}] is ${own.join(' ')}`);
        assert.notEqual(isOfClass(one, own), false, `${one.name} [${one.rule}] is ${own.join(' ')}`);
      }
    });
  }

  const protobuf =
    lacking('protoc') || (existsSync('/usr/include/google/protobuf/message.h') ? false : 'needs libprotobuf-dev');
  for (const { title, flags } of [
    { title: 'messages, their library apart', flags: ['-lprotobuf'] },
    { title: 'messages, their library linked in', flags: ['-l:libprotobuf.a', '-lz'] },
  ]) {
    test(title, { skip: protobuf }, () => {
      const fixtures = join(root, 'bench', 'fixtures');
      const made = workshop.path('messages.pb.cc');
      output('protoc', [`--cpp_out=${dirname(made)}`, '-I', fixtures, join(fixtures, 'messages.proto')]);
      const path = workshop.path(title.replaceAll(/\W+/g, '-'));
      const sources = [join(fixtures, 'messages.cc'), made];
      output('g++', ['-std=c++17', '-O1', `-I${dirname(made)}`, '-o', path, ...sources, ...flags, '-lpthread']);
      output('strip', ['-s', '-o', `${path}.stripped`, path]);
      const names = named(`${path}.stripped`);
      const symbols = symbolsOf(path);
      const merges = [...symbols].filter(([, own]) => own.some((name) => /^_ZN4shop\w+9MergeImplE/.test(name)));
      // Money, Item, Item.Part, Customer, Customer.Address, Order: those with fields.
      assert.equal(merges.length, 6);
      for (const [address, own] of merges) {
        const name = names.at(virtualAddress(address));
        assert.equal(name?.rule, 'message', own.join(' '));
        assert.equal(isRight(name, own), true, `${name.name} is ${own.join(' ')}`);
      }
      for (const one of names) {
        if (one.rule !== 'message') continue;
        assert.equal(isRight(one, symbols.get(one.address) ?? []), true, `${one.name} at ${one.address}`);
      }
    });
  }

  test('a function is covered by its own bytes and no others', () => {
    const path = workshop.path('PIE-RELA');
    const names = named(path);
    const symbol = listedSymbols(path).find(({ name }) => name === '_ZNK6shapes6Square4areaEv');
    assert.ok(symbol !== undefined);
    const at = (address: number): string => ofFirst(names.at(virtualAddress(address))?.name);
    assert.equal(at(symbol.address + symbol.size - 1), 'shapes::Square::vfunc[2]');
    assert.notEqual(at(symbol.address + symbol.size), 'shapes::Square::vfunc[2]');
    assert.notEqual(at(symbol.address - 1), 'shapes::Square::vfunc[2]');
  });
});

describe('names learnt from programs with symbols', () => {
  const learnt = (path: string): Learnt => {
    const parsed = Learnt.parse(gunzipSync(readFileSync(join(root, path))).toString('utf8'), path);
    if (!parsed.ok) throw parsed.error;
    return parsed.value;
  };

  test("workerd's classes name node's virtual functions", { skip: lacking('readelf') }, () => {
    // What workerd and node have in common: ICU, V8's inspector, ada, simdutf. Other compilers, other releases.
    const names = named(nodePath, [learnt('bench/fixtures/workerd-classes.names.gz')]);
    const symbols = symbolsOf(nodePath);
    const judged = [...names].filter(({ rule, address }) => rule === 'slot' && symbols.has(address));
    const right = judged.filter((one) => isRight(one, symbols.get(one.address) ?? []));
    assert.ok(judged.length > 1000, `${judged.length} names`);
    assert.ok(right.length / judged.length >= 0.98, `${right.length} of ${judged.length} are right`);
  });

  test('glibc, linked in, by its code', { skip: lacking('gcc', 'strip', 'readelf') }, () => {
    const path = workshop.gcc('static', 'static.c', 'int main(void) { return 0; }\n', '-O2', '-static');
    const stripped = `${path}.stripped`;
    output('strip', ['-s', '-o', stripped, path]);
    const names = named(stripped, [learnt('names/debian-libc.names.gz')]);
    const symbols = symbolsOf(path);
    const rules = new Set(['code', 'code-called', 'called', 'texts', 'text']);
    const judged = [...names].filter(({ rule, address }) => rules.has(rule) && symbols.has(address));
    const right = judged.filter((one) => isRight(one, symbols.get(one.address) ?? []));
    // Another release of glibc than the one that was learnt from has fewer functions in common.
    assert.ok(judged.length > 100, `${judged.length} names`);
    assert.ok(right.length / judged.length >= 0.95, `${right.length} of ${judged.length} are right`);
  });
});

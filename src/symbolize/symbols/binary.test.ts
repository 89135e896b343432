import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import {
  envoyPath,
  isFunction,
  lacking,
  libcPath,
  listedSymbols,
  nodePath,
  output,
  random,
  readelf,
  Workshop,
  workerdPath,
} from '../../../test/binaries.ts';
import { lazy } from '../../base/lazy.ts';
import { virtualAddress } from '../../base/numbers.ts';
import { bytesReader } from '../../bytes/file.ts';
import { HostFile } from '../../kernel/host/file.ts';
import type { FunctionSymbol } from '../../target/target.ts';
import { demangleBoth } from '../demangle/index.ts';
import { type ElfBinary, openBinary } from './binary.ts';
import type { DebugFiles } from './debugfile.ts';

const workshop = new Workshop();
after(() => workshop[Symbol.dispose]());

const openFile = (path: string): HostFile | undefined => {
  const file = HostFile.open(path);
  return file.ok ? file.value : undefined;
};

function open(path: string, debugFiles: DebugFiles | 'none' = { open: openFile }): ElfBinary {
  const file = openFile(path);
  assert.ok(file !== undefined);
  const options = debugFiles === 'none' ? {} : { debugFiles };
  const binary = openBinary(path, file, { demangle: demangleBoth, ...options });
  assert.ok(binary.ok, binary.ok ? '' : binary.error.message);
  return binary.value;
}

const names = (symbols: readonly FunctionSymbol[]): string[] => symbols.map((symbol) => symbol.name);

/** Address and name, the same pair once. */
const pairs = (symbols: readonly { readonly address: number; readonly name: string }[]): string[] =>
  [...new Set(symbols.map((symbol) => `${symbol.address.toString(16)} ${symbol.name}`))].sort();

const tested = {
  node: {
    path: nodePath,
    patterns: ['*uv_run*', '*HandleWrap*', '*Snapshot*Deserialize*', '*::Start*', '*ThreadPool?ork*'],
  },
  workerd: {
    path: workerdPath,
    patterns: ['*HttpServer*', '*kj::*Promise*drop*', '*capnp*[Rr]eader*', '*rust*alloc*'],
  },
  Envoy: { path: envoyPath, patterns: ['*alloc*', '*'] },
  libc: { path: libcPath ?? '', patterns: ['*sockopt*', 'mem*', '*_nocancel'] },
} as const;

for (const [name, { path, patterns }] of Object.entries(tested)) {
  describe(name, { skip: lacking(path === '' ? undefined : path, 'readelf', 'c++filt') }, () => {
    const listed = lazy(() => {
      const binary = open(path);
      return [path, ...(binary.debugPath === undefined ? [] : [binary.debugPath])]
        .flatMap(listedSymbols)
        .filter((symbol) => isFunction(symbol) && symbol.address > 0);
    });
    const binary = lazy(() => open(path));

    test('500 functions are found by their addresses, under one of the names that readelf lists there', () => {
      const namesAt = new Map<number, Set<string>>();
      for (const symbol of listed()) {
        const known = namesAt.get(symbol.address) ?? new Set();
        namesAt.set(symbol.address, known.add(symbol.name));
      }
      const pick = random(11);
      for (let count = 0; count < 500; count++) {
        const symbol = listed()[pick(listed().length)];
        assert.ok(symbol !== undefined);
        const found = binary().at(virtualAddress(symbol.address));
        assert.equal(found?.address, symbol.address);
        assert.ok(namesAt.get(symbol.address)?.has(found.name), `${found.name} is none of the names of ${symbol.name}`);
      }
    });

    test('an address within a function gives a function that covers it; one in no function gives none', () => {
      const sized = listed()
        .filter((symbol) => symbol.size > 0)
        .sort((a, b) => a.address - b.address);
      const pick = random(12);
      let gaps = 0;
      for (let count = 0; count < 200; count++) {
        const index = pick(sized.length - 1);
        const symbol = sized[index];
        assert.ok(symbol !== undefined);
        const inside = symbol.address + pick(symbol.size);
        const found = binary().at(virtualAddress(inside));
        assert.ok(found !== undefined && found.address <= inside && inside < found.address + found.size, symbol.name);
        assert.ok(found.address >= symbol.address, 'the nearest start counts');
        // The byte behind a function, where nothing else covers it.
        const behind = virtualAddress(symbol.address + symbol.size);
        if (sized.some((other) => other.address <= behind && behind < other.address + other.size)) continue;
        if (listed().some((other) => other.size === 0 && other.address <= behind && other.address > behind - 4096))
          continue;
        assert.equal(binary().at(behind)?.name, undefined);
        gaps++;
      }
      assert.ok(gaps > 0 || name === 'Envoy');
    });

    test('everything that readelf lists matches *', () => {
      assert.deepEqual(pairs(binary().match('*')), pairs(listed()));
    });

    test('a pattern matches what matches it among what c++filt prints', () => {
      const unique = [...new Set(listed().map((symbol) => symbol.name))];
      const demangled = output('c++filt', ['-i'], `${unique.join('\n')}\n`)
        .trimEnd()
        .split('\n');
      const byName = new Map(unique.map((mangled, index) => [mangled, demangled[index] as string]));
      for (const pattern of patterns) {
        // Not anchored to shorter forms of the name: all that match do so in full.
        const expression = new RegExp(
          `^${pattern
            .replace(/[.+^${}()|\\]/g, '\\$&')
            .replaceAll('?', '.')
            .replaceAll('*', '.*')}$`,
        );
        const wanted = listed().filter(
          (one) => expression.test(one.name) || expression.test(byName.get(one.name) as string),
        );
        assert.ok(wanted.length > 0, pattern);
        assert.deepEqual(pairs(binary().match(pattern)), pairs(wanted), pattern);
      }
    });

    test('a function is found by its name, mangled and demangled', () => {
      const pick = random(13);
      for (let count = 0; count < 20; count++) {
        const symbol = listed()[pick(listed().length)];
        assert.ok(symbol !== undefined);
        const found = binary().find(symbol.name);
        const wanted = listed().filter((one) => one.name === symbol.name);
        assert.deepEqual(pairs(found), pairs(wanted), symbol.name);
        const full = output('c++filt', ['-i', symbol.name]).trimEnd();
        if (full === symbol.name || full.includes('[clone')) continue;
        assert.ok(names(binary().find(full)).includes(symbol.name), full);
      }
    });

    test('the file offset of a function holds its code', () => {
      const [symbol] = binary().find(listed().find((one) => one.size > 32)?.name as string);
      assert.ok(symbol !== undefined);
      const offset = binary().toFileOffset(symbol.address);
      assert.ok(offset.ok);
      const range = [`--start-address=${symbol.address}`, `--stop-address=${symbol.address + 16}`];
      // objdump -s prints "  address  word word word word  text".
      const dump = output('objdump', ['-s', ...range, path]).matchAll(/^ [0-9a-f]+ ((?:[0-9a-f]{2,8} ){1,4})/gm);
      const wanted = [...dump].map((match) => (match[1] as string).replaceAll(' ', '')).join('');
      const mine = Buffer.from(openFile(path)?.read(offset.value, 16) ?? []).toString('hex');
      assert.equal(mine, wanted.slice(0, 32));
    });
  });
}

describe('libc', { skip: lacking(libcPath, 'readelf') }, () => {
  test('the public name is the one shown, whatever aliases there are', () => {
    const libc = open(libcPath as string);
    for (const name of ['setsockopt', 'bind', 'accept4', 'write', 'malloc']) {
      const [symbol] = libc.find(name);
      assert.ok(symbol !== undefined, name);
      assert.equal(libc.at(virtualAddress(symbol.address + 1))?.name, name);
    }
    assert.equal(libc.find('setsockopt')[0]?.demangled, '');
  });

  test('a version is not part of the name', () => {
    const symbol = readelf('-sW', libcPath as string).find((line) => / OBJECT .* environ@/.test(line));
    assert.ok(symbol !== undefined);
    const object = open(libcPath as string, 'none').object('environ');
    const [, value = '', size = ''] = symbol.trim().split(/\s+/);
    assert.deepEqual(object, { address: Number.parseInt(value, 16), size: Number(size) });
    assert.equal(open(libcPath as string).object('no such object'), undefined);
  });

  test("the distribution's debug file is found by build-id", (context) => {
    const libc = open(libcPath as string);
    const path = `/usr/lib/debug/.build-id/${libc.buildId.slice(0, 2)}/${libc.buildId.slice(2)}.debug`;
    if (openFile(path) === undefined) {
      context.skip(`${path} is not there (Debian: apt-get install libc6-dbg)`);
      return;
    }
    assert.equal(libc.stripped, false);
    assert.equal(libc.debugPath, path);
    const local = listedSymbols(path).find((one) => isFunction(one) && one.binding === 'LOCAL' && one.size > 0);
    assert.ok(local !== undefined);
    assert.ok(libc.find(local.name).some((one) => one.address === local.address));
    const bare = open(libcPath as string, 'none');
    assert.equal(bare.stripped, true);
    assert.equal(bare.find(local.name).length, 0);
    assert.equal(bare.find('setsockopt').length, 1);
  });
});

describe('made by gcc', {
  skip: lacking('gcc', 'objcopy', 'strip', 'readelf') || (process.arch !== 'x64' && 'x86-64 assembly'),
}, () => {
  const source = `
    .text
    .globl _start, outer, alias_weak, __internal
    .type _start, @function
    .type outer, @function
    .type inner, @function
    .type nosize, @function
    .type last, @function
    .weak alias_weak
    .type alias_weak, @function
    .type __internal, @function
    .type local_alias, @function
_start: nop
    .size _start, 1
    .skip 15, 0x90
outer:
alias_weak:
__internal:
local_alias:
    .skip 4, 0x90
inner: .skip 4, 0x90
    .size inner, 4
    .skip 8, 0x90
    .size outer, 16
    .size alias_weak, 16
    .size __internal, 64
    .size local_alias, 64
    .skip 112, 0x90
nosize: .skip 32, 0x90
    .globl behind
    .type behind, @function
behind: nop
    .size behind, 1
    .skip 31, 0x90
last: .skip 16, 0x90
    .section .other,"ax"
    .skip 64, 0x90
    .data
    .globl thing
    .type thing, @object
    .size thing, 12
thing: .skip 12
`;
  const program = lazy(() => workshop.gcc('program', 'program.s', source, '-nostdlib', '-no-pie'));
  const start = lazy(() => listedSymbols(program()).find((one) => one.name === '_start')?.address as number);
  const at = (offset: number): string | undefined => open(program()).at(virtualAddress(start() + offset))?.name;

  test('a symbol names the bytes it covers, and no others', () => {
    assert.equal(at(0), '_start');
    assert.equal(at(1), undefined);
    assert.equal(at(-1), undefined);
    // Of aliases: global before local, no leading underscore, global before weak; here outer.
    assert.equal(at(16), 'outer');
    assert.equal(at(19), 'outer');
    assert.equal(at(20), 'inner');
    assert.equal(at(23), 'inner');
    assert.equal(at(24), 'outer');
    assert.equal(at(31), 'outer');
    // Behind outer's 16 bytes, but within those of its larger aliases.
    assert.equal(at(32), '__internal');
    assert.equal(at(79), '__internal');
    assert.equal(at(80), undefined);
  });

  test('a symbol without a size reaches to the next, or to the end of its section', () => {
    assert.equal(at(143), undefined);
    assert.equal(at(144), 'nosize');
    assert.equal(at(175), 'nosize');
    assert.equal(at(176), 'behind');
    assert.equal(at(177), undefined);
    assert.equal(at(208), 'last');
    assert.equal(at(223), 'last');
    assert.equal(at(224), undefined);
  });

  test('objects', () => {
    const listed = listedSymbols(program()).find((one) => one.name === 'thing');
    assert.deepEqual(open(program()).object('thing'), { address: listed?.address, size: 12 });
    assert.equal(open(program()).object('outer'), undefined);
    assert.equal(open(program()).find('thing').length, 0);
  });

  test('C++: every way to write a name', { skip: lacking('g++') }, () => {
    const path = workshop.path('cxx');
    const text = `
      #include <string>
      namespace shop {
        struct Cart {
          Cart(); ~Cart();
          int add(int, const std::string &) const;
          bool operator()(int);
          template <class T> T sum(T a, T b) { return a + b; }
        };
        Cart::Cart() {} Cart::~Cart() {}
        int Cart::add(int n, const std::string &s) const { return n + s.size(); }
        bool Cart::operator()(int n) { return n; }
        namespace { __attribute__((noinline, used)) int hidden(long n) { return n; } }
      }
      static __attribute__((noinline, used)) int alone(int n) { return n; }
      int alone(char c) { return c; }
      int main() { shop::Cart c; return c.sum(1, 2) + c.add(1, "x") + alone(3); }`;
    output('g++', ['-O0', '-o', path, workshop.write('cxx.cc', text)]);
    const binary = open(path);
    const add = '_ZNK4shop4Cart3addEiRKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE';
    const found: [string, string[]][] = [
      [add, [add]],
      ['shop::Cart::add', [add]],
      [output('c++filt', [add]).trim(), [add]],
      ['shop::Cart::operator()', ['_ZN4shop4CartclEi']],
      ['shop::Cart::operator()(int)', ['_ZN4shop4CartclEi']],
      ['shop::Cart::Cart', ['_ZN4shop4CartC1Ev', '_ZN4shop4CartC2Ev']],
      ['shop::Cart::~Cart()', ['_ZN4shop4CartD1Ev', '_ZN4shop4CartD2Ev']],
      ['shop::Cart::sum<int>', ['_ZN4shop4Cart3sumIiEET_S2_S2_']],
      ['int shop::Cart::sum<int>(int, int)', ['_ZN4shop4Cart3sumIiEET_S2_S2_']],
      ['shop::(anonymous namespace)::hidden', ['_ZN4shop12_GLOBAL__N_16hiddenEl']],
      ['alone', ['_Z5alonec', '_ZL5alonei']],
      ['alone(char)', ['_Z5alonec']],
      ['main', ['main']],
      ['add', []],
      ['shop::Cart', []],
      ['', []],
    ];
    for (const [name, wanted] of found) assert.deepEqual(names(binary.find(name)).sort(), wanted, name);
    const matched: [string, string[]][] = [
      ['shop::Cart::add', [add]],
      ['*Cart::a*', [add]],
      ['alone(*)', ['_Z5alonec', '_ZL5alonei']],
      ['_ZL5alone*', ['_ZL5alonei']],
      ['shop::Cart::[~]Cart', ['_ZN4shop4CartD1Ev', '_ZN4shop4CartD2Ev']],
      ['*anonymous*hidden*', ['_ZN4shop12_GLOBAL__N_16hiddenEl']],
    ];
    for (const [glob, wanted] of matched) assert.deepEqual(names(binary.match(glob)).sort(), wanted, glob);
    assert.equal(binary.near('shop::Cart::ad')[0], 'shop::Cart::add');
    assert.equal(binary.near('hiden')[0], 'shop::(anonymous namespace)::hidden');
    assert.equal(binary.near('mian')[0], 'main');
    assert.deepEqual(binary.near('qqqqqqqqqqqqqqqqqqqqqq'), []);
    assert.equal(
      binary.at(binary.find(add)[0]?.address as never)?.demangled,
      demangleBoth(add, { verbose: false })?.full,
    );
  });

  test('a function cut in pieces by the compiler is found whole', () => {
    const text = `
      .text
      .type work, @function
      .type work.cold, @function
      .type work.part.0, @function
      .type alone.cold, @function
      .globl _start
_start: nop
work: nop
      .size work, 1
work.cold: nop
      .size work.cold, 1
work.part.0: nop
      .size work.part.0, 1
      .type _ZL4grabi.isra.0, @function
_ZL4grabi.isra.0: nop
      .size _ZL4grabi.isra.0, 1
      .type _ZL4grabi.cold, @function
_ZL4grabi.cold: nop
      .size _ZL4grabi.cold, 1
`;
    const binary = open(workshop.gcc('pieces', 'pieces.s', text, '-nostdlib', '-no-pie'));
    assert.deepEqual(names(binary.find('work')), ['work']);
    assert.deepEqual(names(binary.find('work.cold')), ['work.cold']);
    assert.deepEqual(names(binary.find('grab')), ['_ZL4grabi.isra.0']);
    assert.deepEqual(names(binary.match('*grab*')), ['_ZL4grabi.isra.0', '_ZL4grabi.cold']);
  });

  test('separate debug files: by link, by build-id, and only those that belong', () => {
    const c =
      'static __attribute__((noinline)) int secret(int n) { return n * 3; } int main(int n) { return secret(n); }';
    const path = workshop.gcc('debugged', 'debugged.c', c, '-g', '-O1', '-Wl,--build-id');
    const debug = workshop.path('debugged.debug');
    output('objcopy', ['--only-keep-debug', path, debug]);
    const stripped = workshop.path('stripped');
    output('strip', ['-o', stripped, path]);
    assert.equal(open(stripped).stripped, true);
    assert.equal(open(stripped).find('secret').length, 0);
    assert.equal(open(stripped).buildId, open(path).buildId);

    const linked = workshop.path('linked');
    output('objcopy', [`--add-gnu-debuglink=${debug}`, stripped, linked]);
    assert.equal(open(linked).stripped, false);
    assert.deepEqual(pairs(open(linked).find('secret')), pairs(open(path).find('secret')));
    assert.equal(open(linked).debugPath, debug);

    const root = workshop.path('root');
    const id = open(path).buildId;
    mkdirSync(`${root}/.build-id/${id.slice(0, 2)}`, { recursive: true });
    cpSync(debug, `${root}/.build-id/${id.slice(0, 2)}/${id.slice(2)}.debug`);
    assert.equal(open(stripped, { open: openFile, roots: [root] }).find('secret').length, 1);

    // Without build-ids the checksum decides.
    const anonymous = workshop.gcc('anonymous', 'debugged.c', c, '-g', '-O1', '-Wl,--build-id=none');
    output('objcopy', ['--only-keep-debug', anonymous, workshop.path('anonymous.debug')]);
    output('objcopy', ['--strip-all', `--add-gnu-debuglink=${workshop.path('anonymous.debug')}`, anonymous]);
    assert.equal(open(anonymous).find('secret').length, 1);
    const bytes = readFileSync(workshop.path('anonymous.debug'));
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
    writeFileSync(workshop.path('anonymous.debug'), bytes);
    assert.equal(open(anonymous).find('secret').length, 0);
    // A debug file of another build is not taken.
    cpSync(workshop.path('anonymous.debug'), debug);
    assert.equal(open(linked).find('secret').length, 0);
  });

  test('damaged symbol tables never raise and never hang (3 s, seeded)', () => {
    const good = readFileSync(program());
    const change = fc.record({ at: fc.nat(good.length - 1), bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }) });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 10 }), fc.nat(good.length), (changes, length) => {
        const bytes = Uint8Array.from(good);
        for (const one of changes) bytes.set(one.bytes.subarray(0, good.length - one.at), one.at);
        const cut = length % 4 === 0 ? bytes.subarray(0, length) : bytes;
        const binary = openBinary('damaged', bytesReader(cut), { demangle: demangleBoth });
        if (!binary.ok) return;
        assert.ok(binary.value.match('*').length < 100_000);
        binary.value.find('outer');
        binary.value.object('thing');
        binary.value.near('outre');
        binary.value.version();
        for (let offset = 0; offset < 256; offset += 16) binary.value.at(virtualAddress(start() + offset));
      }),
      { seed: 30, numRuns: 100_000, interruptAfterTimeLimit: 3000 },
    );
  });
});

describe('what a binary says of its version', () => {
  const says = (path: string): string | undefined => open(path).version();

  test('node', { skip: lacking(nodePath) }, () => {
    assert.equal(says(nodePath), `node ${process.version}`);
  });

  test('Envoy, as envoy --version has it', { skip: lacking(envoyPath) }, () => {
    const [commit, number, state] = /version: ([^\s]+)/.exec(output(envoyPath, ['--version']))?.[1]?.split('/') ?? [];
    assert.equal(says(envoyPath), `envoy ${commit}/${number}/${state}`);
    assert.equal(open(envoyPath).stripped, true);
    assert.match(open(envoyPath).buildId, /^[0-9a-f]{40}$/);
  });

  test('libc', { skip: lacking(libcPath) }, () => {
    // GNU's libc prints its version when it is run.
    const banner = output(libcPath as string, []).split('\n')[0] as string;
    assert.equal(says(libcPath as string), banner.replace(/\.$/, ''));
  });

  test('one sentence counts, several prove nothing', { skip: lacking('gcc') }, () => {
    const program = (name: string, ...texts: string[]): string =>
      workshop.gcc(
        name,
        `${name}.c`,
        `const char *t[] = {${texts.map((text) => JSON.stringify(text)).join()}}; int main(void) { return t[0][0]; }`,
      );
    assert.equal(says(program('daemon', 'daemon/1.2.3 (Linux)', 'library version 9.9')), 'daemon 1.2.3');
    assert.equal(says(program('one', 'Some Server version 4.5.6')), 'Some Server version 4.5.6');
    assert.equal(says(program('two', 'zlib version 1.2.13', 'Brotli version 1.0.9')), undefined);
    assert.equal(says(program('none', 'hello 1.2.3.4')), undefined);
  });
});

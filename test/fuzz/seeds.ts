/** What the fuzz targets start from: files of real compilers and tools, made once for a campaign. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lacking, output } from '../binaries.ts';
import { paired } from './debugforms.ts';

const program = `
#include <stddef.h>
extern "C" void *memset(void *at, int c, size_t n) { char *p = (char *)at; while (n--) *p++ = (char)c; return at; }
namespace shop {
struct Priced { virtual ~Priced() {} virtual int price(int) = 0; virtual int tax() { return 7; } };
struct Named { virtual const char *name() { return "thing"; } };
template <class T> struct Item : Priced, Named {
  T cost; explicit Item(T c) : cost(c) {}
  int price(int n) override { return (int)cost * n + tax(); }
  const char *name() override { return "item"; }
};
static inline int twice(int x) { return x > 3 ? x + x : x * 3; }
inline int four(int x) { return twice(twice(x)) + 1; }
__attribute__((noinline)) int total(Priced &one, int n) { int sum = 0; for (int i = 0; i < n; i++) sum += four(one.price(i)); return sum; }
struct Basket { Item<int> a{3}; Item<double> b{2.5}; int all(int n) { return total(a, n) + total(b, n); } };
}
int counter;
int main(int argc, char **argv) { shop::Basket basket; char room[64]; memset(room, argc, 64); return basket.all(argc) + room[3] + counter; }
extern "C" void _start() { main(1, nullptr); for (;;) {} }
`;

const go = `package main

type thing struct{ n int }

func (t *thing) twice() int { return t.n * 2 }

func main() {
	t := &thing{4}
	println(t.twice())
}
`;

const bare = [
  '-O2',
  '-nostartfiles',
  '-fno-stack-protector',
  '-fno-exceptions',
  '-Wl,--build-id',
  '-Wl,-z,noseparate-code',
];

/** The programs, by name: what g++ is told. */
const builds: Readonly<Record<string, readonly string[]>> = {
  'plain-pie': [...bare, '-pie'],
  'plain-fixed': [...bare, '-no-pie'],
  relr: [...bare, '-pie', '-Wl,-z,pack-relative-relocs'],
  'dwarf-2': [...bare, '-pie', '-gdwarf-2'],
  'dwarf-3': [...bare, '-pie', '-gdwarf-3'],
  'dwarf-4': [...bare, '-pie', '-gdwarf-4', '-fdebug-types-section'],
  'dwarf-5': [...bare, '-pie', '-gdwarf-5'],
  'dwarf-5-wide': ['-O2', '-c', '-gdwarf-5', '-gdwarf64'],
  'dwarf-5-packed': [...bare, '-pie', '-gdwarf-5', '-gz=zlib'],
  object: ['-O2', '-c', '-gdwarf-5'],
  shared: ['-O2', '-shared', '-fPIC', '-g1'],
};

/** Makes the seeds in a folder; says what could not be made. */
export function makeSeeds(folder: string): string[] {
  const problems: string[] = [];
  const attempt = (what: string, tools: readonly string[], make: () => void): void => {
    const problem = lacking(...tools);
    try {
      if (problem === false) make();
      else problems.push(`${what}: ${problem}`);
    } catch (error) {
      problems.push(`${what}: ${(error as Error).message.split('\n')[0]}`);
    }
  };
  const at = (name: string): string => join(folder, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(at('shop.cc'), program);
  for (const [name, options] of Object.entries(builds)) {
    attempt(name, ['g++'], () => output('g++', [...options, '-o', at(`${name}.elf`), at('shop.cc')]));
  }
  for (const [version, tool] of [
    ['4', 'dwp'],
    ['5', 'llvm-dwp'],
  ] as const) {
    const name = `split-${version}`;
    const pair = (kind: string, second: string): void => {
      const both = paired(new Uint8Array(readFileSync(at(name))), new Uint8Array(readFileSync(at(second))));
      writeFileSync(at(`pair-${version}-${kind}.bin`), both);
    };
    attempt(`split units of DWARF ${version}`, ['g++'], () => {
      output('g++', [...bare, '-pie', `-gdwarf-${version}`, '-gsplit-dwarf', '-o', at(name), at('shop.cc')]);
      pair('dwo', `${name}-shop.dwo`);
    });
    attempt(`a package of DWARF ${version}`, ['g++', tool], () => {
      output(tool, ['-e', at(name), '-o', at(`${name}.dwp`)]);
      pair('dwp', `${name}.dwp`);
    });
  }
  attempt('a file shared by dwz', ['g++', 'dwz'], () => {
    // dwz leaves files with little in common alone.
    const words = [...bare, '-pie', '-gdwarf-5', '-o'];
    for (const name of ['dwz-one', 'dwz-two']) output('g++', [...words, at(name), at('shop.cc')]);
    output('dwz', ['-m', at('dwz-common'), at('dwz-one'), at('dwz-two')]);
    const [one, common] = ['dwz-one', 'dwz-common'].map((name) => new Uint8Array(readFileSync(at(name))));
    writeFileSync(at('pair-dwz.bin'), paired(one as Uint8Array, common as Uint8Array));
  });
  attempt('.debug_names by clang', ['clang++'], () => {
    output('clang++', [...bare, '-pie', '-gdwarf-5', '-gpubnames', '-o', at('names-clang.elf'), at('shop.cc')]);
  });
  for (const [name, words] of [
    ['names-gdb.elf', ['-dwarf-5']],
    ['names-gdbindex.elf', []],
  ] as const) {
    attempt(name, ['gdb-add-index'], () => {
      cpSync(at('dwarf-5.elf'), at(name));
      output('gdb-add-index', [...words, at(name)]);
    });
  }
  attempt('stripped', ['strip'], () => output('strip', ['-o', at('stripped.elf'), at('plain-pie.elf')]));
  attempt('debug file', ['objcopy'], () => {
    output('objcopy', ['--only-keep-debug', at('dwarf-5.elf'), at('debug.elf')]);
    output('objcopy', [`--add-gnu-debuglink=${at('debug.elf')}`, at('stripped.elf'), at('linked.elf')]);
  });
  attempt('.gnu_debugdata', ['objcopy', 'xz'], () => {
    cpSync(at('plain-fixed.elf'), at('mini'));
    output('xz', ['-kf', at('mini')]);
    output('objcopy', ['--add-section', `.gnu_debugdata=${at('mini.xz')}`, at('stripped.elf'), at('debugdata.elf')]);
    output('sh', ['-c', 'xz --format=raw --lzma2=dict=64KiB -c "$1" > "$2"', '', at('mini'), at('mini.lzma2')]);
  });
  attempt('zstd', ['zstd'], () => output('zstd', ['-q', '-f', '-19', at('mini'), '-o', at('mini.zst')]));
  attempt('Go', ['go'], () => {
    mkdirSync(at('go'), { recursive: true });
    writeFileSync(at('go/main.go'), go);
    writeFileSync(at('go/go.mod'), 'module shop\ngo 1.20\n');
    const build = 'cd "$1" && CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-mod=mod go build -ldflags="-s -w" -o "$2" .';
    output('sh', ['-c', build, '', at('go'), at('go.elf')]);
  });
  attempt('BTF', ['pahole'], () => {
    output(
      'gcc',
      ['-g', '-O1', '-c', '-x', 'c', '-o', at('btf.o'), '-'],
      'struct a { int b:3; struct c *d[4]; } x; enum e { F, G } y; int f(struct a *p, enum e q) { return p->b + q; }',
    );
    output('sh', ['-c', 'pahole --btf_encode_detached="$2" "$1"', '', at('btf.o'), at('shop.btf')]);
  });
  return problems;
}

/** The seeds whose names match, in a fixed order. */
export function seedsIn(folder: string, wanted: RegExp): Uint8Array[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => wanted.test(name))
    .sort()
    .map((name) => new Uint8Array(readFileSync(join(folder, name))));
}

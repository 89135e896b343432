/** Layout against gcc: fixed structures of every kind, random ones, and the system's headers. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { LAYOUT_PROLOGUE, noCompiler, ourLayout, runC, theirLayout } from '../../../../test/gcc.ts';
import type { CompositeType } from '../../../types/model.ts';
import { type CDefinitions, type IncludeFinder, readCDefinitions } from './index.ts';

const noHeaders: IncludeFinder = () => undefined;

const FIXTURE = `
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long u64;
typedef _Bool bool_t; typedef long long s64 __attribute__((aligned(8)));
typedef int lowered __attribute__((aligned(2))); typedef int raised __attribute__((aligned(32)));
enum color { RED, GREEN = 5, BLUE }; enum negative { MINUS = -1, PLUS }; enum wide { WIDE = 0x100000000 };
enum small { SMALL } __attribute__((packed));
struct plain { char a; int b; short c; long d; char e; };
struct chars { char a[3]; char b; char c[5]; };
struct pointers { char a; void *b; char c; int (*f)(int, char); char d; const char *const *e; };
struct arrays { char a; int b[3]; short c[2][3]; char d[2][3][4]; };
struct nested { char a; struct inner { short x; long y; } b; char c; struct inner d[2]; };
struct anonymous { int a; union { int b; struct { char c; long d; }; u8 e[3]; }; char f; };
union first { char a; int b; long c[2]; };
union odd { char a[5]; short b; };
struct empty { };
struct holds_empty { char a; struct empty b; int c; };
struct flexible { u32 n; u8 data[]; };
struct zero_array { u64 n; u8 a; u16 data[0]; };
struct bits1 { unsigned a : 3; unsigned b : 5; unsigned c : 8; unsigned d : 16; };
struct bits2 { unsigned a : 30; unsigned b : 4; };
struct bits3 { char a; unsigned b : 4; char c; };
struct bits4 { u8 a : 4, b : 4; u16 c : 9; u8 d : 7; };
struct bits5 { unsigned a : 3; unsigned : 0; unsigned b : 3; };
struct bits6 { unsigned a : 3; unsigned : 5; unsigned b : 3; };
struct bits7 { u64 a : 40; u64 b : 24; u64 c : 1; };
struct bits8 { u64 a : 33; u32 b : 31; u32 c : 1; };
struct bits9 { short a : 5; int b : 20; char c : 3; long d : 40; };
struct bits10 { signed a : 7; signed b : 25; };
struct bits11 { bool_t a : 1; bool_t b : 1; u8 c : 6; bool_t d : 1; };
struct bits12 { enum color a : 4; enum color b : 4; };
struct bits13 { int : 7; char a; };
struct bits14 { char a; int : 0; char b; };
struct bits15 { char a; long : 0; char b; };
struct bits16 { char a : 3; short b : 9; int c : 17; };
struct bits17 { u8 a; u32 b : 24; };
struct bits18 { u8 a; u32 b : 25; };
struct bits19 { u16 a; u32 b : 12; u8 c; u32 d : 20; u16 e; };
union bits_union { unsigned a : 5; u8 b; u16 c : 12; };
union bits_union2 { u64 a : 33; char b; };
struct __attribute__((packed)) packed1 { char a; int b; short c; long d; };
struct packed2 { char a; int b; } __attribute__((packed));
struct packed3 { char a; int b __attribute__((packed)); long c; };
struct packed4 { u8 a : 3; u32 b : 30; u16 c : 7; } __attribute__((packed));
struct packed5 { u8 a; u64 b : 60; u8 c : 2; u64 d : 64; } __attribute__((packed));
struct packed6 { char a; struct plain b; char c; } __attribute__((packed));
struct packed7 { char a; struct packed2 b; int c; };
struct packed8 { unsigned a : 3; unsigned : 0; unsigned b : 3; } __attribute__((packed));
struct packed9 { char a; int b; } __attribute__((packed, aligned(4)));
struct packed10 { char a; int b __attribute__((aligned(4))); short c; } __attribute__((packed));
struct packed11 { u8 v : 4, ihl : 4; u16 len; u32 x; u64 y; } __attribute__((__packed__));
struct packed12 { bool_t a : 1; u64 b : 63; bool_t c; } __attribute__((packed));
struct packed13 { enum color a : 3; enum color b : 7; char c; } __attribute__((packed));
union packed_union { char a; int b; long c; } __attribute__((packed));
struct aligned1 { char a; int b __attribute__((aligned(16))); char c; };
struct aligned2 { char a; int b; } __attribute__((aligned(64)));
struct aligned3 { char a; struct aligned2 b; char c; };
struct aligned4 { char a; char b __attribute__((aligned)); };
struct aligned5 { char a; _Alignas(8) char b; char c; };
struct aligned6 { char a; _Alignas(long) char b; };
struct aligned7 { char a; lowered b; char c; raised d; };
struct aligned8 { char a; lowered b[3]; };
struct aligned9 { unsigned a : 3; unsigned b : 3 __attribute__((aligned(4))); };
struct aligned10 { s64 a; char b; } __attribute__((aligned(1)));
struct __attribute__((aligned(8), packed)) aligned11 { u32 a; u64 b; u8 c; };
#pragma pack(push, 1)
struct pragma1 { char a; int b; long c; u8 d : 3; u32 e : 30; };
#pragma pack(2)
struct pragma2 { char a; int b; long c; };
struct pragma3 { char a; int b : 20; int c : 20; };
#pragma pack(pop)
struct pragma4 { char a; int b; };
#pragma pack(4)
struct pragma5 { char a; long b; struct pragma4 c; double d; };
#pragma pack()
#pragma pack(2)
struct pragma6 { char a; int b __attribute__((aligned(16))); char c : 3; long : 0; char d : 3; };
struct pragma7 { unsigned a : 3; long b : 20; char c; } __attribute__((packed));
#pragma pack()
struct floats { char a; float b; char c; double d; char e; long double f; };
struct int128 { char a; __int128 b; char c; };
struct complexes { char a; float _Complex b; char c; double _Complex d; };
struct enums { char a; enum color b; enum negative c; enum wide d; enum small e; };
struct in6 { union { u8 addr8[16]; u16 addr16[8]; u32 addr32[4]; } in6_u; };
struct sock6 { u16 family; u16 port; u32 flow; struct in6 addr; u32 scope; };
struct tcp { u16 source, dest; u32 seq, ack_seq; u16 res1 : 4, doff : 4, fin : 1, syn : 1, rst : 1, psh : 1, ack : 1, urg : 1, ece : 1, cwr : 1; u16 window; };
struct functions { char a; void (*handlers[4])(struct functions *, int (*)(void)); int (*(*g)(int))[5]; char b; };
struct sizes { char a[sizeof(struct plain)]; char b[sizeof(int) * 2 + 1]; char c[(GREEN << 2) | 1]; short d[_Alignof(long)]; };
struct offsets { char a[__builtin_offsetof(struct plain, d)]; char b[__builtin_offsetof(struct nested, d[1].y)]; int c; };
struct volatiles { volatile char a; const int b; const volatile long *restrict c; int (*const d)(void); };
struct multiple { int a, *b, c[3], (*d)(int), **e; char f; };
`;

const include = (): IncludeFinder => {
  const folders = ['/usr/include', '/usr/include/x86_64-linux-gnu'];
  for (const major of [16, 15, 14, 13, 12, 11, 10]) folders.push(`/usr/lib/gcc/x86_64-linux-gnu/${major}/include`);
  return (path, system, from) => {
    const all = system || from === undefined ? folders : [dirname(from), ...folders];
    for (const folder of all) {
      const file = join(folder, path);
      if (existsSync(file) && statSync(file).isFile()) return { path: file, text: readFileSync(file, 'utf8') };
    }
    return undefined;
  };
};

const composites = (definitions: CDefinitions): [string, CompositeType][] =>
  (['struct', 'union'] as const).flatMap((keyword) =>
    [...definitions.types.names(keyword)].map((name): [string, CompositeType] => [
      `${keyword} ${name}`,
      definitions.types.find(keyword, name) as CompositeType,
    ]),
  );

/** Compares every named composite with what gcc says; returns how many members were compared. */
function compare(text: string, definitions: CDefinitions): number {
  const types = composites(definitions);
  const ours = types.flatMap(([spelled, type]) => ourLayout(spelled, type));
  // One function for each type: a single one of thousands of statements compiles slowly.
  const functions = types.map(([spelled, type], i) => `static void f${i}(void) {\n${theirLayout(spelled, type)}\n}`);
  const calls = types.map((_, i) => `f${i}();`).join(' ');
  const source = `${text}\n#include <stdio.h>\n#include <string.h>\n${LAYOUT_PROLOGUE}\n${functions.join('\n')}\nint main(void) { ${calls} return 0; }\n`;
  const theirs = runC(source).trimEnd().split('\n');
  assert.deepEqual(ours, theirs);
  return ours.length;
}

describe('layout', { skip: noCompiler }, () => {
  it('of 80 structures is that of gcc', () => {
    const definitions = readCDefinitions(
      { text: FIXTURE, name: 'fixture' },
      { include: noHeaders, types: undefined, pointerSize: 8 },
    );
    assert.deepEqual(definitions.problems, []);
    // Counted in the text: no structure and no member may be missing.
    assert.equal(
      composites(definitions).length,
      [...FIXTURE.matchAll(/\b(struct|union)\b(?: __attribute__\(\([^;{]*\)\))? (\w+) \{/g)].length,
    );
    assert.ok(composites(definitions).length >= 75);
    const compared = compare(FIXTURE, definitions);
    assert.ok(compared > 300, String(compared));
  });

  it('of 400 random structures is that of gcc', () => {
    const text = randomStructures(400, 1);
    const definitions = readCDefinitions(
      { text, name: 'random' },
      { include: noHeaders, types: undefined, pointerSize: 8 },
    );
    assert.deepEqual(definitions.problems, []);
    assert.equal(composites(definitions).length, 400);
    compare(text, definitions);
  });

  for (const headers of [
    ['linux/in.h', 'linux/in6.h', 'linux/tcp.h', 'linux/if_ether.h', 'linux/ip.h', 'linux/ipv6.h', 'linux/udp.h'],
    ['sys/socket.h', 'netinet/in.h', 'sys/stat.h', 'sys/un.h', 'time.h', 'signal.h', 'poll.h'],
    ['linux/io_uring.h', 'linux/perf_event.h', 'linux/bpf.h', 'linux/netlink.h', 'linux/rtnetlink.h', 'linux/futex.h'],
    ['linux/ethtool.h', 'linux/fs.h', 'linux/stat.h', 'linux/ptrace.h', 'asm/ptrace.h', 'linux/inet_diag.h'],
  ]) {
    const missing = headers.find((header) => include()(header, true, undefined) === undefined);
    const skip = missing === undefined ? false : `<${missing}> is not there`;
    it(`of what ${headers.slice(0, 3).join(', ')} … declare is that of gcc`, { skip }, () => {
      const text = headers.map((header) => `#include <${header}>\n`).join('');
      const definitions = readCDefinitions(
        { text, name: 'headers' },
        { include: include(), types: undefined, pointerSize: 8 },
      );
      assert.deepEqual(definitions.problems, []);
      assert.deepEqual(definitions.missing, []);
      assert.ok(compare(text, definitions) > 100);
    });
  }
});

/** Structures with members, bit-fields and attributes by chance, the same for the same seed. */
function randomStructures(count: number, seed: number): string {
  let state = seed;
  const below = (limit: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const pick = <Item>(items: readonly Item[]): Item => items[below(items.length)] as Item;
  const sizes: Readonly<Record<string, number>> = {
    char: 8,
    'unsigned char': 8,
    short: 16,
    'unsigned short': 16,
    int: 32,
    unsigned: 32,
    long: 64,
    'unsigned long': 64,
    _Bool: 1,
  };
  const words = Object.keys(sizes);
  let text = '';
  for (let i = 0; i < count; i++) {
    const kind = below(6) === 0 ? 'union' : 'struct';
    let body = '';
    const members = 1 + below(8);
    for (let m = 0; m < members; m++) {
      const word = pick(words);
      const width = sizes[word] as number;
      const attribute =
        below(10) === 0 ? ` __attribute__((${pick(['packed', 'aligned(8)', 'aligned(2)', 'aligned(16)'])}))` : '';
      const choice = below(10);
      if (choice < 5) body += `${word} m${m} : ${1 + below(width)}${attribute}; `;
      else if (choice === 5) body += `${word} : ${below(width + 1)}; `;
      else if (choice === 6 && i > 0) body += `struct_or_union_${below(i)} m${m}; `;
      else if (choice === 7) body += `${word} m${m}[${1 + below(4)}]${attribute}; `;
      else body += `${word} m${m}${attribute}; `;
    }
    const whole =
      below(4) === 0 ? ` __attribute__((${pick(['packed', 'packed', 'aligned(16)', 'packed, aligned(2)'])}))` : '';
    const pack = below(12) === 0 ? pick([1, 2, 4]) : 0;
    if (pack > 0) text += `#pragma pack(push, ${pack})\n`;
    text += `typedef ${kind} r${i} { ${body}}${whole} struct_or_union_${i};\n`;
    if (pack > 0) text += '#pragma pack(pop)\n';
  }
  return text;
}

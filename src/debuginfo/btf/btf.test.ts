import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { MachineError } from '../../base/errors.ts';
import { describe, findField, sizeOf } from '../../types/layout.ts';
import type { CompositeType, Type } from '../../types/model.ts';
import { type BtfTypes, openBtf, placeBits } from './btf.ts';

/** Writes BTF as Documentation/bpf/btf.rst lays it out. */
class Writer {
  readonly #words: number[] = [];
  #strings: string;
  readonly #firstString: number;
  #lastId: number;

  constructor(firstString = 0, lastId = 0) {
    this.#strings = firstString === 0 ? '\0' : '';
    this.#firstString = firstString;
    this.#lastId = lastId;
  }

  string(text: string): number {
    if (text === '') return 0;
    const offset = this.#firstString + this.#strings.length;
    this.#strings += `${text}\0`;
    return offset;
  }

  add(name: string, kind: number, vlen: number, flag: boolean, last: number, ...rest: number[]): number {
    this.#words.push(this.string(name), ((flag ? 0x8000_0000 : 0) | (kind << 24) | vlen) >>> 0, last, ...rest);
    return ++this.#lastId;
  }

  int(name: string, size: number, encoding: number, bits = size * 8): number {
    return this.add(name, 1, 0, false, size, ((encoding << 24) | bits) >>> 0);
  }

  bytes(): Uint8Array {
    const words = Uint32Array.from(this.#words);
    const strings = Buffer.from(this.#strings, 'latin1');
    const header = Buffer.alloc(24);
    header.writeUInt16LE(0xeb9f, 0);
    header.writeUInt8(1, 2);
    header.writeUInt32LE(24, 4);
    header.writeUInt32LE(0, 8);
    header.writeUInt32LE(words.byteLength, 12);
    header.writeUInt32LE(words.byteLength, 16);
    header.writeUInt32LE(strings.length, 20);
    return Uint8Array.from(Buffer.concat([header, Buffer.from(words.buffer), strings]));
  }
}

function open(bytes: Uint8Array, base?: BtfTypes): BtfTypes {
  const result = openBtf(bytes, base);
  if (!result.ok) throw result.error;
  return result.value;
}

function composite(type: Type | undefined): CompositeType {
  assert.ok(type?.kind === 'struct' || type?.kind === 'union', `a composite, not ${type?.kind}`);
  return type;
}

const fieldsOf = (type: Type | undefined): string[] =>
  composite(type)
    .fields()
    .map((field) => {
      const bits = field.bits === undefined ? '' : `:${field.bits.offset}+${field.bits.width}`;
      return `${field.offset}${bits} ${describe(field.type)} ${field.name}`;
    });

test('integers, pointers, arrays, recursion', () => {
  const w = new Writer();
  const int = w.int('int', 4, 1); // 1
  const char = w.int('char', 1, 0); // 2
  const u8 = w.int('unsigned char', 1, 0); // 3
  const bool = w.int('_Bool', 1, 4); // 4
  const wide = w.int('__int128', 16, 1); // 5
  const name = w.add('', 3, 0, false, 0, char, int, 16); // 6 char[16]
  const mac = w.add('', 3, 0, false, 0, u8, int, 6); // 7 u8[6]
  const grid = w.add('', 3, 0, false, 0, 9, int, 2); // 8 int[2][3]
  const row = w.add('', 3, 0, false, 0, int, int, 3); // 9
  const konst = w.add('', 10, 0, false, 12); // 10 const struct node
  const next = w.add('', 2, 0, false, konst); // 11 const struct node *
  const node = w.add(
    'node',
    4,
    9,
    false,
    96, // 12
    w.string('next'),
    next,
    0,
    w.string('name'),
    name,
    64,
    w.string('mac'),
    mac,
    192,
    w.string('ok'),
    bool,
    240,
    w.string('grid'),
    grid,
    256,
    w.string('big'),
    wide,
    512,
    w.string('any'),
    13,
    640,
    w.string('tail'),
    14,
    704,
    w.string('last'),
    int,
    736,
  );
  w.add('', 2, 0, false, 0); // 13 void *
  w.add('', 3, 0, false, 0, char, int, 0); // 14 char[0]
  assert.deepEqual([row, node], [9, 12]);
  const types = open(w.bytes());
  const found = types.find('struct', 'node');
  assert.deepEqual(fieldsOf(found), [
    '0 struct node * next',
    '8 int8[16] name',
    '24 uint8[6] mac',
    '30 bool ok',
    '32 int32[2][3] grid',
    '64 int64[2] big',
    '80 void * any',
    '88 int8[] tail',
    '92 int32 last',
  ]);
  assert.equal(sizeOf(composite(found)), 96);
  const pointer = composite(found).fields()[0]?.type;
  assert.ok(pointer?.kind === 'pointer');
  assert.equal(pointer.to(), found, 'one record is one object');
  assert.equal(pointer.space, 'kernel');
  assert.equal(types.find('union', 'node'), undefined);
  assert.equal(types.find('struct', 'nod'), undefined);
  assert.equal(types.find('struct', 'ode'), undefined);
  assert.deepEqual(types.find('typedef', 'int'), { kind: 'int', size: 4, signed: true });
  assert.deepEqual(types.find('typedef', 'unsigned long'), { kind: 'int', size: 8, signed: false });
  assert.deepEqual([...types.names('struct')], ['node']);
});

test('a name inside of another string is found, when a record points at it', () => {
  const w = new Writer();
  const offset = w.string('sock_addr');
  w.add('', 4, 0, false, 8);
  const bytes = w.bytes();
  new DataView(bytes.buffer).setUint32(24, offset + 5, true);
  assert.equal(open(bytes).find('struct', 'addr')?.kind, 'struct');
});

test('bit-fields: kind_flag, and the old way through a narrow INT', () => {
  const w = new Writer();
  const u32 = w.int('unsigned int', 4, 0);
  const u8 = w.int('unsigned char', 1, 0);
  const bool = w.int('_Bool', 1, 4);
  w.add(
    'flags',
    4,
    6,
    true,
    12,
    w.string('a'),
    u32,
    (3 << 24) | 0,
    w.string('b'),
    u32,
    (10 << 24) | 3,
    w.string('c'),
    u32,
    (5 << 24) | 40,
    w.string('d'),
    u8,
    (2 << 24) | 46,
    w.string('e'),
    bool,
    (1 << 24) | 48,
    w.string('plain'),
    u32,
    64,
  );
  const narrow = w.int('unsigned int', 4, 0, 7);
  w.add('old', 4, 2, false, 8, w.string('x'), u32, 0, w.string('y'), narrow, 37);
  const types = open(w.bytes());
  assert.deepEqual(fieldsOf(types.find('struct', 'flags')), [
    '0:0+3 uint32 a',
    '0:3+10 uint32 b',
    '4:8+5 uint32 c',
    '5:6+2 uint8 d',
    '6:0+1 bool e',
    '8 uint32 plain',
  ]);
  assert.deepEqual(fieldsOf(types.find('struct', 'old')), ['0 uint32 x', '4:5+7 uint32 y']);
});

test('a packed bit-field gets a unit that holds it and stays inside of the composite', () => {
  const u32: Type = { kind: 'int', size: 4, signed: false };
  const u8: Type = { kind: 'int', size: 1, signed: false };
  // Bits 6…9 of bytes straddle, so that a unit of two bytes is needed.
  assert.deepEqual(placeBits('s', u8, 6, 4, 3), {
    name: 's',
    type: { kind: 'int', size: 2, signed: false },
    offset: 0,
    bits: { offset: 6, width: 4 },
  });
  // A struct of one byte must not be read with four.
  assert.deepEqual(placeBits('t', u32, 2, 3, 1), {
    name: 't',
    type: u8,
    offset: 0,
    bits: { offset: 2, width: 3 },
  });
  // Bits 20…39 of five bytes: an aligned unit of four straddles, four bytes from byte 1 hold it.
  assert.deepEqual(placeBits('v', u32, 20, 20, 5), {
    name: 'v',
    type: u32,
    offset: 1,
    bits: { offset: 12, width: 20 },
  });
  assert.equal(placeBits('w', u32, 0, 70, 16), undefined);
});

test('anonymous members, unions, typedefs, forward declarations', () => {
  const w = new Writer();
  const u32 = w.int('unsigned int', 4, 0); // 1
  w.add('__u32', 8, 0, false, u32); // 2
  w.add('id_t', 8, 0, false, 4); // 3 typedef volatile __u32
  w.add('', 9, 0, false, 2); // 4
  w.add('', 5, 2, false, 4, w.string('left'), 3, 0, w.string('right'), u32, 0); // 5
  w.add(
    'holder',
    4,
    4,
    false,
    24,
    w.string('head'),
    u32,
    0,
    0,
    5,
    32,
    w.string('gone'),
    8,
    64,
    w.string('full'),
    9,
    128,
  );
  w.add('missing', 7, 0, true, 0); // 7 fwd union missing
  w.add('', 2, 0, false, 7); // 8
  w.add('', 2, 0, false, 10); // 9
  w.add('other', 7, 0, false, 0); // 10 fwd struct other
  w.add('other', 4, 1, false, 4, w.string('x'), u32, 0); // 11
  const types = open(w.bytes());
  const holder = composite(types.find('struct', 'holder'));
  assert.deepEqual(fieldsOf(holder), [
    '0 uint32 head',
    '4 union {…} ',
    '8 union missing * gone',
    '16 struct other * full',
  ]);
  assert.equal(findField(holder, 'right')?.offset, 4);
  const gone = findField(holder, 'gone')?.field.type;
  const full = findField(holder, 'full')?.field.type;
  assert.ok(gone?.kind === 'pointer' && full?.kind === 'pointer');
  assert.deepEqual(composite(gone.to()).fields(), []);
  assert.equal(full.to(), types.find('struct', 'other'));
  assert.equal(sizeOf(full.to()), 4);
  assert.equal(types.find('typedef', 'id_t'), types.find('typedef', '__u32'));
});

test('type tags tell user pointers', () => {
  const w = new Writer();
  const char = w.int('char', 1, 1); // 1
  const konst = w.add('', 10, 0, false, char); // 2
  const user = w.add('user', 18, 0, false, konst); // 3
  const rcu = w.add('rcu', 18, 0, false, char); // 4
  w.add('', 2, 0, false, user); // 5
  w.add('', 2, 0, false, rcu); // 6
  w.add('', 2, 0, false, 8); // 7: char __user ** in kernel memory
  w.add('', 10, 0, false, 5); // 8
  w.add('p', 4, 3, false, 24, w.string('u'), 5, 0, w.string('r'), 6, 64, w.string('pp'), 7, 128);
  const types = open(w.bytes());
  const spaces = composite(types.find('struct', 'p'))
    .fields()
    .map(({ type }) => type.kind === 'pointer' && type.space);
  assert.deepEqual(spaces, ['user', 'kernel', 'kernel']);
  const outer = findField(composite(types.find('struct', 'p')), 'pp')?.field.type;
  assert.ok(outer?.kind === 'pointer');
  const inner = outer.to();
  assert.equal(inner.kind === 'pointer' && inner.space, 'user');
});

test('enums of 32 and 64 bits, functions, floats', () => {
  const w = new Writer();
  const int = w.int('int', 4, 1); // 1
  w.add('color', 6, 2, false, 4, w.string('RED'), 0, w.string('LOUD'), 0xffff_fffe); // 2
  w.add('sign', 6, 1, true, 4, w.string('MINUS'), 0xffff_ffff); // 3
  w.add('huge', 19, 2, false, 8, w.string('TOP'), 0, 0x8000_0000, w.string('LOW'), 7, 0); // 4
  w.add('below', 19, 1, true, 8, w.string('MIN'), 0, 0x8000_0000); // 5
  w.add('', 13, 3, false, int, w.string('fd'), int, w.string('how'), 2, 0, 0); // 6
  w.add('do_it', 12, 1, false, 6); // 7
  w.add('double', 16, 0, false, 8); // 8
  w.add('quiet', 13, 0, false, 0); // 9: a prototype is not looked up by name
  w.add('tagged', 17, 0, false, 7, 0xffff_ffff); // 10
  w.add('counter', 14, 0, false, int, 1); // 11
  w.add('.data', 15, 1, false, 4, 11, 0, 4); // 12
  w.add('after', 4, 0, false, 1); // 13
  const types = open(w.bytes());
  assert.equal(types.findEnumerator('LOUD')?.value, 0xffff_fffen);
  assert.equal(types.findEnumerator('MINUS')?.value, -1n);
  assert.equal(types.findEnumerator('TOP')?.value, 0x8000_0000_0000_0000n);
  assert.equal(types.findEnumerator('LOW')?.value, 7n);
  assert.equal(types.findEnumerator('MIN')?.value, -0x8000_0000_0000_0000n);
  assert.equal(types.findEnumerator('color'), undefined);
  assert.equal(types.findEnumerator('LOUD')?.type, types.find('enum', 'color'));
  const made = types.findFunction('do_it');
  assert.ok(made !== undefined);
  assert.equal(describe(made), 'int32 do_it(int32, enum color)');
  assert.deepEqual(
    made.parameters().map(({ name }) => name),
    ['fd', 'how'],
  );
  assert.equal(types.findFunction('quiet'), undefined);
  assert.deepEqual([...types.functionNames()], ['do_it']);
  assert.deepEqual(types.find('typedef', 'double'), { kind: 'float', size: 8 });
  assert.equal(types.find('struct', 'after')?.kind, 'struct', 'records after all kinds are found');
});

test('split BTF continues ids and strings of its base', () => {
  const w = new Writer();
  const int = w.int('int', 4, 1);
  const inner = w.add('inner', 4, 1, false, 4, w.string('i'), int, 0);
  const baseBytes = w.bytes();
  const strings = new DataView(baseBytes.buffer).getUint32(20, true);
  const split = new Writer(strings, inner);
  split.add('', 2, 0, false, inner); // 3
  split.add('outer', 4, 2, false, 16, split.string('in'), inner, 0, split.string('to'), 3, 64);
  const base = open(baseBytes);
  const types = open(split.bytes(), base);
  assert.deepEqual(fieldsOf(types.find('struct', 'outer')), ['0 struct inner in', '8 struct inner * to']);
  assert.equal(types.find('struct', 'inner'), base.find('struct', 'inner'));
  assert.equal(findField(composite(types.find('struct', 'outer')), 'in')?.field.type, base.find('struct', 'inner'));
  assert.deepEqual([...types.names('struct')], ['inner', 'outer']);
  assert.equal(base.find('struct', 'outer'), undefined);
});

test('wrong headers are refused with E_BTF', () => {
  const w = new Writer();
  w.int('int', 4, 1);
  const good = w.bytes();
  const change = (offset: number, value: number): Uint8Array => {
    const bytes = good.slice();
    new DataView(bytes.buffer).setUint32(offset, value, true);
    return bytes;
  };
  const wrong = [
    new Uint8Array(0),
    good.subarray(0, 23),
    change(0, 0x464c457f),
    change(0, 0x0002eb9f),
    change(4, 8),
    change(4, 4096),
    change(8, 1000),
    change(12, 0xffff_fff0),
    change(12, 13),
    change(16, 0xffff_ffff),
    change(20, 4096),
  ];
  for (const [index, bytes] of wrong.entries()) {
    const result = openBtf(bytes);
    assert.ok(!result.ok && result.error.code === 'E_BTF', `case ${index}`);
  }
});

test('cycles and bad references end with E_BTF, not in a loop', () => {
  const broken = { name: 'MachineError', code: 'E_BTF' };
  const loop = new Writer();
  loop.add('a', 8, 0, false, 2);
  loop.add('b', 8, 0, false, 1);
  assert.throws(() => open(loop.bytes()).find('typedef', 'a'), broken);
  const array = new Writer();
  array.add('', 3, 0, false, 0, 1, 1, 4);
  array.add('s', 4, 1, false, 4, array.string('x'), 1, 0);
  assert.throws(() => composite(open(array.bytes()).find('struct', 's')).fields(), broken);
  const dangling = new Writer();
  dangling.add('t', 8, 0, false, 77);
  assert.throws(() => open(dangling.bytes()).find('typedef', 't'), broken);
  const cut = new Writer();
  cut.add('s', 4, 100, false, 4);
  assert.throws(() => open(cut.bytes()).find('struct', 'z'), broken);
  const kind = new Writer();
  kind.add('s', 25, 0, false, 4);
  assert.throws(() => open(kind.bytes()).find('struct', 'z'), broken);
});

test('random damage gives answers or E_BTF, nothing else', () => {
  const w = new Writer();
  const int = w.int('int', 4, 1);
  w.add('', 2, 0, false, 4);
  w.add('', 3, 0, false, 0, int, int, 3);
  w.add('node', 4, 3, true, 24, w.string('next'), 2, 0, w.string('v'), 3, 64, w.string('f'), int, (3 << 24) | 160);
  w.add('color', 6, 1, false, 4, w.string('RED'), 0);
  w.add('', 13, 1, false, int, w.string('n'), 2);
  w.add('fn', 12, 0, false, 6);
  const good = w.bytes();
  let state = 12345;
  const random = (below: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  let answered = 0;
  for (let round = 0; round < 3000; round++) {
    const bytes = good.slice();
    for (let change = 0; change <= random(3); change++) bytes[random(bytes.length)] = random(256);
    const result = openBtf(bytes);
    if (!result.ok) continue;
    try {
      for (const keyword of ['struct', 'union', 'enum', 'typedef'] as const) {
        for (const name of result.value.names(keyword)) {
          const type = result.value.find(keyword, name);
          if (type?.kind === 'struct' || type?.kind === 'union') type.fields().map((field) => describe(field.type));
        }
      }
      result.value.findFunction('fn')?.parameters();
      result.value.findEnumerator('RED');
      answered++;
    } catch (error) {
      assert.ok(error instanceof MachineError && error.code === 'E_BTF', String(error));
    }
  }
  assert.ok(answered > 500, `${answered} of 3000 still gave answers`);
});

// ------------------------------------------------------------------ against pahole

const VMLINUX = '/sys/kernel/btf/vmlinux';
const STRUCTS = (
  'task_struct sockaddr sockaddr_in sockaddr_in6 sockaddr_un in6_addr sock sock_common inet_sock tcp_sock sk_buff file ' +
  'inode dentry path qstr mm_struct vm_area_struct cred nsproxy net net_device iovec msghdr user_msghdr pt_regs ' +
  'list_head page super_block bio request iphdr tcphdr udphdr ipv6hdr ethhdr linux_binprm rq sched_entity signal_struct ' +
  'kiocb poll_table_struct socket pid timespec64 rlimit epoll_event'
).split(' ');

interface Member {
  readonly path: readonly string[];
  readonly bit: number;
  readonly size: number;
  readonly width: number;
}

/** Reads pahole's C text: members with offset and size in a comment, bit-fields as `offset: bit  size`. */
function readPahole(text: string): Map<string, { size: number; members: Member[] }> {
  const structs = new Map<string, { size: number; members: Member[] }>();
  const stack: Member[][] = [];
  let name = '';
  for (const line of text.split('\n')) {
    const plain = line.replace(/__attribute__\(\(.*?\)\)+/g, '');
    const head = /^(?:struct|union) (\w+) \{$/.exec(plain);
    if (head !== null) {
      name = head[1] ?? '';
      stack.length = 0;
      stack.push([]);
      continue;
    }
    const total = /^\t\/\* size: (\d+)/.exec(plain);
    if (total !== null) structs.set(name, { size: Number(total[1]), members: stack[0] ?? [] });
    if (/^\t+(?:const |volatile )*(?:struct|union) (?:\w+ )?\{/.test(plain)) {
      stack.push([]);
      continue;
    }
    const closing = /^\t+\} *(\w*)(\[.*\])?;/.exec(plain);
    const place = /;\s*\/\*\s*(\d+)(?::\s*(\d+))?\s+(\d+) \*\//.exec(plain);
    if (closing !== null) {
      const inner = stack.pop() ?? [];
      const outer = stack.at(-1);
      if (outer === undefined) continue;
      if (closing[1] === '') outer.push(...inner);
      else if (place !== null) {
        outer.push({ path: [closing[1] ?? ''], bit: Number(place[1]) * 8, size: Number(place[3]), width: 0 });
      }
      continue;
    }
    const member = /(?:\(\*+(?:const )?(\w+)(?:\[\d+\])*\)\(.*\)|(\w+)(?:\[\d*\])*)\s*(?::(\d+))?\s*;/.exec(plain);
    if (member === null || place === null) continue;
    stack.at(-1)?.push({
      path: [member[1] ?? member[2] ?? ''],
      bit: Number(place[1]) * 8 + Number(place[2] ?? 0),
      size: Number(place[3]),
      width: Number(member[3] ?? 0),
    });
  }
  return structs;
}

test('sizes, offsets and bit-fields agree with pahole on the kernel', (t) => {
  if (!existsSync(VMLINUX)) return t.skip(`there is no ${VMLINUX}`);
  const run = spawnSync('pahole', ['-C', STRUCTS.join(','), VMLINUX], { encoding: 'utf8', maxBuffer: 1 << 26 });
  if (run.error !== undefined) return t.skip('pahole (Debian package dwarves) is not installed');
  const expected = readPahole(run.stdout);
  assert.ok(expected.size >= 30, `pahole described ${expected.size} of ${STRUCTS.length} structs`);
  const types = open(readFileSync(VMLINUX));
  let compared = 0;
  let bitFields = 0;
  for (const [name, { size, members }] of expected) {
    const type = composite(types.find('struct', name));
    assert.equal(type.size, size, name);
    for (const member of members) {
      const found = findField(type, member.path[0] ?? '');
      const what = `${name}.${member.path[0]}`;
      assert.ok(found !== undefined, what);
      const { bits } = found.field;
      assert.equal(found.offset * 8 + (bits?.offset ?? 0), member.bit, what);
      assert.equal(bits?.width ?? 0, member.width, what);
      if (bits === undefined) assert.equal(sizeOf(found.field.type), member.size, what);
      else {
        bitFields++;
        assert.ok(bits.offset + bits.width <= sizeOf(found.field.type) * 8, what);
      }
      compared++;
    }
  }
  assert.ok(compared > 1000 && bitFields > 80, `${compared} members, ${bitFields} bit-fields`);
  t.diagnostic(`${expected.size} structs, ${compared} members, ${bitFields} bit-fields`);
});

test('every record of the kernel can be resolved', (t) => {
  if (!existsSync(VMLINUX)) return t.skip(`there is no ${VMLINUX}`);
  const types = open(readFileSync(VMLINUX));
  let fields = 0;
  for (const keyword of ['struct', 'union'] as const) {
    for (const name of types.names(keyword)) fields += composite(types.find(keyword, name)).fields().length;
  }
  assert.ok(fields > 10_000, `${fields} fields`);
  const read = types.findFunction('vfs_read');
  assert.ok(read !== undefined);
  // fs/read_write.c: ssize_t vfs_read(struct file *file, char __user *buf, size_t count, loff_t *pos)
  assert.match(describe(read), /^int64 vfs_read\(struct file \*, u?int8 \*, uint64, int64 \*\)$/);
  assert.equal(types.findEnumerator('BPF_PROG_TYPE_KPROBE')?.value, 2n);
  assert.equal(types.findEnumerator('BPF_PROG_TYPE_KPROBE')?.type.name, 'bpf_prog_type');
});

/** Encodings written down by hand from RFC 9669, and the kernel's own disassembly of the same instructions. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { type ProgramRefusal, progLoad } from '../kernel/sys/bpf.ts';
import { closeFd } from '../kernel/sys/bpfcall.ts';
import { hasCapability } from '../kernel/sys/errno.ts';
import { Assembler } from './assembler.ts';
import { bpf_map_type, perf_event_attr_bit } from './constants.ts';
import { disassemble } from './disassemble.ts';
import { HELPERS, helperName, helperNumber } from './helpers.ts';
import { Alu, Class, decodeInsn, EXIT, encodeInsn, GOTO, Jump, MOV_K, MOV_X, Mode, Size, SOURCE_X } from './insn.ts';

const bytes = (hex: string): Uint8Array => Uint8Array.from(hex.split(' '), (byte) => Number.parseInt(byte, 16));

/** Opcode, src and dst nibbles, offset, immediate: little-endian, worked out by hand from the tables of RFC 9669. */
const TABLE: readonly (readonly [hex: string, text: string])[] = [
  ['b7 01 00 00 05 00 00 00', 'r1 = 5'],
  ['b7 01 00 00 ff ff ff ff', 'r1 = -1'],
  ['b4 02 00 00 ff ff ff ff', 'w2 = -1'],
  ['bf a6 00 00 00 00 00 00', 'r6 = r10'],
  ['bc 61 00 00 00 00 00 00', 'w1 = w6'],
  ['bf 21 08 00 00 00 00 00', 'r1 = (s8)r2'],
  ['bf 21 20 00 00 00 00 00', 'r1 = (s32)r2'],
  ['0f 21 00 00 00 00 00 00', 'r1 += r2'],
  ['07 02 00 00 f8 ff ff ff', 'r2 += -8'],
  ['1f 21 00 00 00 00 00 00', 'r1 -= r2'],
  ['2f 21 00 00 00 00 00 00', 'r1 *= r2'],
  ['3f 21 00 00 00 00 00 00', 'r1 /= r2'],
  ['3f 21 01 00 00 00 00 00', 'r1 s/= r2'],
  ['37 01 00 00 0a 00 00 00', 'r1 /= 10'],
  ['4f 21 00 00 00 00 00 00', 'r1 |= r2'],
  ['57 01 00 00 ff 00 00 00', 'r1 &= 255'],
  ['6f 21 00 00 00 00 00 00', 'r1 <<= r2'],
  ['77 01 00 00 20 00 00 00', 'r1 >>= 32'],
  ['87 01 00 00 00 00 00 00', 'r1 = -r1'],
  ['9f 21 00 00 00 00 00 00', 'r1 %= r2'],
  ['9f 21 01 00 00 00 00 00', 'r1 s%= r2'],
  ['af 21 00 00 00 00 00 00', 'r1 ^= r2'],
  ['c7 01 00 00 3f 00 00 00', 'r1 s>>= 63'],
  ['dc 01 00 00 10 00 00 00', 'r1 = be16 r1'],
  ['d4 01 00 00 20 00 00 00', 'r1 = le32 r1'],
  ['d7 01 00 00 40 00 00 00', 'r1 = bswap64 r1'],
  ['79 11 10 00 00 00 00 00', 'r1 = *(u64 *)(r1 +16)'],
  ['61 12 04 00 00 00 00 00', 'r2 = *(u32 *)(r1 +4)'],
  ['69 12 02 00 00 00 00 00', 'r2 = *(u16 *)(r1 +2)'],
  ['71 a0 f0 ff 00 00 00 00', 'r0 = *(u8 *)(r10 -16)'],
  ['91 a0 f0 ff 00 00 00 00', 'r0 = *(s8 *)(r10 -16)'],
  ['7b 1a f8 ff 00 00 00 00', '*(u64 *)(r10 -8) = r1'],
  ['63 1a fc ff 00 00 00 00', '*(u32 *)(r10 -4) = r1'],
  ['7a 0a f8 ff 05 00 00 00', '*(u64 *)(r10 -8) = 5'],
  ['72 0a ff ff 00 00 00 00', '*(u8 *)(r10 -1) = 0'],
  ['db 21 00 00 00 00 00 00', 'lock *(u64 *)(r1 +0) += r2'],
  ['c3 21 08 00 40 00 00 00', 'lock *(u32 *)(r1 +8) |= r2'],
  ['db 21 00 00 01 00 00 00', 'r2 = atomic64_fetch_add((u64 *)(r1 +0), r2)'],
  ['c3 21 00 00 51 00 00 00', 'r2 = atomic_fetch_and((u32 *)(r1 +0), r2)'],
  ['db 21 00 00 e1 00 00 00', 'r2 = atomic64_xchg((u64 *)(r1 +0), r2)'],
  ['db 21 00 00 f1 00 00 00', 'r0 = atomic64_cmpxchg((u64 *)(r1 +0), r0, r2)'],
  ['05 00 03 00 00 00 00 00', 'goto pc+3'],
  ['06 00 00 00 40 9c 00 00', 'gotol pc+40000'],
  ['15 00 02 00 00 00 00 00', 'if r0 == 0x0 goto pc+2'],
  ['55 00 fe ff 00 00 00 00', 'if r0 != 0x0 goto pc-2'],
  ['25 01 03 00 05 00 00 00', 'if r1 > 0x5 goto pc+3'],
  ['65 01 03 00 05 00 00 00', 'if r1 s> 0x5 goto pc+3'],
  ['2d 21 03 00 00 00 00 00', 'if r1 > r2 goto pc+3'],
  ['35 01 03 00 05 00 00 00', 'if r1 >= 0x5 goto pc+3'],
  ['45 01 03 00 01 00 00 00', 'if r1 & 0x1 goto pc+3'],
  ['a5 01 03 00 05 00 00 00', 'if r1 < 0x5 goto pc+3'],
  ['b5 01 03 00 05 00 00 00', 'if r1 <= 0x5 goto pc+3'],
  ['c6 01 03 00 ff ff ff ff', 'if w1 s< 0xffffffff goto pc+3'],
  ['de 21 03 00 00 00 00 00', 'if w1 s<= w2 goto pc+3'],
  ['75 01 03 00 05 00 00 00', 'if r1 s>= 0x5 goto pc+3'],
  ['85 00 00 00 0e 00 00 00', 'call bpf_get_current_pid_tgid#14'],
  ['85 10 00 00 07 00 00 00', 'call pc+7'],
  ['95 00 00 00 00 00 00 00', 'exit'],
];

test('instructions by hand: bytes to text and back to bytes', () => {
  for (const [hex, text] of TABLE) {
    const code = bytes(hex);
    assert.equal(disassemble(code)[0]?.text, text, hex);
    const copy = new Uint8Array(8);
    encodeInsn(new DataView(copy.buffer), 0, decodeInsn(new DataView(code.buffer), 0));
    assert.deepEqual(copy, code, hex);
  }
});

test('the assembler writes the same bytes', () => {
  const asm = new Assembler();
  const end = asm.label();
  asm.emit(MOV_K, 1, 0, 0, 5);
  asm.emit(MOV_X, 6, 10, 0, 0);
  asm.emit(Class.LDX | Mode.MEM | Size.DW, 1, 1, 16, 0);
  asm.jump(Class.JMP | Jump.JSGT, 1, 0, 5, end);
  asm.load64(2, 0, 0x55667788, 0x11223344);
  asm.emit(Class.ALU64 | Alu.ADD | SOURCE_X, 1, 2, 0, 0);
  asm.place(end);
  asm.emit(EXIT, 0, 0, 0, 0);
  const expected = bytes(
    'b7 01 00 00 05 00 00 00 bf a6 00 00 00 00 00 00 79 11 10 00 00 00 00 00 65 01 03 00 05 00 00 00 ' +
      '18 02 00 00 88 77 66 55 00 00 00 00 44 33 22 11 0f 21 00 00 00 00 00 00 95 00 00 00 00 00 00 00',
  );
  assert.deepEqual(asm.finish({ farJumps: false }).code, expected);
});

test('what ld_imm64 loads is shown whole, or by the name that is given', () => {
  const code = bytes('18 02 00 00 88 77 66 55 00 00 00 00 44 33 22 11 95 00 00 00 00 00 00 00');
  assert.deepEqual(disassemble(code), [
    { slot: 0, opcode: 0x18, text: 'r2 = 0x1122334455667788' },
    { slot: 2, opcode: 0x95, text: 'exit' },
  ]);
  assert.equal(
    disassemble(code, { nameOf: (slot) => (slot === 0 ? 'map[events]' : undefined) })[0]?.text,
    'r2 = map[events]',
  );
});

for (const farJumps of [false, true]) {
  test(`jumps farther than 16 bits ${farJumps ? 'by gotol' : 'through islands'}: each ends where it should`, () => {
    const asm = new Assembler();
    const labels = [asm.label(), asm.label(), asm.label()];
    const [start, middle, end] = labels as [number, number, number];
    const size = 100_000;
    /** Instruction (by its imm) that each jump must arrive at. */
    const wanted = new Map<number, number>();
    asm.place(start);
    for (let i = 0; i < size; i++) {
      if (i === 50_000) asm.place(middle);
      if (i === size - 1) asm.place(end);
      if (i % 9_973 === 17) {
        const goal = [start, middle, end][i % 3] as number;
        asm.jump(Class.JMP | Jump.JEQ, 1, 0, i, goal);
        wanted.set(i, goal === start ? 0 : goal === middle ? 50_000 : size - 1);
      } else if (i % 7 === 5) {
        asm.load64(2, 0, i, i);
      } else {
        asm.emit(MOV_K, 2, 0, 0, i);
      }
    }
    const { code } = asm.finish({ farJumps });
    const view = new DataView(code.buffer);
    const slots = code.length / 8;
    const target = (slot: number): number => {
      const insn = decodeInsn(view, slot);
      return slot + 1 + (insn.opcode === 0x06 ? insn.imm : insn.offset);
    };
    let seen = 0;
    let straight = 0;
    for (let slot = 0; slot < slots; slot++) {
      const insn = decodeInsn(view, slot);
      if (insn.opcode === (Class.JMP | Jump.JEQ)) {
        seen++;
        let at = target(slot);
        for (let hops = 0; decodeInsn(view, at).opcode === GOTO || decodeInsn(view, at).opcode === 0x06; hops++) {
          assert.ok(hops < 20, 'the islands form a circle');
          at = target(at);
        }
        assert.equal(decodeInsn(view, at).imm, wanted.get(insn.imm), `jump of instruction ${insn.imm}`);
      }
      if (insn.opcode === 0x18) slot++;
    }
    assert.equal(seen, wanted.size);
    // Running straight on still meets every instruction once, in order.
    for (let slot = 0; slot < slots; slot++) {
      const insn = decodeInsn(view, slot);
      if (insn.opcode === GOTO || insn.opcode === 0x06) {
        slot = target(slot) - 1;
        continue;
      }
      assert.equal(insn.imm, straight++);
      if (insn.opcode === 0x18) slot++;
    }
    assert.equal(straight, size);
  });
}

test('helpers and constants at both ends of the tables', () => {
  // From linux/bpf.h and, past 6.1, from the kernel's own sources.
  assert.equal(helperName(1), 'bpf_map_lookup_elem');
  assert.equal(helperName(181), 'bpf_loop');
  assert.equal(helperName(211), 'bpf_cgrp_storage_delete');
  assert.equal(helperName(212), undefined);
  assert.equal(helperNumber('bpf_ringbuf_output'), 130);
  assert.equal(helperNumber('get_stack'), 67);
  assert.equal(helperNumber('bpf_no_such'), undefined);
  assert.equal(HELPERS.length, 212);
  assert.equal(bpf_map_type.BPF_MAP_TYPE_RINGBUF, 27);
  assert.equal(perf_event_attr_bit.use_clockid, 25);
});

const noHeader =
  existsSync('/usr/include/linux/bpf.h') || existsSync('/sys/kernel/btf/vmlinux')
    ? false
    : 'neither uapi headers nor kernel BTF here';
test('constants and helpers agree with the headers and the running kernel', { skip: noHeader }, () => {
  const run = spawnSync(process.execPath, ['tools/gen-bpf-constants.mjs', '--check'], { encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr + run.stdout);
});

const skip = hasCapability('CAP_BPF') ? false : 'loading BPF programs needs CAP_BPF (run as root)';
test("the kernel's log shows the same text", { skip }, () => {
  const asm = new Assembler();
  const next = (opcode: number, dst: number, src: number, imm: number): void => {
    const label = asm.label();
    asm.jump(opcode, dst, src, imm, label);
    asm.place(label);
  };
  asm.emit(Class.LDX | Mode.MEM | Size.DW, 6, 1, 0, 0);
  asm.emit(Class.LDX | Mode.MEM | Size.DW, 7, 1, 8, 0);
  for (const operation of [
    Alu.ADD,
    Alu.SUB,
    Alu.MUL,
    Alu.DIV,
    Alu.OR,
    Alu.AND,
    Alu.LSH,
    Alu.RSH,
    Alu.MOD,
    Alu.XOR,
    Alu.MOV,
    Alu.ARSH,
  ]) {
    for (const cls of [Class.ALU, Class.ALU64]) {
      asm.emit(cls | operation, 6, 0, 0, 5);
      asm.emit(cls | operation | SOURCE_X, 7, 6, 0, 0);
    }
  }
  asm.emit(Class.ALU64 | Alu.NEG, 6, 0, 0, 0);
  asm.emit(Class.ALU | Alu.NEG, 6, 0, 0, 0);
  for (const bits of [16, 32, 64]) {
    asm.emit(Class.ALU | Alu.END | SOURCE_X, 6, 0, 0, bits);
    asm.emit(Class.ALU | Alu.END, 6, 0, 0, bits);
  }
  asm.emit(Class.STX | Mode.MEM | Size.DW, 10, 6, -8, 0);
  for (const size of [Size.B, Size.H, Size.W, Size.DW]) {
    asm.emit(Class.ST | Mode.MEM | size, 10, 0, -8, -3);
    asm.emit(Class.STX | Mode.MEM | size, 10, 7, -8, 0);
    asm.emit(Class.LDX | Mode.MEM | size, 6, 10, -8, 0);
  }
  for (const size of [Size.W, Size.DW]) {
    for (const operation of [0x00, 0x01, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, 0xe1])
      asm.emit(Class.STX | Mode.ATOMIC | size, 10, 7, -8, operation);
    asm.emit(MOV_K, 0, 0, 0, 1);
    asm.emit(Class.STX | Mode.ATOMIC | size, 10, 7, -8, 0xf1);
  }
  asm.load64(8, 0, 0x55667788, 0x11223344);
  asm.emit(Class.LDX | Mode.MEM | Size.DW, 6, 10, -8, 0);
  for (const operation of [
    Jump.JEQ,
    Jump.JGT,
    Jump.JGE,
    Jump.JSET,
    Jump.JNE,
    Jump.JSGT,
    Jump.JSGE,
    Jump.JLT,
    Jump.JLE,
    Jump.JSLT,
    Jump.JSLE,
  ]) {
    for (const cls of [Class.JMP, Class.JMP32]) {
      next(cls | operation, 6, 0, -5);
      next(cls | operation | SOURCE_X, 6, 7, 0);
    }
  }
  next(GOTO, 0, 0, 0);
  asm.emit(Class.JMP | Jump.CALL, 0, 0, 0, 14);
  // The verifier logs a program that it refuses: r5 has no value after a call.
  asm.emit(MOV_X, 0, 5, 0, 0);
  asm.emit(EXIT, 0, 0, 0, 0);
  const { code } = asm.finish({ farJumps: false });
  let log = '';
  try {
    closeFd(progLoad({ type: 'RAW_TRACEPOINT', name: 'text', code, license: 'GPL' }).fd);
  } catch (error) {
    log = (error as ProgramRefusal).log;
  }
  assert.match(log, /R5 !read_ok/);
  const kernel = new Map<number, string>();
  for (const line of log.split('\n')) {
    const match = /^(\d+): \(([0-9a-f]{2})\) (.*?)\s*(?:;.*)?$/.exec(line);
    if (match) kernel.set(Number(match[1]), `(${match[2]}) ${match[3]}`);
  }
  const lines = disassemble(code).filter((line) => line.opcode !== EXIT);
  for (const line of lines)
    assert.equal(`(${line.opcode.toString(16).padStart(2, '0')}) ${line.text}`, kernel.get(line.slot));
  assert.ok(lines.length > 130);
});

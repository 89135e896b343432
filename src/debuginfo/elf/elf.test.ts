import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import { inflateSync } from 'node:zlib';
import fc from 'fast-check';
import {
  envoyPath,
  isFunction,
  lacking,
  libcPath,
  listedSegments,
  listedSymbols,
  nodePath,
  offsetByHand,
  output,
  random,
  readelf,
  Workshop,
  workerdPath,
} from '../../../test/binaries.ts';
import { MachineError } from '../../base/errors.ts';
import { lazy } from '../../base/lazy.ts';
import { fileOffset, virtualAddress } from '../../base/numbers.ts';
import { bytesReader } from '../../bytes/file.ts';
import { HostFile } from '../../kernel/host/file.ts';
import { ET_DYN, ET_EXEC, PF_X, PT_LOAD, SHF_ALLOC, SHT_NOBITS } from './constants.ts';
import { ElfFile } from './elf.ts';
import { readNotes } from './note.ts';

const workshop = new Workshop();
after(() => workshop[Symbol.dispose]());

function open(path: string): ElfFile {
  const file = HostFile.open(path);
  assert.ok(file.ok);
  const elf = ElfFile.open(path, file.value);
  assert.ok(elf.ok, elf.ok ? '' : elf.error.message);
  return elf.value;
}

/** Two functions, each in a section of its own, each starting with bytes that tell it. */
const twoSections = `
  .section .text.near,"ax",@progbits
  .globl _start
  .type _start, @function
_start:
  mov $0x11223344, %eax
  ret
  .size _start, .-_start
  .section .far,"ax",@progbits
  .globl faraway
  .type faraway, @function
faraway:
  mov $0x55667788, %eax
  ret
  .size faraway, .-faraway
  .section .rodata
  .globl constant
  .type constant, @object
constant: .long 42
  .size constant, 4
  .bss
  .globl zeroes
  .type zeroes, @object
zeroes: .skip 8192
  .size zeroes, 8192
`;

/** Two executable segments whose addresses are at different distances from their offsets, with data between them. */
const twoSegmentsScript = `
ENTRY(_start)
PHDRS { near PT_LOAD FLAGS(5); data PT_LOAD FLAGS(6); far PT_LOAD FLAGS(5); note PT_NOTE; }
SECTIONS {
  . = 0x00902040; .text : { *(.text*) } :near
  . = 0x00a03000; .note : { *(.note.gnu.build-id) } :data :note
  .rodata : { *(.rodata) } :data .bss : { *(.bss) } :data
  . = 0x70001000; .far : { *(.far) } :far
}`;

const needsGcc = lacking('gcc', 'readelf');

/** Programs to look at: those of the machine, those in the cache, those made here. */
const real: Record<string, { readonly path: () => string; readonly skip: string | false }> = {
  node: { path: () => nodePath, skip: lacking(nodePath, 'readelf') },
  'libc (a library)': { path: () => libcPath as string, skip: lacking(libcPath, 'readelf') },
  'a PIE of the system': { path: () => '/usr/bin/env', skip: lacking('/usr/bin/env', 'readelf') },
  Envoy: { path: () => envoyPath, skip: lacking(envoyPath, 'readelf') },
  workerd: { path: () => workerdPath, skip: lacking(workerdPath, 'readelf') },
};
const made: Record<string, readonly string[]> = {
  'several executable segments': ['-nostdlib', '-no-pie', `-Wl,-T,${workshop.write('two.ld', twoSegmentsScript)}`],
  'separate-code': ['-nostdlib', '-no-pie', '-Wl,-z,separate-code'],
  'noseparate-code': ['-nostdlib', '-no-pie', '-Wl,-z,noseparate-code'],
  'text-segment far up': ['-nostdlib', '-no-pie', '-Wl,-Ttext-segment=0x7654321000'],
  'static PIE': ['-nostdlib', '-static-pie'],
  'shared library': ['-nostdlib', '-shared'],
  '2 MB pages': ['-nostdlib', '-no-pie', '-Wl,-z,max-page-size=0x200000'],
  '32 bits': ['-nostdlib', '-no-pie', '-m32'],
};
for (const [name, options] of Object.entries(made)) {
  const file = name.replaceAll(' ', '-');
  real[`gcc: ${name}`] = {
    path: lazy(() => workshop.gcc(file, `${file}.s`, twoSections, ...options)),
    skip: needsGcc || (process.arch === 'x64' ? false : 'the assembly is for x86-64'),
  };
}

for (const [name, { path, skip }] of Object.entries(real)) {
  describe(name, { skip }, () => {
    test('segments are those that readelf -lW lists', () => {
      const elf = open(path());
      const mine = elf.segments.map(({ offset, address, fileSize, memorySize, flags }) => ({
        offset,
        address,
        fileSize,
        memorySize,
        flags: `${flags & 4 ? 'R' : ''}${flags & 2 ? 'W' : ''}${flags & 1 ? 'E' : ''}`,
      }));
      const listed = listedSegments(path()).map(({ type: _, ...rest }) => rest);
      assert.ok(listed.length > 0);
      assert.deepEqual(mine, listed);
    });

    test('sections are those that readelf -SW lists', () => {
      const row = /^\s+\[ *(\d+)\] (\S*)\s+[A-Z]\w+\s+([0-9a-f]{8,16}) ([0-9a-f]+) ([0-9a-f]+)/;
      const listed = readelf('-SW', path()).flatMap((line) => {
        const match = row.exec(line);
        if (match === null) return [];
        const [, index, section, address, offset, size] = match;
        return [[Number(index), section, Number(`0x${address}`), Number(`0x${offset}`), Number(`0x${size}`)]];
      });
      const elf = open(path());
      assert.equal(elf.problem, undefined);
      assert.ok(listed.length > 3);
      // readelf's line for section 0 has no name in it.
      const mine = elf.sections.slice(1).map((one) => [one.index, one.name, one.address, one.offset, one.size]);
      assert.deepEqual(mine, listed.slice(-mine.length));
    });

    test('an address leads to the offset that a hand calculation gives, and back', () => {
      const elf = open(path());
      const segments = listedSegments(path());
      const symbols = listedSymbols(path()).filter((one) => isFunction(one) && one.address > 0);
      const code = segments.filter((one) => one.type === 'LOAD' && one.flags.includes('E'));
      assert.ok(code.length > 0);
      const pick = random(42);
      for (let count = 0; count < 1000; count++) {
        // Symbols' addresses, and any within the segments and a little outside of them.
        const segment = code[pick(code.length)];
        const symbol = count % 2 === 0 ? symbols[pick(Math.max(1, symbols.length))] : undefined;
        assert.ok(segment !== undefined);
        const address = virtualAddress(symbol?.address ?? segment.address - 64 + pick(segment.fileSize + 128));
        const wanted = offsetByHand(segments, address);
        const mine = elf.toFileOffset(address);
        assert.equal(mine.ok ? mine.value : undefined, wanted, `${symbol?.name} 0x${address.toString(16)}`);
        if (mine.ok) assert.equal(elf.toVirtualAddress(mine.value), address);
      }
    });

    test('a section starts where the segments place it', () => {
      const elf = open(path());
      let looked = 0;
      for (const section of elf.sections) {
        if ((section.flags & SHF_ALLOC) === 0 || section.type === SHT_NOBITS || section.size === 0) continue;
        const offset = elf.toFileOffset(section.address, 'any');
        assert.ok(offset.ok, section.name);
        assert.equal(offset.value, section.offset, section.name);
        looked++;
      }
      assert.ok(looked > 0);
    });

    test('build-id and needed libraries are those that readelf tells', () => {
      const elf = open(path());
      assert.equal(elf.buildId(), /Build ID: ([0-9a-f]+)/.exec(readelf('-nW', path()).join('\n'))?.[1] ?? '');
      const dynamic = readelf('-dW', path()).join('\n');
      const listed = (tag: string): string[] =>
        [...dynamic.matchAll(new RegExp(`\\(${tag}\\)[^[]*\\[(.*)\\]`, 'g'))].map((match) => match[1] as string);
      assert.deepEqual([...(elf.dynamic()?.needed ?? [])], listed('NEEDED'));
      assert.equal(elf.dynamic()?.soname ?? '', listed('SONAME')[0] ?? '');
      const interpreter = /program interpreter: (.*)\]/.exec(readelf('-lW', path()).join('\n'))?.[1] ?? '';
      assert.equal(elf.interpreter, interpreter);
    });
  });
}

test('node: vaddr and offset differ', { skip: lacking(nodePath, 'readelf') }, () => {
  const text = open(nodePath).section('.text');
  assert.ok(text !== undefined);
  if (open(nodePath).header.type === ET_EXEC) assert.notEqual(text.address as number, text.offset as number);
  else assert.equal(open(nodePath).header.type, ET_DYN);
});

describe('a program with two executable segments', {
  skip: real['gcc: several executable segments']?.skip ?? '',
}, () => {
  test('each function is found by its own bytes', () => {
    const path = real['gcc: several executable segments']?.path() as string;
    const elf = open(path);
    assert.equal(elf.segments.filter((one) => one.type === PT_LOAD && one.flags & PF_X).length, 2);
    const bytes = readFileSync(path);
    for (const [name, code] of [
      ['_start', 'b844332211c3'],
      ['faraway', 'b888776655c3'],
    ]) {
      const symbol = listedSymbols(path).find((one) => one.name === name);
      assert.ok(symbol !== undefined);
      const offset = elf.toFileOffset(virtualAddress(symbol.address));
      assert.ok(offset.ok);
      assert.equal(bytes.subarray(offset.value, offset.value + 6).toString('hex'), code);
    }
  });

  test('an address that is not code is refused with the reason', () => {
    const path = real['gcc: several executable segments']?.path() as string;
    const elf = open(path);
    const address = (name: string): number => listedSymbols(path).find((one) => one.name === name)?.address as number;
    const code = (at: number, which: 'executable' | 'any' = 'executable'): string => {
      const result = elf.toFileOffset(virtualAddress(at), which);
      return result.ok ? 'ok' : result.error.code;
    };
    assert.equal(code(address('constant')), 'E_NOT_EXECUTABLE');
    assert.equal(code(address('constant'), 'any'), 'ok');
    assert.equal(code(address('zeroes') + 4096, 'any'), 'E_NO_FILE_BYTES');
    assert.equal(code(address('_start') - 0x1000), 'E_NO_SEGMENT');
    assert.equal(code(address('_start') + 6), 'E_NO_SEGMENT');
    assert.equal(code(-1), 'E_NO_SEGMENT');
    assert.equal(code(Number.NaN), 'E_NO_SEGMENT');
    const refused = elf.toFileOffset(virtualAddress(0x1000));
    assert.ok(!refused.ok);
    assert.match(refused.error.hints.join(' '), /executable addresses are 0x902040-0x902046, 0x70001000-0x70001006/);
  });
});

test('where segments overlap, the later one counts', () => {
  const load = (offset: number, address: number): number[] => [1, 5, offset, address, address, 0x100, 0x100, 1];
  const elf = ElfFile.open('overlap', bytesReader(elf64([load(0x200, 0x1000), load(0x400, 0x1080)], 0x600)));
  assert.ok(elf.ok);
  const at = (address: number): unknown => {
    const result = elf.value.toFileOffset(virtualAddress(address));
    return result.ok && result.value;
  };
  assert.equal(at(0x107f), 0x27f);
  assert.equal(at(0x1080), 0x400);
  assert.equal(at(0x117f), 0x4ff);
});

/** A 64-bit file of `size` bytes with nothing but program headers (type, flags, offset, vaddr, paddr, filesz, memsz, align). */
function elf64(segments: readonly (readonly number[])[], size: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(size));
  [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1].forEach((byte, at) => {
    view.setUint8(at, byte);
  });
  view.setUint16(16, 2, true);
  view.setUint16(18, 62, true);
  view.setUint32(32, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, segments.length, true);
  segments.forEach(([type = 0, flags = 0, ...words], index) => {
    const at = 64 + 56 * index;
    view.setUint32(at, type, true);
    view.setUint32(at + 4, flags, true);
    words.forEach((word, number) => {
      view.setBigUint64(at + 8 + 8 * number, BigInt(word), true);
    });
  });
  return new Uint8Array(view.buffer);
}

describe('made by gcc and objcopy', { skip: lacking('gcc', 'objcopy', 'readelf') }, () => {
  const source = 'int answer(void) { return 42; } int main(void) { return answer(); }';

  test('compressed sections unpack to what objcopy unpacks them to', () => {
    const packed = workshop.gcc('packed', 'packed.c', source, '-g', '-gz=zlib');
    const plain = workshop.path('plain');
    output('objcopy', ['--decompress-debug-sections', packed, plain]);
    const elf = open(packed);
    const inflate = (bytes: Uint8Array): Uint8Array => inflateSync(bytes);
    let unpacked = 0;
    for (const section of elf.sections) {
      if (!section.name.startsWith('.debug')) continue;
      const packing = elf.packing(section);
      assert.ok(packing.ok);
      if (packing.value.method === 'zlib') unpacked++;
      const other = open(plain);
      const wanted = other.contents(other.section(section.name) as never);
      const mine = elf.contents(section, inflate);
      assert.ok(mine.ok && wanted.ok);
      assert.ok(Buffer.from(mine.value).equals(Buffer.from(wanted.value)), section.name);
      if (packing.value.method === 'zlib') {
        const refused = elf.contents(section);
        assert.equal(!refused.ok && refused.error.code, 'E_UNSUPPORTED_ELF');
        const wrong = elf.contents(section, () => new Uint8Array(1));
        assert.equal(!wrong.ok && wrong.error.code, 'E_BAD_ELF');
        const broken = elf.contents(section, () => inflateSync(new Uint8Array(3)));
        assert.equal(!broken.ok && broken.error.code, 'E_BAD_ELF');
      }
    }
    assert.ok(unpacked > 0);
  });

  test('.gnu_debuglink and RUNPATH', () => {
    const program = workshop.gcc(
      'linked',
      'linked.c',
      source,
      '-Wl,-rpath,$ORIGIN/lib:/opt/lib',
      '-Wl,--enable-new-dtags',
    );
    const debug = workshop.path('linked.debug');
    output('objcopy', ['--only-keep-debug', program, debug]);
    output('objcopy', [`--add-gnu-debuglink=${debug}`, program]);
    const elf = open(program);
    // readelf prints: "  Separate debug info file: linked.debug\n  CRC value: 0x…"
    const dump = readelf('--debug-dump=links', program).join('\n');
    assert.equal(elf.debugLink()?.name, 'linked.debug');
    assert.equal(elf.debugLink()?.crc, Number(/CRC value: (0x[0-9a-f]+)/.exec(dump)?.[1]));
    assert.equal(elf.dynamic()?.runpath, '$ORIGIN/lib:/opt/lib');
    assert.equal(elf.dynamic()?.rpath, '');
    assert.equal(open(debug).debugLink(), undefined);
    // The debug file's segments don't fit its own offsets; the note's section does.
    assert.equal(open(debug).buildId(), elf.buildId());
  });

  test('more than 65,279 sections: the extended numbering', () => {
    const path = workshop.path('many.o');
    const macro = `.macro one\n.section .s\\@,"a"\n.byte 1\n.endm\n.rept 66000\none\n.endr\n`;
    output('gcc', ['-c', '-o', path, workshop.write('many.s', macro)]);
    const header = readelf('-hW', path).join('\n');
    const count = Number(/Number of section headers:\s+0 \((\d+)\)/.exec(header)?.[1]);
    assert.ok(count > 66_000, header);
    const elf = open(path);
    assert.equal(elf.sections.length, count);
    assert.equal(elf.section('.s65999')?.size, 1);
    assert.equal(elf.section('.shstrtab')?.index, count - 1);
  });
});

describe('what is no good ELF file gives a typed error', () => {
  const openBytes = (bytes: Uint8Array): MachineError | undefined => {
    const elf = ElfFile.open('/some/file', bytesReader(bytes));
    return elf.ok ? undefined : elf.error;
  };
  const good = existsSync('/usr/bin/env') ? readFileSync('/usr/bin/env') : Buffer.from(elf64([], 64));

  test('not ELF', () => {
    const empty = openBytes(new Uint8Array(0));
    assert.equal(empty?.code, 'E_NOT_ELF');
    assert.match(empty.message, /\/some\/file.*empty/);
    const script = openBytes(new TextEncoder().encode('#!/bin/bash -e\necho hi\n'));
    assert.equal(script?.code, 'E_NOT_ELF');
    assert.match(script.hints.join(), /\/bin\/bash/);
    assert.equal(openBytes(new TextEncoder().encode('MZ'))?.code, 'E_NOT_ELF');
    assert.equal(openBytes(good.subarray(1))?.code, 'E_NOT_ELF');
  });

  test('cut off anywhere', () => {
    for (let length = 4; length < 64; length++)
      assert.equal(openBytes(good.subarray(0, length))?.code, 'E_TRUNCATED_ELF');
    const header = openBytes(good.subarray(0, 100));
    assert.equal(header?.code, 'E_TRUNCATED_ELF');
    assert.match(header.message, /program headers.*offset 0x40.*100 bytes/);
    // With the program headers there, what can be told is told, and what can't has a reason.
    const half = ElfFile.open('half', bytesReader(good.subarray(0, Math.floor(good.length / 2))));
    assert.ok(half.ok);
    assert.deepEqual(half.value.sections, []);
    assert.equal(half.value.problem?.code, 'E_TRUNCATED_ELF');
    const whole = ElfFile.open('whole', bytesReader(good));
    assert.ok(whole.ok);
    const segment = whole.value.segments.findLast((one) => one.type === PT_LOAD);
    const outside = half.value.toFileOffset(virtualAddress((segment?.address ?? 0) as number), 'any');
    assert.equal(!outside.ok && outside.error.code, 'E_TRUNCATED_ELF');
  });

  test('headers that lie', () => {
    const changed = (change: (view: DataView) => void): Uint8Array => {
      const bytes = Uint8Array.from(good);
      change(new DataView(bytes.buffer));
      return bytes;
    };
    assert.equal(openBytes(changed((view) => view.setUint8(4, 3)))?.code, 'E_BAD_ELF');
    assert.equal(openBytes(changed((view) => view.setUint8(5, 0)))?.code, 'E_BAD_ELF');
    assert.equal(openBytes(changed((view) => view.setUint16(54, 8, true)))?.code, 'E_BAD_ELF');
    // As many program headers as section header 0 says: four billion.
    const many = changed((view) => {
      view.setUint16(56, 0xffff, true);
      view.setUint32(Number(view.getBigUint64(40, true)) + 44, 0xffffffff, true);
    });
    assert.equal(openBytes(many)?.code, 'E_BAD_ELF');
    const away = changed((view) => view.setBigUint64(32, 0xffff_ffff_ffff_fff0n, true));
    assert.equal(openBytes(away)?.code, 'E_TRUNCATED_ELF');
    const sections = ElfFile.open('sections', bytesReader(changed((view) => view.setBigUint64(40, 1n << 62n, true))));
    assert.ok(sections.ok);
    assert.equal(sections.value.problem?.code, 'E_TRUNCATED_ELF');
  });

  test('notes stop at the first that does not fit', () => {
    const note = (nameSize: number, size: number): number[] => [nameSize, 0, 0, 0, size, 0, 0, 0, 3, 0, 0, 0];
    const bytes = Uint8Array.from([...note(4, 2), 0x47, 0x4e, 0x55, 0, 0xab, 0xcd, 0, 0, ...note(4, 200), 1, 2, 3, 4]);
    const notes = [...readNotes(bytes, true, 4)];
    assert.equal(notes.length, 1);
    assert.deepEqual([notes[0]?.name, [...(notes[0]?.description ?? [])]], ['GNU', [0xab, 0xcd]]);
  });

  test('random damage never raises and never hangs (3 s, seeded)', () => {
    const seeds = [good.subarray(0, 1 << 20), ...(needsGcc === false ? [readFileSync(tinyProgram())] : [])];
    const damage = fc.array(
      fc.record({
        at: fc.oneof(fc.nat(1023), fc.nat(1 << 20), fc.integer({ min: -4096, max: -1 })),
        bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }),
      }),
      { minLength: 1, maxLength: 12 },
    );
    fc.assert(
      fc.property(fc.nat(seeds.length - 1), damage, fc.option(fc.nat(1 << 20)), (seed, changes, length) => {
        const bytes = Uint8Array.from((seeds[seed] as Uint8Array).subarray(0, length ?? undefined));
        for (const { at, bytes: values } of changes) {
          const place = at < 0 ? bytes.length + at : at;
          if (place >= 0 && place + values.length <= bytes.length) bytes.set(values, place);
        }
        explore(bytes);
      }),
      { seed: 20, numRuns: 100_000, interruptAfterTimeLimit: 3000 },
    );
  });

  function tinyProgram(): string {
    return workshop.gcc('tiny', 'tiny.s', twoSections, '-nostdlib', '-no-pie');
  }

  /** Asks everything there is to ask; whatever is not an answer must be a MachineError. */
  function explore(bytes: Uint8Array): void {
    const elf = ElfFile.open('damaged', bytesReader(bytes));
    if (!elf.ok) {
      assert.ok(elf.error instanceof MachineError);
      return;
    }
    const file = elf.value;
    file.buildId();
    file.dynamic();
    file.debugLink();
    assert.equal(typeof file.interpreter, 'string');
    for (const section of file.sections.slice(0, 64)) {
      const contents = file.contents(section, () => new Uint8Array(0));
      if (contents.ok) assert.ok(contents.value.length <= bytes.length);
    }
    for (const segment of file.segments.slice(0, 64)) {
      for (const address of [
        segment.address,
        segment.address + segment.fileSize - 1,
        segment.address + segment.memorySize,
      ]) {
        const offset = file.toFileOffset(virtualAddress(address), 'any');
        if (offset.ok) assert.ok(offset.value >= 0 && offset.value < bytes.length);
        else assert.match(offset.error.code, /^E_/);
      }
      file.toVirtualAddress(fileOffset(segment.offset));
    }
  }
});

test('a large file is not read whole', { skip: lacking(nodePath) }, () => {
  const file = HostFile.open(nodePath);
  assert.ok(file.ok);
  let read = 0;
  const reader = {
    size: file.value.size,
    read: (offset: number, length: number) => {
      const bytes = file.value.read(offset, length);
      read += bytes.length;
      return bytes;
    },
    readInto: (target: Uint8Array, offset: number) => {
      const count = file.value.readInto(target, offset);
      read += count;
      return count;
    },
  };
  const elf = ElfFile.open(nodePath, reader);
  assert.ok(elf.ok);
  elf.value.buildId();
  elf.value.toFileOffset(elf.value.header.entry);
  assert.ok(read < 10_000, `${read} bytes of ${statSync(nodePath).size}`);
});

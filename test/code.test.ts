/** `insitu code` beside objdump -d, nm, addr2line and the kernel. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { disassemble } from '../src/apps/cli/disassembly.ts';
import { virtualAddress } from '../src/base/numbers.ts';
import { ElfFile } from '../src/debuginfo/elf/elf.ts';
import { HostFile } from '../src/kernel/host/file.ts';
import { inferredNames } from '../src/kernel/host/inferred.ts';
import { envoy, insitu, lacking, Running } from './insitu.ts';

/** A row of objdump -d, its text without what it says of addresses. */
interface Row {
  readonly address: number;
  readonly bytes: string;
  readonly text: string;
}

interface Span {
  readonly address: number;
  readonly size: number;
}

function objdump(file: string, from: number, to: number): ReadonlyMap<number, Row> {
  const words = [
    '-d',
    '-w',
    '-z',
    `--start-address=0x${from.toString(16)}`,
    `--stop-address=0x${to.toString(16)}`,
    file,
  ];
  const text = execFileSync('objdump', words, { encoding: 'latin1', maxBuffer: 1 << 30 });
  const rows = new Map<number, Row>();
  for (const [, address = '', bytes = '', instruction = ''] of text.matchAll(
    /^ *([0-9a-f]+):\t((?:[0-9a-f]{2} )+) *(?:\t(.*))?$/gm,
  )) {
    const at = Number.parseInt(address, 16);
    rows.set(at, { address: at, bytes: bytes.replaceAll(' ', ''), text: normal(instruction) });
  }
  return rows;
}

/**
 * One spelling for what both write alike. objdump 2.40 and iced differ in this:
 * - objdump has names in <> and, behind #, the address of data; iced has neither
 * - 0x in front of a branch's target; a displacement of 0, which is encoded or not; a scale of 1
 * - callq, jmpq, pushq … of a memory operand; objdump leaves out the q
 * - shifts by 1, and products of a register with itself: objdump names the count, or the register twice, as encoded
 * - the segments that string instructions always use
 * - repe and repne, which are repz and repnz
 * - prefixes that do nothing (data16, cs in padding)
 */
function normal(text: string): string {
  return text
    .replace(/ *#.*$/, '')
    .replace(/ *<.*>/, '')
    .replace(/\s+/g, ' ')
    .replace(/^(?:(?:data16|cs|ds|es|ss) )+/, '')
    .replace(/^((?:bnd |notrack )?(?:j\w+|call|loop\w*|jmp)(?:,p[nt])?) 0x/, '$1 ')
    .replace(/^((?:notrack )?(?:call|jmp|push|pop|ret))q\b/, '$1')
    .replace(/\b0x0\(/g, '(')
    .replace(/,1\)/g, ')')
    .replace(/^((?:sh|sa|ro|rc)[lr][bwlq]?) \$0x1,/, '$1 ')
    .replace(/^(rep(?:ne|e|z|nz)?) /, (_, name: string) => `${name.replace('repe', 'repz').replace('repne', 'repnz')} `)
    .replace(/^(imul[wlq]? \$0x[0-9a-f]+,(%\w+)),\2$/, '$1')
    .replace(
      /^((?:rep[nz]* )?(?:stos|scas|movs|cmps|lods|ins|outs)\w*) (.*)$/,
      (_, name, rest) => `${name} ${rest.replace(/%[ed]s:/g, '')}`,
    )
    .trim();
}

const functionsOf = (file: string, count: number, dynamic: boolean): Span[] => {
  const text = execFileSync('nm', ['-S', '--defined-only', ...(dynamic ? ['-D'] : []), file], {
    encoding: 'latin1',
    maxBuffer: 1 << 28,
  });
  const all = [...text.matchAll(/^([0-9a-f]{16}) ([0-9a-f]{16}) [TtWi] /gm)]
    .map(([, address = '', size = '']) => ({ address: Number.parseInt(address, 16), size: Number.parseInt(size, 16) }))
    .sort((a, b) => a.address - b.address)
    // Aliases, and symbols within others.
    .filter(({ address, size }, at, list) => size > 0 && address !== list[at - 1]?.address);
  return spread(all, count);
};

/** So many of them, in three runs of neighbours. */
function spread(all: readonly Span[], count: number): Span[] {
  if (all.length <= count) return [...all];
  const part = Math.floor(count / 3);
  return [1, 3, 5].flatMap((sixth) => {
    const start = Math.floor((all.length * sixth) / 6);
    return all.slice(start, start + part);
  });
}

interface Comparison {
  readonly functions: number;
  readonly instructions: number;
  readonly differences: readonly string[];
}

/** Compares functions, by address; those are near each other that stand beside each other. */
function compare(path: string, functions: readonly Span[]): Comparison {
  const file = HostFile.open(path);
  if (!file.ok) throw file.error;
  const elf = ElfFile.open(path, file.value);
  if (!elf.ok) throw elf.error;
  const differences: string[] = [];
  let instructions = 0;
  for (let run = 0; run < functions.length; ) {
    let end = run + 1;
    while (
      end < functions.length &&
      Math.abs((functions[end] as Span).address - (functions[end - 1] as Span).address) < 1 << 16
    )
      end++;
    const group = functions.slice(run, end);
    run = end;
    const ends = group.map((one) => one.address + one.size);
    const expected = objdump(path, (group[0] as Span).address, Math.max(...ends));
    for (const { address, size } of group) {
      const offset = elf.value.toFileOffset(virtualAddress(address));
      if (!offset.ok) throw offset.error;
      const found = disassemble(file.value.read(offset.value, size), address);
      for (const one of found) {
        const row = expected.get(one.address);
        const bytes = Buffer.from(one.bytes).toString('hex');
        const text = normal(`${one.mnemonic} ${one.operands}`);
        instructions++;
        if (row === undefined || row.bytes !== bytes || row.text !== text)
          differences.push(`${path} ${one.address.toString(16)}: ${bytes} ${text} | ${row?.bytes} ${row?.text}`);
      }
    }
  }
  file.value.close();
  return { functions: functions.length, instructions, differences };
}

/** A small program whose instructions call, jump, and refer to variables and texts. */
const fixture = `#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int counter = 7;
static const char greeting[] = "hello fixture";
__attribute__((noinline)) int twice(int value) { return value * 2 + counter; }
static inline __attribute__((always_inline)) int inlined(int value) {
  return value ^ 0x55;
}
__attribute__((noinline)) int work(int value) {
  puts(greeting);
  int result = twice(inlined(value));
  if (result > 1000) abort();
  return result;
}
int main(void) {
  int sum = 0;
  for (int i = 0; i < 3; i++) sum += work(i);
  fflush(stdout);
  pause();
  return sum;
}
`;

interface Listing {
  readonly name: string;
  readonly address: string;
  readonly size: number;
  readonly uprobe: { readonly probe: string; readonly address: string; readonly inside: boolean };
  readonly instructions: readonly {
    readonly address: string;
    readonly process?: string;
    readonly fileOffset: string;
    readonly offset: number;
    readonly bytes: string;
    readonly mnemonic: string;
    readonly operands: string;
    readonly reference?: string;
    readonly inMemory?: string;
    readonly source?: readonly { readonly file: string; readonly line: number; readonly function: string }[];
  }[];
}

async function listing(...words: string[]): Promise<Listing> {
  const { stdout, stderr, status } = await insitu(['code', ...words, '--json'], { timeout: 60_000 });
  assert.equal(status, 0, stderr);
  return (JSON.parse(stdout.split('\n')[0] ?? '') as { data: Listing }).data;
}

describe('code', { skip: lacking('nm', 'gcc') }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'insitu-code-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const program = join(folder, 'program');
  before(() => {
    writeFileSync(join(folder, 'program.c'), fixture);
    execFileSync('gcc', ['-O1', '-g', '-fcf-protection=none', '-o', program, join(folder, 'program.c')]);
  });
  const same = ({ functions, instructions, differences }: Comparison, atLeast: number): void => {
    assert.deepEqual(differences.slice(0, 10), []);
    assert.ok(
      functions >= atLeast && instructions >= functions,
      `${functions} functions, ${instructions} instructions`,
    );
  };

  describe('1,000 functions as objdump has them: addresses, bytes, lengths and text', () => {
    test('libc', () => {
      const path = realpathSync(`/lib/${process.arch === 'x64' ? 'x86_64' : 'aarch64'}-linux-gnu/libc.so.6`);
      same(compare(path, functionsOf(path, 300, true)), 300);
    });
    test('node', () => same(compare(process.execPath, functionsOf(process.execPath, 300, false)), 300));
    test('the fixture', () => {
      const functions = functionsOf(program, 300, false);
      same(compare(program, functions), 3);
    });
    test('the stripped Envoy, by inferred names', { skip: lacking('envoy') }, () => {
      const file = HostFile.open(envoy);
      if (!file.ok) throw file.error;
      const elf = ElfFile.open(envoy, file.value);
      if (!elf.ok) throw elf.error;
      const named = [...(inferredNames(elf.value) ?? [])].filter(({ size }) => size > 0);
      same(
        compare(
          envoy,
          spread(
            named.sort((a, b) => a.address - b.address),
            399,
          ),
        ),
        399,
      );
      file.value.close();
    });
  });

  test('a function: what it calls and refers to, and its source lines as addr2line has them', async () => {
    const { instructions, address, size } = await listing(program, 'work');
    const symbols = execFileSync('nm', ['-S', program], { encoding: 'latin1' });
    const [, start = '', length = ''] = /^([0-9a-f]+) ([0-9a-f]+) T work$/m.exec(symbols) ?? [];
    assert.deepEqual([Number(address), size], [Number.parseInt(start, 16), Number.parseInt(length, 16)]);
    const references = instructions.map(({ mnemonic, reference }) =>
      reference === undefined ? '' : `${mnemonic} ${reference}`,
    );
    assert.ok(references.includes('lea greeting'), references.join());
    assert.ok(references.includes('call puts@plt'), references.join());
    assert.ok(references.includes('call twice'), references.join());
    assert.ok(references.includes('call abort@plt'), references.join());
    assert.equal(
      instructions.reduce((sum, { bytes }) => sum + bytes.length / 2, 0),
      size,
    );
    for (const { address: at, source } of instructions) {
      const lines = execFileSync('addr2line', ['-i', '-e', program, at], { encoding: 'latin1' }).trim().split('\n');
      const numbers = lines.map(
        (line) =>
          line
            .replace(/ \(discriminator \d+\)$/, '')
            .split(':')
            .slice(-1)[0],
      );
      assert.deepEqual(
        source?.map(({ line }) => String(line)),
        numbers,
        at,
      );
    }
    assert.ok(instructions.some(({ source }) => source?.[0]?.function === 'inlined'));
    const [variable] = (await listing(program, 'twice')).instructions.filter(
      ({ reference }) => reference === 'counter',
    );
    assert.match(variable?.operands ?? '', /\(%rip\)/);
  });

  test('the text has the same, with the source beside it', async () => {
    const { stdout } = await insitu(['code', program, 'work']);
    assert.match(
      stdout,
      /^work: \d+ instructions, \d+ bytes, of \S+\/program\n {2}uprobe:\S+\/program:work sits on 0x[0-9a-f]+, file offset 0x[0-9a-f]+\n/,
    );
    assert.match(stdout, /^ {2}\S+\/program\.c:11 {4}puts\(greeting\);$/m);
    assert.match(stdout, /^ {2}\S+program\.c:8 in inlined < \S+program\.c:12 {4}return value \^ 0x55;$/m);
    assert.match(stdout, /^> +[0-9a-f]+ +[0-9a-f]+ +\+0 /m);
    assert.match(stdout, /call +0x[0-9a-f]+ {2}<puts@plt>$/m);
    assert.match(stdout, /lea +0x[0-9a-f]+\(%rip\),%rdi {2}# [0-9a-f]+ <greeting>$/m);
  });

  test('a uprobe sits where it says, and the process shows it', { skip: lacking('tracefs') }, async () => {
    const child = spawn(program, { stdio: ['ignore', 'pipe', 'ignore'] });
    try {
      await new Promise((resolve) => child.stdout.once('data', resolve));
      const pid = String(child.pid);
      const before = await listing(pid, 'twice');
      const base = /^([0-9a-f]+)-/.exec(readFileSync(`/proc/${pid}/maps`, 'latin1'))?.[1] ?? '';
      for (const { address, process: place } of before.instructions)
        assert.equal(Number(place), Number.parseInt(base, 16) + Number(address));
      assert.ok(before.instructions.every(({ inMemory }) => inMemory === undefined));
      const [, second] = before.instructions;
      assert.ok(second);
      const tracer = new Running(['-e', `uprobe:${program}:twice+${second.offset} { printf("here\\n"); }`, '-p', pid]);
      await tracer.attached();
      const during = await listing(pid, `twice+${second.offset}`);
      assert.deepEqual(
        during.instructions.filter(({ inMemory }) => inMemory !== undefined).map(({ offset }) => offset),
        [second.offset],
      );
      // int3 in place of the first byte (arch/x86/include/asm/uprobes.h).
      assert.equal(during.instructions[1]?.inMemory, `cc${second.bytes.slice(2)}`);
      assert.deepEqual([during.uprobe.address, during.uprobe.inside], [second.address, false]);
      await tracer.interrupt();
      const inProcess = await insitu(['memory', pid, second.process ?? '']);
      assert.match(inProcess.stdout, new RegExp(`^instruction: +${second.mnemonic} `, 'm'), inProcess.stderr);
      assert.equal((await listing(pid, second.process ?? '')).uprobe.address, second.address);
    } finally {
      child.kill('SIGKILL');
    }
  });

  test('an offset inside of an instruction says so', async () => {
    const { instructions } = await listing(program, 'work');
    const long = instructions.find(({ bytes }) => bytes.length > 2);
    assert.ok(long);
    const { uprobe } = await listing(program, `work+${long.offset + 1}`);
    assert.deepEqual([uprobe.address, uprobe.inside], [long.address, true]);
    const { stdout } = await insitu(['code', program, `work+${long.offset + 1}`]);
    assert.match(
      stdout,
      new RegExp(`\\+${long.offset + 1} is inside the instruction at ${long.address}.*uprobe:\\S+:work`),
    );
  });

  test('what cannot be listed', async () => {
    const arm = join(folder, 'arm');
    const bytes = readFileSync(program);
    bytes.writeUInt16LE(183, 18); // e_machine: EM_AARCH64
    writeFileSync(arm, bytes);
    for (const [words, complaint] of [
      [['code', program, 'wrk'], /has no function wrk\nHINT: did you mean work/],
      [['code', program], /code of which function\?/],
      [['code', program, 'work', 'main'], /code takes one function/],
      [['code', program, '0x1'], /0x1/],
      [['code', program, 'work+5000'], /work has \d+ bytes: \+5000 is behind its end/],
      [['code', '4194303', 'main'], /there is no process 4194303/],
      [['code', '/there/is/none', 'main'], /\/there\/is\/none/],
      [['code', arm, 'work'], /is arm64: insitu code lists x86-64 instructions only/],
      [['code', join(folder, 'program.c'), 'work'], /not an ELF file/],
    ] as const) {
      const { status, stderr, stdout } = await insitu([...words]);
      assert.equal(status, 1, `${words.join(' ')}: ${stdout}`);
      assert.match(stderr, complaint);
    }
  });
});

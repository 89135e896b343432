/** Tables of real libraries beside what readelf makes of the same call frame information. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { lacking as lackingTools, Workshop } from '../../../test/binaries.ts';
import { virtualAddress } from '../../base/numbers.ts';
import { bytesReader } from '../../bytes/file.ts';
import { ElfFile } from '../../debuginfo/elf/elf.ts';
import { HostFile } from '../../kernel/host/file.ts';
import { RuleKind, Saved } from '../../program/unwind.ts';
import { type Rule, readRule } from './rules.ts';
import { buildTable, decodeTable, encodeTable, renumbered, ruleAt, type UnwindTable } from './table.ts';

const libc = '/lib/x86_64-linux-gnu/libc.so.6';
const lacking = (path: string): string | false =>
  !existsSync(path) ? `needs ${path}` : spawnSync('readelf', ['-v']).error ? 'needs readelf (binutils)' : false;

function open(path: string): ElfFile {
  const file = HostFile.open(path);
  assert.ok(file.ok);
  const elf = ElfFile.open(path, file.value);
  assert.ok(elf.ok);
  return elf.value;
}

function tableOf(elf: ElfFile): UnwindTable {
  const table = buildTable(elf);
  assert.ok(table.ok);
  return table.value;
}

interface Row {
  readonly address: number;
  readonly columns: Readonly<Record<string, string>>;
}

/** readelf's table of rows, `LOC CFA rbx rbp … ra`, with the end of each function. */
function readelfRows(path: string): { readonly rows: Row[]; readonly end: number }[] {
  const { stdout } = spawnSync('readelf', ['-wF', path], { encoding: 'utf8', maxBuffer: 1 << 29 });
  const functions: { rows: Row[]; end: number }[] = [];
  let names: string[] = [];
  for (const line of stdout.split('\n')) {
    const head = /FDE .*pc=([0-9a-f]+)\.\.([0-9a-f]+)/.exec(line);
    if (head !== null) functions.push({ rows: [], end: Number.parseInt(head[2] as string, 16) });
    else if (/ CIE /.test(line)) functions.push({ rows: [], end: 0 });
    else if (line.startsWith('   LOC')) names = line.trim().split(/\s+/).slice(1);
    else if (/^[0-9a-f]{16} /.test(line)) {
      // A register in another one is written as `r10 (r10)`.
      const [address = '', ...values] = line
        .replace(/r\d+ \((\w+)\)/g, 'r:$1')
        .trim()
        .split(/\s+/);
      const columns = Object.fromEntries(names.map((name, index) => [name, values[index] ?? '']));
      functions.at(-1)?.rows.push({ address: Number.parseInt(address, 16), columns });
    }
  }
  return functions.filter(({ end, rows }) => end > 0 && rows.length > 0);
}

const registers = [
  'rax',
  'rdx',
  'rcx',
  'rbx',
  'rsi',
  'rdi',
  'rbp',
  'rsp',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
];
const offsetText = (offset: number): string => (offset < 0 ? `c${offset}` : `c+${offset}`);

/** What readelf prints for a rule, as far as it prints what a rule holds. */
function check(rule: Rule, { columns, address }: Row): string | undefined {
  const where = `at 0x${address.toString(16)}`;
  if (columns['ra'] === 'u') return rule.kind === RuleKind.end ? undefined : `${where}: not the end`;
  const cfa = columns['CFA'] ?? '';
  if (cfa === 'exp' || columns['ra']?.startsWith('r')) return undefined;
  if (rule.kind === RuleKind.unsupported) return 'unsupported';
  if (rule.kind !== RuleKind.register) return `${where}: kind ${rule.kind} for ${cfa}`;
  const ours = `${registers[rule.base]}+${rule.offset}`;
  if (ours !== cfa) return `${where}: ${ours}, readelf ${cfa}`;
  for (const [name, saved, offset] of [
    ['rbp', rule.rbpSaved, rule.rbpOffset],
    ['rbx', rule.rbxSaved, rule.rbxOffset],
  ] as const) {
    const theirs = columns[name] ?? 'u';
    if (theirs === 'exp') continue;
    const text = saved === Saved.cfa ? offsetText(offset) : 'u';
    if (text !== theirs && !(saved === Saved.same && theirs === 's'))
      return `${where}: ${name} ${text}, readelf ${theirs}`;
  }
  return undefined;
}

for (const path of [libc, process.execPath]) {
  test(`rules of ${path} are those that readelf reads`, { skip: lacking(path) }, () => {
    const elf = open(path);
    const { rules, blocks } = tableOf(elf);
    let rows = 0;
    let unsupported = 0;
    for (const { rows: own, end } of readelfRows(path)) {
      for (const [index, row] of own.entries()) {
        const last = (own[index + 1]?.address ?? end) - 1;
        if (last < row.address) continue;
        for (const address of new Set([row.address, last])) {
          const place = elf.toFileOffset(virtualAddress(address));
          if (!place.ok) continue;
          const rule = readRule(rules, ruleAt(blocks, place.value));
          if (rule.kind === RuleKind.signal) continue;
          const problem = check(rule, row);
          if (problem === 'unsupported') unsupported++;
          else assert.equal(problem, undefined);
          rows++;
        }
      }
    }
    assert.ok(rows > 20_000, `${rows} rows`);
    assert.ok(unsupported < rows / 1000, `${unsupported} of ${rows} rows are not supported`);
  });
}

test("V8's builtins, which have no call frame information, are known to link their frames", {
  skip: lacking(process.execPath),
}, (context) => {
  const { stdout } = spawnSync('nm', ['-n', process.execPath], { encoding: 'utf8', maxBuffer: 1 << 29 });
  const addresses = [...stdout.matchAll(/^([0-9a-f]+) [tT] Builtins_(?:\w+)$/gm)].map(([, address = '']) =>
    Number.parseInt(address, 16),
  );
  if (addresses.length === 0) {
    context.skip('this Node has no symbols');
    return;
  }
  const elf = open(process.execPath);
  const { rules, blocks } = tableOf(elf);
  for (const address of addresses) {
    const place = elf.toFileOffset(virtualAddress(address));
    assert.ok(place.ok);
    assert.equal(readRule(rules, ruleAt(blocks, place.value)).kind, RuleKind.linked, address.toString(16));
  }
});

test('a table comes back from its bytes, and damaged bytes give none', { skip: lacking(libc) }, () => {
  const table = tableOf(open(libc));
  const bytes = encodeTable(table);
  const back = decodeTable(bytes);
  assert.deepEqual(back?.rules, table.rules);
  assert.deepEqual(back?.blocks, table.blocks);
  assert.deepEqual(back?.counts, table.counts);
  const damaged = bytes.slice();
  (damaged[damaged.length >> 1] as number) ^= 1;
  assert.equal(decodeTable(damaged), undefined);
  assert.equal(decodeTable(bytes.subarray(0, bytes.length - 4)), undefined);
  assert.equal(decodeTable(new Uint8Array(40)), undefined);
});

test('rules get other numbers, rows stay where they are', { skip: lacking(libc) }, () => {
  const { rules, blocks } = tableOf(open(libc));
  const numbers = Uint16Array.from({ length: rules.length / 4 }, (_, index) => (index === 0 ? 0 : index + 100));
  const other = renumbered(blocks, numbers);
  for (let offset = 0; offset < 0x180000; offset += 37) {
    assert.equal(ruleAt(other, offset), numbers[ruleAt(blocks, offset)]);
  }
});

test('a file whose frames are garbage gives a table, not an exception', { skip: lacking(libc) }, () => {
  const original = open(libc);
  const section = original.section('.eh_frame');
  assert.ok(section);
  const bytes = original.reader.read(0, original.reader.size).slice();
  let state = 1;
  for (let round = 0; round < 20; round++) {
    const copy = bytes.slice();
    for (let i = 0; i < 2000; i++) {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      copy[section.offset + (state % section.size)] = state >>> 24;
    }
    const elf = ElfFile.open('damaged', bytesReader(copy));
    assert.ok(elf.ok);
    assert.ok(buildTable(elf.value).ok);
  }
});

test('code that the file does not hold makes no rows, and takes no memory', { skip: lackingTools('gcc') }, () => {
  using workshop = new Workshop();
  const path = workshop.gcc('far', 'far.c', 'int main(void) { return 3; }', '-O1');
  const bytes = new Uint8Array(readFileSync(path));
  const view = new DataView(bytes.buffer);
  const headers = Number(view.getBigUint64(32, true));
  for (let at = headers; at < headers + 56 * view.getUint16(56, true); at += 56) {
    // PT_LOAD with PF_X: its offset in the file becomes one of two gigabytes.
    if (view.getUint32(at, true) === 1 && (view.getUint32(at + 4, true) & 1) !== 0) {
      view.setBigUint64(at + 8, 0x7fff_0000n, true);
    }
  }
  const elf = ElfFile.open('far', bytesReader(bytes));
  assert.ok(elf.ok);
  const table = buildTable(elf.value);
  assert.ok(table.ok);
  assert.equal(table.value.counts.rows, 0);
  assert.ok(table.value.blocks.length < 1 << 20, `${table.value.blocks.length} words`);
});

/**
 * node dist/test/unwind/save.js NAME STOP COUNT COMMAND…
 * Runs a program under gdb until `STOP` (`syscall umask`, `break f`) has come COUNT times, and saves
 * its last stack as test/unwind/corpus/NAME.json: only the words and rows that the unwinder
 * meets, when its frames are those that gdb sees.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ElfFile } from '../../src/debuginfo/elf/elf.ts';
import { parseMaps } from '../../src/debuginfo/text/maps.ts';
import { HostFile } from '../../src/kernel/host/file.ts';
import { processFiles } from '../../src/kernel/host/processfiles.ts';
import { buildTable, rowsBetween, type UnwindTable } from '../../src/symbolize/unwind/table.ts';
import { type SavedMapping, walkStack } from '../../src/symbolize/unwind/walk.ts';
import { Debugged } from './gdb.ts';
import { corpus, type StackFile } from './saved.ts';

interface Dump {
  readonly registers: readonly string[];
  readonly memory: readonly { readonly address: string; readonly bytes: string }[];
  readonly maps: string;
  readonly frames: readonly string[];
}

/** So much code around a frame's place is saved. */
const around = 64;

const [name = '', stop = '', count = '1', ...command] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'insitu-save-'));
const save = join(folder, 'stack');
const debugged = new Debugged(command, { stop, count: Number(count), environment: { SAVE: save } });
await debugged.pid();
debugged.go();
await debugged.stacks();
const last = Number(count) > 1 ? `${save}.${Number(count) - 1}` : save;
const dump = JSON.parse(readFileSync(last, 'utf8')) as Dump;
rmSync(folder, { recursive: true });

const tables = new Map<string, UnwindTable | undefined>();
function tableOf(path: string): UnwindTable | undefined {
  if (tables.has(path)) return tables.get(path);
  const reader =
    path === '[vdso]'
      ? processFiles.open(process.pid, { path } as never)
      : ((file) => (file.ok ? file.value : undefined))(HostFile.open(path));
  const elf = reader === undefined ? undefined : ElfFile.open(path, reader);
  const table = elf?.ok ? buildTable(elf.value) : undefined;
  tables.set(path, table?.ok ? table.value : undefined);
  return tables.get(path);
}

const memory = dump.memory.map(({ address, bytes }) => ({
  address: BigInt(`0x${address}`),
  bytes: Buffer.from(bytes, 'hex'),
}));
const met = new Map<bigint, bigint>();
const code = parseMaps(dump.maps).filter((one) => one.permissions[2] === 'x' && one.path !== '[vsyscall]');
const mappings = code.map((one): SavedMapping => {
  const file = one.inode !== '0' || one.path === '[vdso]' ? tableOf(one.path) : 'jit';
  return { start: BigInt(one.start), end: BigInt(one.end), offset: one.offset, table: file };
});
const walked = walkStack({
  registers: dump.registers.map((value) => BigInt(`0x${value}`)),
  read(address) {
    for (const { address: start, bytes } of memory) {
      const at = Number(address - start);
      if (at < 0 || at + 8 > bytes.length) continue;
      met.set(address, bytes.readBigUInt64LE(at));
      return bytes.readBigUInt64LE(at);
    }
    return undefined;
  },
  mappings,
});
const frames = walked.frames.map((pc) => pc.toString(16));
const known = dump.frames.indexOf('…') < 0 ? dump.frames.length : dump.frames.indexOf('…');
const expected = dump.frames.slice(0, known);
while (expected.at(-1) === '0') expected.pop();
if (expected.join() !== frames.slice(0, known === dump.frames.length ? frames.length : known).join()) {
  console.error(`gdb    ${expected.join(' ')}\ninsitu ${frames.join(' ')} (${walked.end})`);
  process.exit(1);
}

const used = [...new Set(walked.frames.map((pc) => mappings.find((one) => pc >= one.start && pc < one.end)))];
const files = new Map<UnwindTable, { name: string; rows: StackFile['files'][number]['rows'][number][] }>();
for (const [index, mapping] of mappings.entries()) {
  const { table } = mapping;
  if (table === undefined || table === 'jit' || !used.includes(mapping)) continue;
  const places = walked.frames
    .filter((pc) => pc >= mapping.start && pc < mapping.end)
    .map((pc) => Number(pc - mapping.start) + mapping.offset)
    .sort((x, y) => x - y);
  const rows: StackFile['files'][number]['rows'][number][] = [];
  for (let first = 0; first < places.length; ) {
    let next = first + 1;
    while (next < places.length && (places[next] as number) - (places[next - 1] as number) <= 2 * around) next++;
    const end = (places[next - 1] as number) + around;
    // What lies between the places that were met stays without a rule.
    rows.push(...rowsBetween(table, (places[first] as number) - around, end), [end, 0, 0, 0, 0]);
    first = next;
  }
  files.set(table, { name: code[index]?.path.split('/').at(-1) ?? '', rows });
}
const order = [...files.keys()];
const saved: StackFile = {
  about: command.map((word) => word.split('/').at(-1)).join(' '),
  registers: dump.registers,
  words: [...met].map(([address, value]) => [address.toString(16), value.toString(16)]),
  mappings: mappings.flatMap((one) =>
    used.includes(one)
      ? [
          [
            one.start.toString(16),
            one.end.toString(16),
            one.offset,
            one.table === 'jit' ? 'jit' : order.indexOf(one.table as UnwindTable),
          ],
        ]
      : [],
  ) as StackFile['mappings'],
  files: [...files.values()],
  frames: dump.frames,
};
writeFileSync(join(corpus, `${name}.json`), `${JSON.stringify(saved)}\n`);
console.log(`${name}: ${frames.length} frames, ${walked.end}, ${saved.words.length} words`);

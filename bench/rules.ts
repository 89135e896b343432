/**
 * node dist/bench/rules.js FILE…: how many rows and functions of each file's call frame
 * information have no rule in the unwinder's tables (src/symbolize/unwind), and which
 * registers rules start from that calls do not keep.
 */
import { ElfFile } from '../src/debuginfo/elf/elf.ts';
import { HostFile } from '../src/kernel/host/file.ts';
import { inflate } from '../src/kernel/host/inflate.ts';
import { RuleKind } from '../src/program/unwind.ts';
import { readRule } from '../src/symbolize/unwind/rules.ts';
import { buildTable } from '../src/symbolize/unwind/table.ts';

const kept = [3, 6, 7]; // rbx, rbp, rsp
for (const path of process.argv.slice(2)) {
  const file = HostFile.open(path);
  if (!file.ok) throw file.error;
  const elf = ElfFile.open(path, file.value);
  const table = elf.ok ? buildTable(elf.value, inflate) : elf;
  if (!table.ok) throw table.error;
  const { blocks, rules, counts } = table.value;
  const uses = new Map<number, number>();
  for (let word = (blocks[0] ?? 0) * 4096; word < blocks.length; word++) {
    const rule = (blocks[word] as number) >>> 16;
    uses.set(rule, (uses.get(rule) ?? 0) + 1);
  }
  let unsupported = 0;
  const volatileBases = new Map<string, number>();
  for (const [number, count] of uses) {
    const rule = readRule(rules, number);
    if (rule.kind === RuleKind.unsupported) unsupported += count;
    const based = rule.kind === RuleKind.register || rule.kind === RuleKind.deref;
    if (based && !kept.includes(rule.base)) {
      const name = `r${rule.base}${rule.kind === RuleKind.deref ? ' (deref)' : ''}`;
      volatileBases.set(name, (volatileBases.get(name) ?? 0) + count);
    }
  }
  const share = (count: number): string => `${((100 * count) / counts.rows).toFixed(4)} %`;
  const bases = [...volatileBases].map(([name, count]) => `${name}: ${count}`).join(', ');
  console.log(
    `${path}: ${counts.functions} functions, ${counts.rows} rows; without a rule ${unsupported} (${share(unsupported)})` +
      `${bases === '' ? '' : `; known in the innermost frame only, by DWARF number: ${bases}`}`,
  );
}

/** The `-d bpf` listing of a compiled program: instructions in the verifier's notation, below the script lines they came from. */
import { disassemble } from '../../bpf/disassemble.ts';
import type { Source } from '../../diag/source.ts';
import type { BpfProgram, Program } from '../../program/program.ts';

export function disassembleProgram(bpf: BpfProgram, program: Program, source: Source): string {
  const names = new Map(
    bpf.relocations.map((relocation) => {
      if (relocation.kind === 'kernel_variable' || relocation.kind === 'kfunc')
        return [relocation.insn, relocation.name] as const;
      const map = program.maps[relocation.map];
      const name = map === undefined ? `map ${relocation.map}` : map.role === 'user' ? `@${map.name}` : map.name;
      return [relocation.insn, relocation.kind === 'map_value' ? `${name}+${relocation.offset}` : name] as const;
    }),
  );
  const lines = [`${bpf.name} (${bpf.type.toLowerCase()}, ${bpf.code.length / 8} instructions)`];
  let shown = '';
  for (const line of disassemble(bpf.code, { nameOf: (slot) => names.get(slot) })) {
    const start = bpf.spans[2 * line.slot] ?? -1;
    if (start >= 0) {
      const { name, line: row } = source.position(start);
      const at = `${name}:${row}`;
      if (at !== shown) lines.push(`; ${at}: ${source.lineAt(start).trim()}`);
      shown = at;
    }
    lines.push(`${String(line.slot).padStart(5)}: ${line.text}`);
  }
  return `${lines.join('\n')}\n`;
}

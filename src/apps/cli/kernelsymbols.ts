/** `insitu symbols kernel [REGEX]`: the names of kernel frames, by /proc/kallsyms: the kernel's own, its modules', BPF programs'. */
import { readFileSync } from 'node:fs';
import { release, version } from 'node:os';
import { Kallsyms } from '../../debuginfo/text/kallsyms.ts';
import type { SymbolsOptions } from './options.ts';
import type { Output } from './output.ts';
import { type SymbolRow, writeRows } from './symbolrows.ts';

const path = '/proc/kallsyms';

/** Writes what is asked for; gives the number of functions shown. */
export function kernelSymbols(output: Output, regex: RegExp | undefined, options: SymbolsOptions): number {
  const kallsyms = new Kallsyms(readFileSync(path));
  const functions = [...kallsyms.functions()];
  const counts = new Map<string, number>();
  for (const { module } of functions) if (module !== undefined) counts.set(module, (counts.get(module) ?? 0) + 1);
  const about = {
    release: release(),
    version: version(),
    functions: functions.length,
    modules: Object.fromEntries(counts),
    hidden: kallsyms.hidden,
  };
  if (regex === undefined) {
    if (options.format === 'json') output.write(`${JSON.stringify({ type: 'kernel', data: about })}\n`);
    else {
      const modules = [...counts].map(([name, count]) => `${name} (${count})`);
      const lines: [string, string][] = [
        ['release', `${about.release}, ${about.version}`],
        ['functions', `${about.functions} in ${path}`],
        ['modules', modules.length === 0 ? 'none with names' : modules.join(', ')],
        ['addresses', about.hidden ? 'hidden (sysctl kernel.kptr_restrict): kernel frames stay numbers' : 'shown'],
      ];
      output.write(`kernel\n${lines.map(([key, value]) => `  ${`${key}:`.padEnd(16)}${value}\n`).join('')}`);
    }
  }
  if (options.explain) {
    const detail = about.hidden
      ? `${about.functions} functions, but no addresses (sysctl kernel.kptr_restrict)`
      : `${about.functions} functions, ${counts.size} modules and BPF programs`;
    if (options.format === 'json') {
      const data = { file: 'kernel', layer: 'kallsyms', found: !about.hidden, detail, attempts: [{ path }] };
      output.write(`${JSON.stringify({ type: 'layer', data })}\n`);
    } else
      output.write(`  ${'kallsyms'.padEnd(16)}${about.hidden ? 'no ' : 'yes'}  ${detail}\n${''.padEnd(23)}${path}\n`);
  }
  if (regex === undefined) return functions.length;
  const rows = functions
    .filter(({ name }) => regex.test(name))
    .map(
      ({ name, module, address }): SymbolRow => ({
        name,
        mangled: '',
        address,
        offset: undefined,
        size: undefined,
        section: module === undefined ? 'vmlinux' : module,
        origin: 'kallsyms',
        source: undefined,
        inferred: undefined,
      }),
    );
  writeRows(output, 'kernel', rows, options.format, undefined);
  return rows.length;
}

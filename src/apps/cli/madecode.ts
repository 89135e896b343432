/** Code that a process made at run time, by what its compiler writes about it: a perf map, a jitdump file. */
import type { Mapping } from '../../debuginfo/text/maps.ts';
import { processFiles } from '../../kernel/host/processfiles.ts';
import { JitDump } from '../../symbolize/symbols/jitdump.ts';
import type { LayerReport } from '../../symbolize/symbols/layers.ts';
import { type MadeFunction, PerfMap } from '../../symbolize/symbols/perfmap.ts';
import type { SymbolRow } from './symbolrows.ts';

export interface MadeCode {
  readonly reports: readonly LayerReport[];
  /** Rows of the functions that the expression matches. */
  rows(regex: RegExp): SymbolRow[];
}

const counted = (count: number): string => `${count} ${count === 1 ? 'function' : 'functions'}`;

/** Reads what there is for a process with these mappings. */
export function madeCode(pid: number, mappings: readonly Mapping[]): MadeCode {
  const found: { readonly origin: string; readonly functions: readonly MadeFunction[] }[] = [];
  const reports: LayerReport[] = [];
  const map = processFiles.perfMap(pid);
  if (map !== undefined) {
    const names = new PerfMap();
    names.update(map);
    found.push({ origin: 'perf map', functions: [...names.functions()] });
  }
  const mapPath = `/tmp/perf-${pid}.map`;
  reports.push({
    layer: 'perf map',
    found: map !== undefined,
    detail: map === undefined ? 'the process writes none' : counted(found.at(-1)?.functions.length ?? 0),
    attempts: [
      { path: mapPath, problem: map === undefined ? 'no such file, in the mounts of the process' : undefined },
    ],
  });
  map?.close?.();

  const dumped = mappings.find(({ path }) => /\/jit-\d+\.dump$/.test(path));
  const dump = dumped === undefined ? undefined : processFiles.open(pid, dumped);
  if (dump !== undefined) {
    const names = new JitDump();
    names.update(dump);
    found.push({ origin: 'jitdump', functions: [...names.functions()] });
  }
  reports.push({
    layer: 'jitdump',
    found: dump !== undefined,
    detail:
      dump !== undefined
        ? counted(found.at(-1)?.functions.length ?? 0)
        : dumped === undefined
          ? 'the process has mapped none'
          : "it can't be opened",
    attempts:
      dumped === undefined ? [] : [{ path: dumped.path, problem: dump === undefined ? "can't be opened" : undefined }],
  });
  dump?.close?.();

  return {
    reports,
    rows: (regex) =>
      found.flatMap(({ origin, functions }) =>
        functions
          .filter(({ name }) => regex.test(name))
          .map(({ name, start, size }) => ({
            name,
            mangled: '',
            address: start,
            offset: undefined,
            size,
            section: '[jit]',
            origin,
            source: undefined,
            inferred: undefined,
          })),
      ),
  };
}

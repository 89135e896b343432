/** `insitu types FILE [TYPE]`: a type of a program as its source declares it, with offsets, sizes and holes; without one, all. */
import { setFlagsFromString } from 'node:v8';
import { MachineError } from '../../base/errors.ts';
import { nearest } from '../../base/near.ts';
import { printType, splitTypeName } from '../../debuginfo/dwarf/layout.ts';
import type { NameKind } from '../../debuginfo/dwarf/nameindex.ts';
import type { DwarfTypes } from '../../debuginfo/dwarf/program.ts';
import { openTypes } from '../../kernel/host/programtypes.ts';
import { Glob } from '../../symbolize/symbols/glob.ts';
import { complain } from './failure.ts';
import { debugFilesOf, type TypesOptions } from './options.ts';
import { Output } from './output.ts';

const kinds: Readonly<Record<string, readonly NameKind[]>> = {
  struct: ['struct'],
  class: ['struct'],
  union: ['union'],
  enum: ['enum'],
  typedef: ['typedef'],
};
const all: readonly NameKind[] = ['struct', 'union', 'enum', 'typedef'];

/** Prints what is asked; gives the exit status. */
export function types(file: string, wanted: string | undefined, options: TypesOptions): number {
  // V8 would let its young generation grow to 48 MB: a third of what this takes, and no faster.
  setFlagsFromString('--semi-space-growth-factor=1');
  const { types: program } = openTypes(file, debugFilesOf(options), (path, note) => {
    if (options.verbose) complain(`${path}: ${note}\n`);
  });
  const output = new Output(options.output, 'full');
  const { keyword, name } = splitTypeName(wanted ?? '*');
  const among = keyword === undefined ? all : (kinds[keyword] ?? all);
  let shown = 0;
  if (/[*?]/.test(name)) {
    const glob = new Glob(name);
    for (const kind of wanted === undefined ? (['struct', 'union'] as const) : among) {
      for (const entry of program.entries(kind)) {
        if (name !== '*' && !glob.matches(program.reader.scopes.qualified(entry))) continue;
        output.write(`${printType(entry, program.reader).join('\n')}\n`);
        shown++;
      }
    }
  } else {
    for (const kind of among) {
      const entry = program.entry(kind, name);
      if (entry === undefined) continue;
      output.write(`${printType(entry, program.reader).join('\n')}\n`);
      shown++;
      break;
    }
  }
  output.close();
  if (shown > 0) return 0;
  throw notFound(program, file, name, among);
}

function notFound(program: DwarfTypes, file: string, name: string, among: readonly NameKind[]): MachineError {
  const names = new Set<string>();
  for (const kind of among)
    for (const entry of program.entries(kind)) names.add(program.reader.scopes.qualified(entry));
  // A name without its namespaces is what people remember.
  const within = [...names].filter((one) => one.endsWith(`::${name}`)).slice(0, 3);
  const near = within.length > 0 ? within : nearest(name, names, 3);
  return new MachineError(`${file} has no type '${name}'`, {
    code: 'ENOENT',
    hints: near.length > 0 ? [`did you mean ${near.map((one) => `'${one}'`).join(' or ')}?`] : [],
  });
}

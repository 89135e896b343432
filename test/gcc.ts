/** What gcc says of the same text: sizes, offsets and bit positions, from a program that it compiles. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CompositeType, Field, Type } from '../src/types/model.ts';

const version = spawnSync('gcc', ['--version'], { encoding: 'utf8' });
/** Why gcc cannot be asked, or false. */
export const noCompiler: string | false =
  version.error !== undefined ? 'gcc is not there' : process.arch !== 'x64' ? 'gcc here has another ABI' : false;

/** Compiles and runs; its standard output. */
export function runC(source: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'insitu-c-'));
  try {
    writeFileSync(join(folder, 'a.c'), source);
    const build = spawnSync('gcc', ['-w', '-O0', '-std=gnu11', '-o', join(folder, 'a'), join(folder, 'a.c')], {
      encoding: 'utf8',
    });
    if (build.status !== 0) throw new Error(`gcc: ${build.stderr.slice(0, 3000)}`);
    const run = spawnSync(join(folder, 'a'), { encoding: 'utf8', maxBuffer: 1 << 26 });
    if (run.status !== 0) throw new Error(`the program ended with ${run.status ?? run.signal}`);
    return run.stdout;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export const runPreprocessor = (source: string): string =>
  spawnSync('gcc', ['-E', '-P', '-std=gnu11', '-'], { input: source, encoding: 'utf8' }).stdout;

const isBitable = (type: Type): boolean => type.kind === 'int' || type.kind === 'bool' || type.kind === 'enum';

/** Every member that C can name, with those of anonymous structs and unions. */
function members(
  type: CompositeType,
  offset = 0,
): { readonly name: string; readonly field: Field; readonly offset: number }[] {
  return type.fields().flatMap((field) => {
    if (field.name !== '') return [{ name: field.name, field, offset: offset + field.offset }];
    return field.type.kind === 'struct' || field.type.kind === 'union'
      ? members(field.type, offset + field.offset)
      : [];
  });
}

/**
 * The layout of a type as lines of text: its size, then each member's first bit, bits
 * and, for whole members, size.
 */
export function ourLayout(spelled: string, type: CompositeType): string[] {
  const lines = [`${spelled} ${type.size}`];
  for (const { name, field, offset } of members(type)) {
    const bits = field.bits;
    const start = offset * 8 + (bits?.offset ?? 0);
    lines.push(`${spelled} ${name} ${start} ${bits === undefined ? `whole` : bits.width}`);
  }
  return lines;
}

/** C statements that print the same lines for a type and those members. */
export function theirLayout(spelled: string, type: CompositeType): string {
  const out = [`printf("${spelled} %zu\\n", sizeof(${spelled}));`];
  for (const { name, field } of members(type)) {
    if (field.bits === undefined) {
      out.push(`printf("${spelled} ${name} %zu whole\\n", 8 * __builtin_offsetof(${spelled}, ${name}));`);
    } else if (isBitable(field.type)) {
      // A bit-field has no address: all its bits are set, and looked for.
      out.push(
        `{ ${spelled} v; memset(&v, 0, sizeof v); v.${name} = ~(v.${name}); if (!v.${name}) v.${name} = 1; ` +
          `bits("${spelled} ${name}", (unsigned char *)&v, sizeof v); }`,
      );
    }
  }
  return out.join('\n');
}

export const LAYOUT_PROLOGUE = `
static void bits(const char *name, unsigned char *at, unsigned long size) {
  long first = -1, count = 0;
  for (unsigned long i = 0; i < size * 8; i++) if (at[i / 8] >> (i % 8) & 1) { if (first < 0) first = i; count++; }
  printf("%s %ld %ld\\n", name, first, count);
}
`;

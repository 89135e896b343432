/**
 * The instructions of a function with what can be told of each: the name of what it calls
 * or jumps to, what lies at the data that it uses, and the source line it came from.
 */
import type { SourcePlace } from '../../debuginfo/dwarf/index.ts';

/** One instruction as it is decoded; addresses are the file's virtual ones. */
export interface Instruction {
  readonly address: number;
  readonly bytes: Uint8Array;
  /** As the GNU assembler writes them (AT&T syntax), without names. `(bad)` for bytes that are none. */
  readonly mnemonic: string;
  readonly operands: string;
  /** Where a direct call or jump goes. */
  readonly target: number | undefined;
  /** What a memory operand without a register, or with the instruction pointer, refers to. */
  readonly memory: number | undefined;
  /** A number in it that is as large as an address may be. */
  readonly immediate: number | undefined;
}

/** A function to list, or a part of one. */
export interface Listed {
  /** As a probe takes it. */
  readonly name: string;
  /** As it is shown: demangled. */
  readonly shown: string;
  readonly address: number;
  readonly size: number;
  /** False where nothing tells where it ends. */
  readonly sizeKnown: boolean;
}

/** What the program tells of its addresses. */
export interface Surroundings {
  /** The function or stub that covers an address. */
  nameAt(address: number): { readonly name: string; readonly offset: number } | undefined;
  /** What lies at an address that is no code: `"text"`, `variable+8`, `write@got`; undefined where nothing tells. */
  dataAt(address: number): string | undefined;
  /** True when an address lies in the program. */
  holds(address: number): boolean;
  /** Functions as they are shown. */
  source(address: number): SourcePlace | undefined;
  fileOffset(address: number): number | undefined;
}

export interface Row {
  readonly instruction: Instruction;
  /** Where in the file, in bytes. */
  readonly fileOffset: number | undefined;
  /** From the function's start: what stands behind the `+` of a probe. */
  readonly offset: number;
  /** The name of what it refers to. */
  readonly reference: string | undefined;
  /** Innermost first; undefined where nothing tells. */
  readonly source: SourcePlace | undefined;
}

export function listing(listed: Listed, instructions: readonly Instruction[], program: Surroundings): Row[] {
  return instructions.map((instruction) => ({
    instruction,
    fileOffset: program.fileOffset(instruction.address),
    offset: instruction.address - listed.address,
    reference: referenceOf(instruction, listed, program),
    source: program.source(instruction.address),
  }));
}

function referenceOf(
  { target, memory, immediate }: Instruction,
  listed: Listed,
  program: Surroundings,
): string | undefined {
  if (target !== undefined) {
    const inside = target >= listed.address && target < listed.address + listed.size;
    // The listing shows the offset in front of each row.
    if (inside) return target === listed.address ? listed.shown : `+${target - listed.address}`;
    return nameText(program.nameAt(target));
  }
  if (memory !== undefined) return describe(memory, program);
  // A number is an address only where something known begins at it, or it is a text.
  return immediate !== undefined && program.holds(immediate) ? describe(immediate, program) : undefined;
}

function describe(address: number, program: Surroundings): string | undefined {
  return program.dataAt(address) ?? nameText(program.nameAt(address));
}

function nameText(found: { readonly name: string; readonly offset: number } | undefined): string | undefined {
  return found && `${found.name}${found.offset === 0 ? '' : `+${found.offset}`}`;
}

/** `file.c:12`, and for inlined code the functions that it was inlined from: `text.h:40 in trim < parse.c:12`. */
export function sourceText(place: SourcePlace | undefined): string {
  const [first] = place?.frames ?? [];
  if (place === undefined || first === undefined || first.file === '' || first.line === 0) return '';
  const parts = place.frames.map(({ file, line, function: name, inlined }) => {
    const where = `${file}:${line}`;
    return inlined && name !== '' ? `${where} in ${name}` : where;
  });
  return parts.join(' < ');
}

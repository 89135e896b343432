/**
 * Arguments of usdt probes: `SIZE@OPERAND`, operands as the assembler of the machine
 * writes them, a negative size for signed values. What follows from the constraints of
 * sys/sdt.h ("nor": a constant, memory or a register):
 *
 *   x86-64   8@%rdi  -4@%eax  1@%ah  4@$5  8@-16(%rbp)  4@8(%rax,%rcx,4)  4@(,%rcx,8)
 *            4@name+8(%rip)  4@name(%rip)
 *   arm64    8@x0  -4@w1  4@5  8@[sp, 16]  4@[x1]  8@[x1, x2]  8@[x1, w2, sxtw 3]
 *
 * https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation
 */

/** An index register, the kind of its low half's extension, and what it is multiplied by. */
export interface UsdtIndex {
  readonly register: string;
  /** arm64 `w` registers: the low 32 bits, with or without their sign. */
  readonly half?: 'signed' | 'unsigned';
  readonly scale: number;
}

export type UsdtOperand =
  | { readonly kind: 'constant'; readonly value: bigint }
  /** `shift`: 8 for the second lowest byte (`%ah`). */
  | { readonly kind: 'register'; readonly register: string; readonly shift: number }
  | {
      readonly kind: 'memory';
      readonly base: string | undefined;
      readonly displacement: bigint;
      readonly index: UsdtIndex | undefined;
    }
  /** An object of the file itself, addressed relative to the instruction pointer. */
  | { readonly kind: 'object'; readonly name: string; readonly displacement: bigint }
  /** What a program of the kernel has no way to (vector registers), in words. */
  | { readonly kind: 'unreadable'; readonly reason: string };

export interface UsdtArgument {
  readonly size: 1 | 2 | 4 | 8;
  readonly signed: boolean;
  readonly operand: UsdtOperand;
  /** As in the file. */
  readonly text: string;
  /** For 'object': the object's address less the probe's, filled in where the file is at hand. */
  readonly distance?: number;
}

type Arch = 'x86_64' | 'arm64';

/** All arguments of a note. */
export function parseUsdtArguments(text: string, arch: Arch): UsdtArgument[] {
  return splitArguments(text).map((one) => parseArgument(one, arch));
}

/** Splits at spaces outside of brackets: arm64 writes `8@[sp, 16]`. */
function splitArguments(text: string): string[] {
  return text.match(/[^\s[(]*(?:\[[^\]]*\]|\([^)]*\)|[^\s[(]+)*/g)?.filter((part) => part !== '') ?? [];
}

function parseArgument(text: string, arch: Arch): UsdtArgument {
  const match = /^(?:(-?)(\d+)(f?)@)?(.*)$/s.exec(text);
  const [, sign = '', width = '', float = '', body = ''] = match ?? [];
  const bytes = width === '' ? 8 : Number(width);
  const sized = bytes === 1 || bytes === 2 || bytes === 4 || bytes === 8;
  // A size that is missing means one of a machine word, with its sign.
  const base = { size: sized ? bytes : 8, signed: sign === '-' || width === '', text } as const;
  if (!sized) return { ...base, operand: unreadable(`it has ${bytes} bytes`) };
  if (float === 'f') return { ...base, operand: unreadable('it is a floating-point number') };
  return { ...base, operand: arch === 'x86_64' ? parseX86(body) : parseArm64(body) };
}

const unreadable = (reason: string): UsdtOperand => ({ kind: 'unreadable', reason });

/** Names of 64-bit registers in pt_regs by the names of their parts. */
const x86Registers: ReadonlyMap<string, { readonly register: string; readonly shift: number }> = nameX86Registers();

function nameX86Registers(): Map<string, { readonly register: string; readonly shift: number }> {
  const names = new Map<string, { readonly register: string; readonly shift: number }>();
  for (const register of ['ax', 'bx', 'cx', 'dx', 'si', 'di', 'bp', 'sp']) {
    const lettered = register.endsWith('x');
    const low = lettered ? `${register[0]}l` : `${register}l`;
    for (const name of [`r${register}`, `e${register}`, register, low]) names.set(name, { register, shift: 0 });
    if (lettered) names.set(`${register[0]}h`, { register, shift: 8 });
  }
  for (let n = 8; n <= 15; n++) {
    for (const part of ['', 'd', 'w', 'b']) names.set(`r${n}${part}`, { register: `r${n}`, shift: 0 });
  }
  names.set('rip', { register: 'ip', shift: 0 });
  return names;
}

const number = (text: string): bigint =>
  text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text.replace(/^\+/, ''));
const numeral = String.raw`[+-]?(?:0x[0-9a-fA-F]+|\d+)`;

function parseX86(body: string): UsdtOperand {
  const constant = new RegExp(`^\\$(${numeral})$`).exec(body);
  if (constant) return { kind: 'constant', value: number(constant[1] as string) };
  const register = /^%(\w+)$/.exec(body)?.[1];
  if (register !== undefined) {
    const known = x86Registers.get(register);
    return known
      ? { kind: 'register', ...known }
      : unreadable(`it is in the register ${register}, which the kernel does not hand on`);
  }
  const object = new RegExp(`^(?:(${numeral})\\+)?([A-Za-z_.$][\\w.$@]*)((?:[+-]\\d+)*)\\(%rip\\)$`).exec(body);
  if (object) {
    const steps = [object[1] ?? '0', ...((object[3] ?? '').match(/[+-]\d+/g) ?? [])];
    return {
      kind: 'object',
      name: object[2] as string,
      displacement: steps.reduce((sum, step) => sum + number(step), 0n),
    };
  }
  // Displacements may be sums: `8+16(%rsp)`.
  const memory = new RegExp(`^((?:${numeral})*)\\((?:%(\\w+))?(?:,%(\\w+)(?:,(\\d))?)?\\)$`).exec(
    body.replace(/\s/g, ''),
  );
  if (memory === null) return unreadable(`'${body}' is no operand that sys/sdt.h makes`);
  const [, sum = '', baseName, indexName, scale = '1'] = memory;
  const base = baseName === undefined ? undefined : x86Registers.get(baseName)?.register;
  const index = indexName === undefined ? undefined : x86Registers.get(indexName)?.register;
  if ((baseName !== undefined && base === undefined) || (indexName !== undefined && index === undefined)) {
    return unreadable(`'${body}' names a register that the kernel does not hand on`);
  }
  return {
    kind: 'memory',
    base,
    displacement: (sum.match(new RegExp(numeral, 'g')) ?? []).reduce((total, step) => total + number(step), 0n),
    index: index === undefined ? undefined : { register: index, scale: Number(scale) },
  };
}

/** pt_regs' name of an arm64 register. */
function arm64Register(name: string): string | undefined {
  if (name === 'sp' || name === 'wsp') return 'sp';
  const number = /^[xw](\d+)$/.exec(name)?.[1];
  if (number !== undefined && Number(number) <= 30) return `r${Number(number)}`;
  return name === 'fp' ? 'r29' : name === 'lr' ? 'r30' : undefined;
}

function parseArm64(body: string): UsdtOperand {
  const constant = new RegExp(`^#?(${numeral})$`).exec(body);
  if (constant) return { kind: 'constant', value: number(constant[1] as string) };
  if (/^[xw]zr$/.test(body)) return { kind: 'constant', value: 0n };
  if (/^\w+$/.test(body)) {
    const register = arm64Register(body);
    return register === undefined
      ? unreadable(`it is in the register ${body}, which the kernel does not hand on`)
      : { kind: 'register', register, shift: 0 };
  }
  const memory = /^\[\s*(\w+)\s*(?:,\s*([^,\]]+?)\s*)?(?:,\s*(lsl|sxtw|uxtw|sxtx)(?:\s*#?(\d+))?\s*)?\]$/.exec(body);
  const base = memory === null ? undefined : arm64Register(memory[1] as string);
  if (memory === null || base === undefined) return unreadable(`'${body}' is no operand that sys/sdt.h makes`);
  const [, , second, extension, amount = '0'] = memory;
  if (second === undefined) return { kind: 'memory', base, displacement: 0n, index: undefined };
  if (new RegExp(`^#?${numeral}$`).test(second)) {
    return { kind: 'memory', base, displacement: number(second.replace('#', '')), index: undefined };
  }
  const index = arm64Register(second);
  if (index === undefined) return unreadable(`'${body}' names a register that the kernel does not hand on`);
  const half = !second.startsWith('w') ? {} : ({ half: extension === 'sxtw' ? 'signed' : 'unsigned' } as const);
  return { kind: 'memory', base, displacement: 0n, index: { register: index, scale: 2 ** Number(amount), ...half } };
}

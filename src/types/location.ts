/**
 * Where a value of the traced program is, as a program can find it at a probe: a plain
 * form of what DWARF (or the calling convention) says. Registers are numbered as DWARF
 * numbers them (System V ABI x86-64, figure 3.36; arm64: AADWARF64, section 4.1).
 * Addresses within a file are virtual addresses: where the file lies in a process is
 * added when they are used.
 */

export type BinaryOperator =
  | 'add'
  | 'sub'
  | 'mul'
  | 'sdiv'
  | 'umod'
  | 'and'
  | 'or'
  | 'xor'
  | 'shl'
  | 'lshr'
  | 'ashr'
  | 'eq'
  | 'ne'
  | 'slt'
  | 'sle'
  | 'sgt'
  | 'sge';

/** How a number of 64 bits is computed from what a probe sees. */
export type Computation =
  | { readonly op: 'constant'; readonly value: bigint }
  | { readonly op: 'register'; readonly register: number }
  /** A virtual address of the probed file, as it is in the process. */
  | { readonly op: 'address'; readonly address: number }
  /**
   * Of a thread-local variable: its address in this thread. `module`: virtual address of
   * the word with the number of the file's TLS block, in which the offset then counts;
   * `distance`: virtual address
   * of the word with the distance from the thread pointer that the offset is added to; without
   * either the offset counts from the thread pointer.
   */
  | { readonly op: 'thread'; readonly offset: number; readonly module?: number; readonly distance?: number }
  | { readonly op: 'read'; readonly size: 1 | 2 | 4 | 8; readonly from: Computation }
  | { readonly op: 'neg' | 'not'; readonly of: Computation }
  | { readonly op: 'extend'; readonly bits: 8 | 16 | 32; readonly signed: boolean; readonly of: Computation }
  | {
      readonly op: 'binary';
      readonly operator: BinaryOperator;
      readonly left: Computation;
      readonly right: Computation;
    };

export type Location =
  /** In a register whole (the low bytes of it). */
  | { readonly kind: 'register'; readonly register: number }
  | { readonly kind: 'memory'; readonly address: Computation }
  /** Nowhere, but the value can be computed. */
  | { readonly kind: 'value'; readonly value: Computation }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** In parts, from the first byte on. */
  | { readonly kind: 'pieces'; readonly pieces: readonly { readonly size: number; readonly location: Location }[] }
  | { readonly kind: 'unavailable'; readonly reason: string };

export const constant = (value: bigint | number): Computation => ({ op: 'constant', value: BigInt(value) });

/** left + right, with what is known folded. */
export function sum(left: Computation, right: Computation): Computation {
  if (right.op === 'constant') {
    if (right.value === 0n) return left;
    if (left.op === 'constant') return constant(BigInt.asIntN(64, left.value + right.value));
    if (left.op === 'address') return { op: 'address', address: left.address + Number(right.value) };
    if (left.op === 'binary' && left.operator === 'add' && left.right.op === 'constant') {
      return sum(left.left, constant(BigInt.asIntN(64, left.right.value + right.value)));
    }
  } else if (left.op === 'constant') return sum(right, left);
  return { op: 'binary', operator: 'add', left, right };
}

export const unavailable = (reason: string): Location => ({ kind: 'unavailable', reason });

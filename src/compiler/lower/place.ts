/** Where the bytes of a value are, seen from a BPF program. */
import type { AddressSpace } from '../../types/model.ts';
import type { Reg } from '../ir/ir.ts';

export type Place =
  /**
   * Memory that the program itself may load and store: stack, map value, ring buffer
   * record, scratch. `raw`: what follows the NUL of a string written here is never
   * looked at, so that it need not be zeroed.
   */
  | { readonly kind: 'direct'; readonly base: Reg; readonly offset: number; readonly raw?: boolean }
  /** Memory of the traced process or the kernel: read by a helper that may fail. */
  | { readonly kind: 'memory'; readonly address: Reg; readonly offset: number; readonly space: AddressSpace }
  /** The program's context (tracepoint record). */
  | { readonly kind: 'context'; readonly offset: number };

export type DirectPlace = Place & { kind: 'direct' };

/** The same place, `bytes` further on. */
export function shifted<P extends Place>(place: P, bytes: number): P {
  return { ...place, offset: place.offset + bytes };
}

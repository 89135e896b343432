/**
 * Numbers that carry their meaning in their type.
 *
 * A symbol's virtual address, the offset of the same byte in the file, and the
 * address of that byte in a running process are three different numbers; taking one
 * for another is the mistake this module makes impossible to write by accident
 * (bcc issue 2648). Convert only through `debuginfo/elf` (program headers) and
 * `symbolize/symbols` (process mappings).
 */
declare const meaning: unique symbol;

/** A plain number with a meaning attached at compile time; costs nothing at run time. */
export type Branded<Base, Name extends string> = Base & { readonly [meaning]: Name };

/** Address of a byte as linked: st_value, p_vaddr, sh_addr. */
export type VirtualAddress = Branded<number, 'VirtualAddress'>;
/** Position of a byte in a file: p_offset, sh_offset, the offset a uprobe is attached at. */
export type FileOffset = Branded<number, 'FileOffset'>;
/** Position of a byte counted from the start of its section. */
export type SectionOffset = Branded<number, 'SectionOffset'>;
/** Address of a byte in the memory of a running process (user half, below 2^53). */
export type ProcessAddress = Branded<number, 'ProcessAddress'>;
/** Address of a byte in kernel memory; above 2^53, therefore a bigint. */
export type KernelAddress = Branded<bigint, 'KernelAddress'>;

export const virtualAddress = (value: number): VirtualAddress => value as VirtualAddress;
export const fileOffset = (value: number): FileOffset => value as FileOffset;
export const sectionOffset = (value: number): SectionOffset => value as SectionOffset;
export const processAddress = (value: number): ProcessAddress => value as ProcessAddress;
export const kernelAddress = (value: bigint): KernelAddress => value as KernelAddress;

/** Symbols of the running kernel out of a vmlinux file (BPFTRACE_VMLINUX), for what /proc/kallsyms does not tell. */
import { MachineError } from '../../base/errors.ts';
import { cStringAt } from '../../bytes/cursor.ts';
import { ElfFile } from '../../debuginfo/elf/elf.ts';
import type { Kallsyms } from '../../debuginfo/text/kallsyms.ts';
import { HostFile } from './file.ts';
import { inflate } from './inflate.ts';

/** In both, so that they tell how far this kernel was moved (KASLR); each kernel has at least one. */
const anchors = ['_stext', '_text', 'startup_64', 'primary_entry'];

/**
 * Address of a symbol, functions and data, as the running kernel has it. Throws a
 * MachineError when the file cannot be read or is no vmlinux of a running kernel's kind.
 */
export function vmlinuxSymbol(path: string, name: string, kallsyms: Kallsyms): bigint | undefined {
  const file = HostFile.open(path);
  if (!file.ok) throw file.error;
  try {
    const elf = ElfFile.open(path, file.value);
    if (!elf.ok) throw elf.error;
    const found = symbolValues(elf.value, new Set([name, ...anchors]));
    const anchor = anchors.find((one) => found.has(one) && kallsyms.addressOf(one) !== undefined);
    if (anchor === undefined) {
      throw new MachineError(`${path} and the running kernel have no symbol in common`, {
        code: 'ENOEXEC',
        hints: ['BPFTRACE_VMLINUX names the uncompressed vmlinux of the running kernel, with its symbols'],
      });
    }
    const address = found.get(name);
    const moved = (kallsyms.addressOf(anchor) as bigint) - (found.get(anchor) as bigint);
    return address === undefined ? undefined : address + moved;
  } finally {
    file.value.close();
  }
}

/** Bytes of an Elf64_Sym: name u32, info u8, other u8, section u16, value u64, size u64. */
const symbolSize = 24;

/** st_value of the symbols with one of the names. Kernel addresses have 64 bits: they do not fit a number. */
function symbolValues(elf: ElfFile, wanted: ReadonlySet<string>): ReadonlyMap<string, bigint> {
  const values = new Map<string, bigint>();
  const [table, strings] = ['.symtab', '.strtab'].map((section) => {
    const found = elf.section(section);
    const contents = found && elf.contents(found, inflate);
    return contents?.ok ? contents.value : new Uint8Array();
  }) as [Uint8Array, Uint8Array];
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  for (let at = 0; at + symbolSize <= table.length; at += symbolSize) {
    const name = cStringAt(strings, view.getUint32(at, true));
    if (name !== undefined && wanted.has(name)) values.set(name, view.getBigUint64(at + 8, true));
  }
  return values;
}

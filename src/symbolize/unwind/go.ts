/**
 * Unwind rules of a Go program from its own table, .gopclntab, which a stripped program
 * keeps: how far rsp has gone down at each place of a function. What goes beyond it: the
 * functions that Go's traceback ends at (runtime/symtab.go, abi.FuncFlagTopFrame and
 * FuncFlagSPWrite), the trampoline of signals, and the calls that a signal handler puts
 * where the program was interrupted (runtime/signal_amd64.go, preparePanic and pushCall).
 */
import type { ElfFile } from '../../debuginfo/elf/elf.ts';
import { GoFunctions } from '../../debuginfo/go/pclntab.ts';
import { Register, RuleKind, Saved } from '../../program/unwind.ts';
import type { RowSink } from './cfi.ts';
import { endRule, noRule, packRule, type RuleSet, signalRule } from './rules.ts';

/** mov $15,%rax; syscall: sigreturn(2). */
const signalReturn = [0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05];

/** Their return address is where the caller was interrupted. */
const injected = /^runtime\.(asyncPreempt|sigpanic)(\.abi0)?$/;

/** Hands on the rows of all Go functions; gives the starts of those, none for another program. */
export function readGoRows(elf: ElfFile, rules: RuleSet, sink: RowSink): ReadonlySet<number> {
  const starts = new Set<number>();
  const table = GoFunctions.open(elf);
  if (table === undefined) return starts;
  const end = rules.add(...packRule(endRule));
  const signal = rules.add(...packRule(signalRule));
  for (const { address, size, name, endsStack, stack } of table.frames()) {
    starts.add(address);
    if (name.startsWith('runtime.sigreturn') && isSignalReturn(elf, address)) sink(address, signal);
    else if (endsStack) sink(address, end);
    else {
      const kind = injected.test(name) ? RuleKind.injected : RuleKind.register;
      for (const [within, depth] of stack()) {
        const saved = depth > 0 ? { rbpSaved: Saved.cfa, rbpOffset: -16 } : {};
        const rule = { ...noRule, kind, base: Register.rsp, offset: depth + 8, ...saved };
        sink(address + within, Math.max(0, rules.add(...packRule(rule))));
      }
    }
    sink(address + size, 0);
  }
  return starts;
}

function isSignalReturn(elf: ElfFile, address: number): boolean {
  const place = elf.toFileOffset(address as never);
  if (!place.ok) return false;
  const bytes = elf.reader.read(place.value, signalReturn.length);
  return signalReturn.every((byte, index) => bytes[index] === byte);
}

/** BPF programs that the kernel runs, of everybody, by the functions that their own BTF names. */
import { openBtf } from '../../debuginfo/btf/btf.ts';
import type { RunningProgram } from '../../target/target.ts';
import { closeFd } from '../sys/bpfcall.ts';
import { objectFd, objectIds, programBtf } from '../sys/objects.ts';

/** Those with type information, which others need to attach to them. */
export function runningPrograms(): readonly RunningProgram[] {
  return objectIds('PROG').flatMap((id): RunningProgram[] => {
    const types = programTypes(id);
    return types === undefined ? [] : [{ id, functions: [...types.functionNames()] }];
  });
}

/** Number of a function in the BTF of a program; undefined when the program is gone or has none of that name. */
export function programFunctionId(id: number, name: string): number | undefined {
  return programTypes(id)?.functionId(name);
}

function programTypes(id: number) {
  const fd = objectFd('PROG', id);
  if (fd === undefined) return undefined;
  try {
    const bytes = programBtf(fd);
    const opened = bytes === undefined ? undefined : openBtf(bytes);
    return opened?.ok === true ? opened.value : undefined;
  } finally {
    closeFd(fd);
  }
}

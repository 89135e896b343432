/**
 * The running kernel's types: BTF from sysfs (Documentation/bpf/btf.rst), for kernels
 * without that file from a vmlinux with a .BTF section where distributions keep it.
 * Types of modules are looked at when the kernel itself does not know a name.
 */
import { closeSync, existsSync, fstatSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { MachineError } from '../../base/errors.ts';
import { lazy } from '../../base/lazy.ts';
import { type BtfTypes, openBtf } from '../../debuginfo/btf/btf.ts';
import { ElfFile } from '../../debuginfo/elf/elf.ts';
import type { EnumType, FunctionType, Type } from '../../types/model.ts';
import type { TypeKeyword, TypeSource } from '../../types/source.ts';
import { mapForReading } from '../sys/memory.ts';
import { HostFile } from './file.ts';
import { kernelVersion } from './machine.ts';

const FOLDER = '/sys/kernel/btf';

/** Where a vmlinux with type information lies, `%s` for the release; the places that libbpf searches. */
const IMAGES = [
  '/boot/vmlinux-%s',
  '/lib/modules/%s/vmlinux-%s',
  '/lib/modules/%s/build/vmlinux',
  '/usr/lib/modules/%s/kernel/vmlinux',
  '/usr/lib/debug/boot/vmlinux-%s',
  '/usr/lib/debug/boot/vmlinux-%s.debug',
  '/usr/lib/debug/lib/modules/%s/vmlinux',
];

/** The file's bytes, mapped where the kernel can: a copy through read(2) of 4 KiB each takes 12 ms. */
function mapFile(path: string): Uint8Array | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(path, 'r');
    const { size } = fstatSync(fd);
    const mapped = size > 0 ? mapForReading(fd, size) : undefined;
    if (mapped !== undefined) return mapped;
    const bytes = Buffer.allocUnsafeSlow(size);
    let done = 0;
    while (done < size) {
      const count = readSync(fd, bytes, done, size - done, done);
      if (count === 0) break;
      done += count;
    }
    return bytes.subarray(0, done);
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** BTF in a file that is BTF itself or an ELF file with a .BTF section. */
function readBtf(path: string): Uint8Array | undefined {
  const file = HostFile.open(path);
  if (!file.ok) return undefined;
  try {
    const start = file.value.read(0, 4);
    if (start[0] !== 0x7f || start[1] !== 0x45) return mapFile(path);
    const elf = ElfFile.open(path, file.value);
    const section = elf.ok ? elf.value.section('.BTF') : undefined;
    const contents = elf.ok && section !== undefined ? elf.value.contents(section) : undefined;
    return contents?.ok === true ? contents.value : undefined;
  } finally {
    file.value.close();
  }
}

function openTypes(path: string, base?: BtfTypes): BtfTypes | undefined {
  const bytes = base === undefined ? readBtf(path) : tryRead(path);
  if (bytes === undefined) return undefined;
  const opened = openBtf(bytes, base);
  return opened.ok ? opened.value : undefined;
}

function tryRead(path: string): Uint8Array | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

class KernelTypes implements TypeSource {
  readonly #kernel: BtfTypes;
  readonly #modules: () => readonly BtfTypes[];

  constructor(kernel: BtfTypes, modules: () => readonly BtfTypes[]) {
    this.#kernel = kernel;
    this.#modules = modules;
  }

  #first<Found>(ask: (types: BtfTypes) => Found | undefined): Found | undefined {
    const found = ask(this.#kernel);
    if (found !== undefined) return found;
    for (const module of this.#modules()) {
      const inModule = ask(module);
      if (inModule !== undefined) return inModule;
    }
    return undefined;
  }

  find(keyword: TypeKeyword, name: string): Type | undefined {
    return this.#first((types) => types.find(keyword, name));
  }

  findEnumerator(name: string): { readonly value: bigint; readonly type: EnumType } | undefined {
    return this.#first((types) => types.findEnumerator(name));
  }

  findFunction(name: string): FunctionType | undefined {
    return this.#first((types) => types.findFunction(name));
  }

  hasVariable(name: string): boolean {
    return this.#kernel.variableId(name) !== undefined;
  }

  *functionNames(): Generator<string, void, void> {
    yield* this.#kernel.functionNames();
  }

  *names(keyword: TypeKeyword): Generator<string, void, void> {
    yield* this.#kernel.names(keyword);
    for (const module of this.#modules()) yield* module.ownNames(keyword);
  }
}

/** The running kernel's own BTF, opened once. */
const vmlinux: () => BtfTypes | undefined = lazy(() => openTypes(`${FOLDER}/vmlinux`));

/** A function by its number in the BTF of the kernel or of a module. */
export interface FunctionId {
  readonly id: number;
  /** undefined: the kernel itself. */
  readonly module: string | undefined;
}

/** Finds a function of the running kernel, or of a loaded module; undefined when BTF has none of that name. */
export function kernelFunctionId(name: string, module?: string): FunctionId | undefined {
  const kernel = vmlinux();
  if (kernel === undefined) return undefined;
  if (module === undefined || module === 'vmlinux') {
    const id = kernel.functionId(name);
    if (id !== undefined || module !== undefined) return id === undefined ? undefined : { id, module: undefined };
  }
  for (const other of module === undefined ? moduleNames() : [module]) {
    const id = openTypes(`${FOLDER}/${other}`, kernel)?.functionId(name);
    if (id !== undefined) return { id, module: other };
  }
  return undefined;
}

/** Number of the type that a tracepoint has in the kernel's own BTF, as BPF_PROG_LOAD takes it for tp_btf. */
export function tracepointTypeId(event: string): number | undefined {
  return vmlinux()?.typedefId(`btf_trace_${event}`);
}

/** Number of a variable in the kernel's own BTF, as BPF_PSEUDO_BTF_ID takes it. */
export function kernelVariableId(name: string): number | undefined {
  return vmlinux()?.variableId(name);
}

const moduleNames = (): string[] => readdirSync(FOLDER).filter((name) => name !== 'vmlinux');

/**
 * The kernel's types, undefined when there is no readable BTF. `path` (BPFTRACE_BTF) names
 * another file to take them from; a MachineError when it has none.
 */
export function openKernelTypes(path?: string): TypeSource | undefined {
  if (path !== undefined) {
    const named = openTypes(path);
    if (named !== undefined) return named;
    throw new MachineError(`${path} gives no types of the kernel (BTF)`, {
      code: existsSync(path) ? 'ENOEXEC' : 'ENOENT',
      hints: [
        'BPFTRACE_BTF names a file with BTF, or an ELF file with a .BTF section, such as /sys/kernel/btf/vmlinux',
      ],
    });
  }
  const kernel = vmlinux();
  if (kernel === undefined) {
    const { release } = kernelVersion();
    for (const image of IMAGES) {
      const types = openTypes(image.replaceAll('%s', release));
      if (types !== undefined) return types;
    }
    return undefined;
  }
  const modules = lazy(() => {
    const opened: BtfTypes[] = [];
    for (const name of moduleNames()) {
      const types = openTypes(`${FOLDER}/${name}`, kernel);
      if (types !== undefined) opened.push(types);
    }
    return opened;
  });
  return new KernelTypes(kernel, modules);
}

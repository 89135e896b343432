/** The system call bpf(2) with its one argument, union bpf_attr in linux/bpf.h, as bpf.ts and objects.ts fill it in. */
import { CallError } from './errno.ts';
import { addressOf, addressOfKept, trySystemCall } from './native.ts';

/** enum bpf_cmd. */
export const Command = {
  MAP_CREATE: 0,
  MAP_LOOKUP_ELEM: 1,
  MAP_UPDATE_ELEM: 2,
  MAP_DELETE_ELEM: 3,
  MAP_GET_NEXT_KEY: 4,
  PROG_LOAD: 5,
  OBJ_PIN: 6,
  PROG_TEST_RUN: 10,
  PROG_GET_NEXT_ID: 11,
  MAP_GET_NEXT_ID: 12,
  PROG_GET_FD_BY_ID: 13,
  MAP_GET_FD_BY_ID: 14,
  OBJ_GET_INFO_BY_FD: 15,
  RAW_TRACEPOINT_OPEN: 17,
  BTF_LOAD: 18,
  BTF_GET_FD_BY_ID: 19,
  MAP_FREEZE: 22,
  BTF_GET_NEXT_ID: 23,
  MAP_LOOKUP_BATCH: 24,
  MAP_LOOKUP_AND_DELETE_BATCH: 25,
  LINK_CREATE: 28,
  LINK_GET_FD_BY_ID: 30,
  LINK_GET_NEXT_ID: 31,
  ENABLE_STATS: 32,
  ITER_CREATE: 33,
} as const;
type CommandName = keyof typeof Command;

export const ENOENT = 2;

/** One attr for all commands; 144 bytes cover the largest in use. Reused: nothing here yields. */
export const attr: DataView = new DataView(new ArrayBuffer(144));
export const attrBytes: Uint8Array = new Uint8Array(attr.buffer);
let attrAddress = 0;

/** Begins an attr: all zero. */
export function clearAttr(): void {
  attrBytes.fill(0);
}

/** A pointer to bytes, which stay where they are for this call. */
export function setPointer(offset: number, buffer: ArrayBufferView): void {
  setAddress(offset, addressOf(buffer));
}

export function setAddress(offset: number, address: number): void {
  attr.setUint32(offset, address % 2 ** 32, true);
  attr.setUint32(offset + 4, Math.floor(address / 2 ** 32), true);
}

/** Calls bpf(2) with the attr's first `size` bytes; gives minus errno on failure. */
export function tryBpf(command: CommandName, size: number): number {
  attrAddress ||= addressOfKept(attrBytes);
  return trySystemCall('bpf', Command[command], attrAddress, size);
}

/** The same; throws a CallError that names the command, and `what`. */
export function bpf(command: CommandName, size: number, what = ''): number {
  const result = tryBpf(command, size);
  if (result < 0) throw new CallError(`BPF_${command}${what && ` (${what})`}`, -result);
  return result;
}

/** Object names may have 15 of [A-Za-z0-9_.]; others become `_`. */
export function setName(offset: number, name: string): void {
  const shown = name.replace(/[^A-Za-z0-9_.]/g, '_').slice(0, 15);
  for (let i = 0; i < shown.length; i++) attr.setUint8(offset + i, shown.charCodeAt(i));
}

export const cString = (text: string): Uint8Array => new TextEncoder().encode(`${text}\0`);

export function closeFd(fd: number): void {
  trySystemCall('close', fd);
}

/** True when the error says that the kernel does not know the command or an attribute of it. */
export function isUnsupported(error: unknown): boolean {
  return error instanceof CallError && ['EINVAL', 'E2BIG', 'ENOTSUPP', 'EOPNOTSUPP', 'ENOSYS'].includes(error.code);
}

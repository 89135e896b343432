/** What the kernel holds of programs, maps, links and BTF, by id and by descriptor, and what it tells of them. */
import { attr, bpf, clearAttr, closeFd, ENOENT, setPointer, tryBpf } from './bpfcall.ts';
import { CallError } from './errno.ts';
import { addressOf } from './native.ts';

export type ObjectKind = 'PROG' | 'MAP' | 'LINK' | 'BTF';

/** BPF_*_GET_NEXT_ID: all ids of a kind that exist now, of everybody. */
export function objectIds(kind: ObjectKind): number[] {
  const ids: number[] = [];
  for (let id = 0; ; ) {
    clearAttr();
    attr.setUint32(0, id, true);
    const result = tryBpf(`${kind}_GET_NEXT_ID`, 12);
    if (result === -ENOENT) return ids;
    if (result < 0) throw new CallError(`BPF_${kind}_GET_NEXT_ID`, -result);
    id = attr.getUint32(4, true);
    ids.push(id);
  }
}

/** BPF_*_GET_FD_BY_ID; undefined when it is gone. */
export function objectFd(kind: ObjectKind, id: number): number | undefined {
  clearAttr();
  attr.setUint32(0, id, true);
  const result = tryBpf(`${kind}_GET_FD_BY_ID`, 12);
  if (result === -ENOENT) return undefined;
  if (result < 0) throw new CallError(`BPF_${kind}_GET_FD_BY_ID`, -result);
  return result;
}

/** BPF_OBJ_GET_INFO_BY_FD: as many bytes of struct bpf_{prog,map,link,btf}_info as the kernel has, up to `size`. */
export function objectInfo(fd: number, size = 256): Uint8Array {
  const info = new Uint8Array(size);
  clearAttr();
  attr.setUint32(0, fd, true);
  attr.setUint32(4, size, true);
  setPointer(8, info);
  bpf('OBJ_GET_INFO_BY_FD', 16);
  return info.subarray(0, attr.getUint32(4, true));
}

const BPF_STATS_RUN_TIME = 0;

/** BPF_ENABLE_STATS: the kernel counts programs' runs and their time while the descriptor is open (Linux 5.8). */
export function enableRunTimes(): number {
  clearAttr();
  attr.setUint32(0, BPF_STATS_RUN_TIME, true);
  return bpf('ENABLE_STATS', 4);
}

/** A program's runs and their time so far, while such a descriptor is open (bpf_prog_info.run_time_ns, run_cnt). */
export function runTimes(fd: number): { readonly nanoseconds: number; readonly count: number } {
  const info = objectInfo(fd);
  const view = new DataView(info.buffer, info.byteOffset, info.byteLength);
  return { nanoseconds: Number(view.getBigUint64(192, true)), count: Number(view.getBigUint64(200, true)) };
}

/**
 * Runs of a program that the kernel left out because a program ran already on that CPU
 * (bpf_prog_info.recursion_misses): of raw tracepoints, fentry and fexit since Linux 5.12, of
 * tracepoints and kprobes since 6.7. Uprobes always run; of perf events it keeps no count.
 */
export function missedRuns(programFd: number): number {
  const info = objectInfo(programFd);
  return info.byteLength < 216 ? 0 : Number(new DataView(info.buffer).getBigUint64(208, true));
}

/** enum bpf_link_type. */
const LINK_TYPE_PERF_EVENT = 7;
const LINK_TYPE_KPROBE_MULTI = 8;

/** Hits of a kprobe's link that did not come as far as the program (bpf_link_info: kprobe.missed, kprobe_multi.missed; Linux 6.7). */
export function missedHits(linkFd: number): number {
  const info = new DataView(objectInfo(linkFd).slice().buffer);
  const type = info.getUint32(0, true);
  // type, id, prog_id; of a perf event: its type, and of a kprobe func_name, name_len, offset, addr, missed.
  const at = type === LINK_TYPE_KPROBE_MULTI ? 32 : type === LINK_TYPE_PERF_EVENT ? 48 : undefined;
  return at === undefined || info.byteLength < at + 8 ? 0 : Number(info.getBigUint64(at, true));
}

/** Id of a program, map or link that this process holds. */
export function objectId(kind: ObjectKind, fd: number): number {
  // prog and map: type, id, …; link: type, id, …; btf: btf, btf_size, id.
  const info = objectInfo(fd);
  return new DataView(info.buffer).getUint32(kind === 'BTF' ? 12 : 4, true);
}

/** The BTF object of a loaded module, undefined when the kernel has none of that name. The caller closes it. */
export function moduleBtf(module: string): number | undefined {
  for (const id of objectIds('BTF')) {
    const fd = objectFd('BTF', id);
    if (fd === undefined) continue;
    // struct bpf_btf_info: btf, btf_size, id, name, name_len, kernel_btf
    const info = new Uint8Array(32);
    const name = new Uint8Array(64);
    const view = new DataView(info.buffer);
    view.setBigUint64(16, BigInt(addressOf(name)), true);
    view.setUint32(24, name.length, true);
    clearAttr();
    attr.setUint32(0, fd, true);
    attr.setUint32(4, info.length, true);
    setPointer(8, info);
    const known = tryBpf('OBJ_GET_INFO_BY_FD', 16) === 0 && view.getUint32(28, true) === 1;
    const end = name.indexOf(0);
    if (known && new TextDecoder().decode(name.subarray(0, end)) === module) return fd;
    closeFd(fd);
  }
  return undefined;
}

/** A program's own BTF; undefined when it has none, or is gone. */
export function programBtf(programFd: number): Uint8Array | undefined {
  const info = objectInfo(programFd);
  const id = new DataView(info.buffer, info.byteOffset, info.byteLength).getUint32(128, true);
  const fd = id === 0 ? undefined : objectFd('BTF', id);
  if (fd === undefined) return undefined;
  try {
    // struct bpf_btf_info: btf, btf_size, id. The first question gives the size.
    const about = new Uint8Array(16);
    const view = new DataView(about.buffer);
    const ask = (): void => {
      clearAttr();
      attr.setUint32(0, fd, true);
      attr.setUint32(4, about.length, true);
      setPointer(8, about);
    };
    ask();
    bpf('OBJ_GET_INFO_BY_FD', 16);
    const bytes = new Uint8Array(view.getUint32(8, true));
    view.setBigUint64(0, BigInt(addressOf(bytes)), true);
    view.setUint32(8, bytes.length, true);
    ask();
    bpf('OBJ_GET_INFO_BY_FD', 16);
    return bytes;
  } finally {
    closeFd(fd);
  }
}

/**
 * Programs assembled by hand for the tests of this folder, byte by byte from the
 * instruction set (RFC 9669), so that no other part of insitu is under test with it.
 */

import { fileURLToPath } from 'node:url';
import type { BpfProgram, MapSpec, ProbeSpec, Program, Relocation } from '../program/program.ts';
import { closeFd } from './sys/bpfcall.ts';
import { objectFd, objectIds, objectInfo } from './sys/objects.ts';

/** Why a test that needs the kernel cannot run; false when it can. */
export const needsRoot: false | string = process.geteuid?.() === 0 ? false : 'needs root to load BPF programs';

export type Instruction = readonly [opcode: number, dst: number, src: number, offset: number, imm: number];

/** Arguments for node that run a program of test/holders, in TypeScript or compiled as this file is. */
export function holderArguments(name: string): string[] {
  const extension = import.meta.url.slice(import.meta.url.lastIndexOf('.'));
  const path = fileURLToPath(new URL(`../../test/holders/${name}${extension}`, import.meta.url));
  return [...process.execArgv.filter((argument) => !argument.startsWith('--test')), path];
}

/** Instructions as the kernel takes them. */
export function assemble(instructions: readonly Instruction[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(instructions.length * 8));
  for (const [i, [opcode, dst, src, offset, imm]] of instructions.entries()) {
    view.setUint8(i * 8, opcode);
    view.setUint8(i * 8 + 1, (src << 4) | dst);
    view.setInt16(i * 8 + 2, offset, true);
    view.setInt32(i * 8 + 4, imm, true);
  }
  return new Uint8Array(view.buffer);
}

/** r0 = 5; exit */
export const returnFive: readonly Instruction[] = [
  [0xb7, 0, 0, 0, 5],
  [0x95, 0, 0, 0, 0],
];

/** Adds 1 to the u64 at the start of map 0's element; relocation at instruction 1. */
export const countHit: readonly Instruction[] = [
  [0xb7, 2, 0, 0, 1], // r2 = 1
  [0x18, 1, 0, 0, 0], // r1 = map value
  [0, 0, 0, 0, 0],
  [0xdb, 1, 2, 0, 0], // lock *(u64 *)(r1 + 0) += r2
  [0xb7, 0, 0, 0, 0],
  [0x95, 0, 0, 0, 0],
];

/** As countHit when the process is `pid`; relocation at instruction 3. */
export const countHitOf = (pid: number): readonly Instruction[] => [
  [0x85, 0, 0, 0, 14], // bpf_get_current_pid_tgid
  [0x77, 0, 0, 0, 32], // r0 >>= 32: the tgid
  [0x55, 0, 0, 4, pid], // if r0 != pid goto +4
  [0x18, 1, 0, 0, 0],
  [0, 0, 0, 0, 0],
  [0xb7, 2, 0, 0, 1],
  [0xdb, 1, 2, 0, 0],
  [0xb7, 0, 0, 0, 0],
  [0x95, 0, 0, 0, 0],
];

/** Adds 1 to the u64 of map 0's element that the cookie (0 to 7) picks; relocation at instruction 3. */
export const countByCookie: readonly Instruction[] = [
  [0x85, 0, 0, 0, 174], // bpf_get_attach_cookie
  [0x57, 0, 0, 0, 7], // r0 &= 7
  [0x67, 0, 0, 0, 3], // r0 <<= 3
  [0x18, 1, 0, 0, 0],
  [0, 0, 0, 0, 0],
  [0x0f, 1, 0, 0, 0], // r1 += r0
  [0xb7, 2, 0, 0, 1],
  [0xdb, 1, 2, 0, 0],
  [0xb7, 0, 0, 0, 0],
  [0x95, 0, 0, 0, 0],
];

/**
 * Emits `count` records to the ring buffer in map 0: u64 bpf_ktime_get_ns, u32 number
 * from 0, u32 0. `end`: 132 submits them, 133 discards. Relocation at instruction 1.
 */
export const emitRecords = (count: number, end: 132 | 133 = 132): readonly Instruction[] => [
  [0xb7, 6, 0, 0, 0], // r6 = 0
  [0x18, 1, 0, 0, 0], // loop: r1 = ring
  [0, 0, 0, 0, 0],
  [0xb7, 2, 0, 0, 16],
  [0xb7, 3, 0, 0, 0],
  [0x85, 0, 0, 0, 131], // bpf_ringbuf_reserve
  [0x15, 0, 0, 7, 0], // if r0 == 0 goto next
  [0xbf, 7, 0, 0, 0],
  [0x85, 0, 0, 0, 5], // bpf_ktime_get_ns
  [0x7b, 7, 0, 0, 0],
  [0x7b, 7, 6, 8, 0],
  [0xbf, 1, 7, 0, 0],
  [0xb7, 2, 0, 0, 0],
  [0x85, 0, 0, 0, end],
  [0x07, 6, 0, 0, 1], // next: r6 += 1
  [0xa5, 6, 0, -15, count], // if r6 < count goto loop
  [0xb7, 0, 0, 0, 0],
  [0x95, 0, 0, 0, 0],
];

const BPF_F_MMAPABLE = 1 << 10;

/** One mmapable array of eight u64. */
export const countersMap: MapSpec = {
  role: 'globals',
  name: 'globals',
  kind: 'ARRAY',
  keySize: 4,
  valueSize: 64,
  maxEntries: 1,
  flags: BPF_F_MMAPABLE,
};

export function ringMap(size: number): MapSpec {
  return { role: 'events', name: 'events', kind: 'RINGBUF', keySize: 0, valueSize: 0, maxEntries: size, flags: 0 };
}

export function bpfProgram(
  type: BpfProgram['type'],
  instructions: readonly Instruction[],
  relocations: readonly Relocation[] = [],
  more: Partial<BpfProgram> = {},
): BpfProgram {
  const code = assemble(instructions);
  return { name: 'in_test', type, code, relocations, spans: new Int32Array(code.length / 4).fill(-1), ...more };
}

/** A Program around maps, programs and probes. */
export function sampleProgram(
  maps: readonly MapSpec[],
  programs: readonly BpfProgram[],
  probes: readonly ProbeSpec[] = [],
  probeNames: readonly string[] = probes.map((probe, i) => `${probe.kind}:${i}`),
): Program {
  return {
    config: {
      maxValueDepth: 4,
      maxValueElements: 16,
      maxValueBytes: 128,
      maxStrlen: 1024,
      maxMapKeys: 4096,
      maxProbes: 1024,
      maxBpfProgs: 1024,
      maxCatBytes: 10240,
      onStackLimit: 32,
      perfRbPages: 64,
      printMapsOnExit: true,
      probeInline: false,
      cppDemangle: true,
      lazySymbolication: false,
      showDebugInfo: false,
      strTruncTrailer: '..',
      stackMode: 'bpftrace',
      ustackUnwind: 'fp',
      missingProbes: 'error',
      unstableTseries: 'warn',
      unstableDwUstack: 'warn',
      cacheUserSymbols: 'PER_PID',
      license: 'GPL',
      logSize: 1_000_000,
    },
    maps,
    programs,
    probes,
    followers: [],
    probeNames,
    events: [],
    packets: [],
    globals: {
      startNs: 0,
      wallClock: 0,
      taiClock: 0,
      selfPid: 0,
      childPid: 0,
      failedReads: 0,
      scratchBusy: 0,
      notFollowed: 0,
      loopLimit: 0,
      notKept: 0,
      exit: 0,
      lost: 0,
      lostSlots: 1,
      mapFull: 0,
      stackEnds: 0,
      stackGuesses: 0,
      stacksFull: 0,
      size: 64,
    },
    needsUserSymbols: false,
    unwinds: false,
    unsafe: false,
  };
}

/** Ids of the kernel's programs or maps of exactly that name (bpf_prog_info, bpf_map_info). */
export function idsNamed(kind: 'PROG' | 'MAP', name: string): number[] {
  return objectIds(kind).filter((id) => {
    const fd = objectFd(kind, id);
    if (fd === undefined) return false;
    const at = kind === 'PROG' ? 64 : 24;
    const bytes = objectInfo(fd).subarray(at, at + 16);
    closeFd(fd);
    return new TextDecoder().decode(bytes).replace(/\0.*/s, '') === name;
  });
}

/** Ids of the links that run a program (bpf_link_info: type, id, prog_id). */
export function linksOf(programId: number): number[] {
  return objectIds('LINK').filter((id) => {
    const fd = objectFd('LINK', id);
    if (fd === undefined) return false;
    const info = objectInfo(fd);
    closeFd(fd);
    return new DataView(info.buffer).getUint32(8, true) === programId;
  });
}

/** Waits until the kernel has let go of something, which it does after a grace period; false after 3 seconds. */
export async function eventually(condition: () => boolean): Promise<boolean> {
  for (let i = 0; i < 150; i++) {
    if (condition()) return true;
    await new Promise((done) => setTimeout(done, 20));
  }
  return false;
}

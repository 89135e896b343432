import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import type { Program } from '../../program/program.ts';
import {
  bpfProgram,
  countersMap,
  countHit,
  eventually,
  holderArguments,
  idsNamed,
  needsRoot,
  returnFive,
  ringMap,
  sampleProgram,
} from '../sample.ts';
import { mapLookup, mapUpdate, progTestRun } from '../sys/bpf.ts';
import { objectId, objectIds } from '../sys/objects.ts';
import { failingInstruction, lastComplaint, loadProgram, relocate, VerifierError } from './load.ts';

const skip = needsRoot;
const valueOfMap0 = { insn: 1, kind: 'map_value', map: 0, offset: 0 } as const;
const element0 = new Uint8Array(4);

test('relocations put descriptors, kinds and offsets into a copy', () => {
  const spec = bpfProgram('RAW_TRACEPOINT', countHit, [{ ...valueOfMap0, offset: 24 }]);
  const before = spec.code.slice();
  const code = relocate(spec, [{ spec: countersMap, fd: 77 }]);
  // ld_imm64 with src_reg 2 (BPF_PSEUDO_MAP_VALUE): fd in the first imm, offset in the second.
  assert.deepEqual([...code.subarray(8, 24)], [0x18, 0x21, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0, 24, 0, 0, 0]);
  assert.deepEqual(spec.code, before);
});

test('a loaded program counts in its map, and leaves nothing when closed', { skip }, async () => {
  const program = sampleProgram([countersMap], [bpfProgram('RAW_TRACEPOINT', countHit, [valueOfMap0])]);
  const loaded = loadProgram(program);
  const fd = loaded.programs[0]?.fd ?? -1;
  const mapId = objectId('MAP', loaded.maps[0]?.fd ?? -1);
  const programId = objectId('PROG', fd);
  for (let i = 0; i < 3; i++) progTestRun(fd);
  const value = new Uint8Array(64);
  assert.ok(mapLookup(loaded.map('globals')?.fd ?? -1, element0, value));
  assert.equal(new DataView(value.buffer).getBigUint64(0, true), 3n);
  loaded.close();
  loaded.close();
  const left = (): boolean => objectIds('PROG').includes(programId) || objectIds('MAP').includes(mapId);
  assert.ok(await eventually(() => !left()), 'program or map is still there');
});

test('first contents arrive; constants are frozen', { skip }, () => {
  const constants = {
    ...countersMap,
    role: 'constants',
    name: 'rodata',
    flags: 0x80,
    initial: Uint8Array.of(1, 2, 3),
  } as const;
  using loaded = loadProgram(sampleProgram([constants], []));
  const fd = loaded.maps[0]?.fd ?? -1;
  const value = new Uint8Array(64);
  assert.ok(mapLookup(fd, element0, value));
  assert.deepEqual([...value.subarray(0, 5)], [1, 2, 3, 0, 0]);
  assert.throws(() => mapUpdate(fd, element0, value), { code: 'EPERM' });
});

test('a refusal names program, instruction and complaint, and leaves nothing', { skip }, async () => {
  // r0 = 0; r1 = *(u64 *)(r0 + 8): reads through a number.
  const bad = bpfProgram('RAW_TRACEPOINT', [
    [0xb7, 0, 0, 0, 0],
    [0x79, 1, 0, 8, 0],
    [0x95, 0, 0, 0, 0],
  ]);
  const unique = { ...countersMap, role: 'user', name: 'refused' } as const;
  const program = sampleProgram([unique], [bpfProgram('RAW_TRACEPOINT', returnFive), bad]);
  assert.throws(
    () => loadProgram(program),
    (error) => {
      assert.ok(error instanceof VerifierError);
      assert.equal(error.program, 1);
      assert.equal(error.insn, 1);
      assert.equal(error.complaint, "R0 invalid mem access 'scalar'");
      assert.match(error.log, /1: \(79\) r1 = \*\(u64 \*\)\(r0 \+8\)/);
      return true;
    },
  );
  assert.ok(await eventually(() => idsNamed('MAP', 'in_refused').length === 0));
});

test('a kernel that refuses the BTF gets the program without it', { skip }, () => {
  const btf = { btf: Uint8Array.of(1, 2, 3), funcInfo: new Uint8Array(8), lineInfo: new Uint8Array(16) };
  using loaded = loadProgram(sampleProgram([], [bpfProgram('RAW_TRACEPOINT', returnFive, [], { btf })]));
  assert.equal(progTestRun(loaded.programs[0]?.fd ?? -1), 5);
});

test('a BTF that fits and line information that does not: again the program without', { skip }, () => {
  // A header and one string: valid BTF without types; function type 9 does not exist in it.
  const btf = new Uint8Array(25);
  const view = new DataView(btf.buffer);
  view.setUint16(0, 0xeb9f, true);
  view.setUint8(2, 1);
  view.setUint32(4, 24, true); // hdr_len
  view.setUint32(20, 1, true); // str_len
  const funcInfo = Uint8Array.of(0, 0, 0, 0, 9, 0, 0, 0);
  const more = { btf: { btf, funcInfo, lineInfo: new Uint8Array(16) } };
  using loaded = loadProgram(sampleProgram([], [bpfProgram('RAW_TRACEPOINT', returnFive, [], more)]));
  assert.equal(progTestRun(loaded.programs[0]?.fd ?? -1), 5);
});

test('a verifier log that was asked for is kept', { skip }, () => {
  const program: Program = sampleProgram([ringMap(4096)], [bpfProgram('RAW_TRACEPOINT', returnFive)]);
  using loaded = loadProgram(program, { verifierLog: 1 });
  assert.match(loaded.programs[0]?.log ?? '', /processed 2 insns/);
});

test('reading logs of several kernels', () => {
  // Linux 6.1, uninitialised register; text as the kernel's verifier prints it.
  const old =
    '0: R1=ctx(off=0,imm=0) R10=fp0\n0: (bf) r0 = r3\nR3 !read_ok\nprocessed 1 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n';
  assert.equal(lastComplaint(old), 'R3 !read_ok');
  assert.equal(failingInstruction(old), 0);
  const withLines =
    "; @x = *p @ script.bt:3:12\n17: (79) r1 = *(u64 *)(r6 +0)         ; R1_w=scalar() R6=scalar()\nR6 invalid mem access 'scalar'\nverification time 20 usec\nstack depth 8\nprocessed 18 insns (limit 1000000)\n";
  assert.equal(lastComplaint(withLines), "R6 invalid mem access 'scalar'");
  assert.equal(failingInstruction(withLines), 17);
  assert.equal(lastComplaint('back-edge from insn 9 to 4\nprocessed 0 insns\n'), 'back-edge from insn 9 to 4');
  assert.equal(failingInstruction('back-edge from insn 9 to 4\n'), 9);
  assert.equal(failingInstruction(''), undefined);
});

test('without the capabilities the message says which are missing', { skip, timeout: 10_000 }, (t) => {
  const { status, stderr, error } = spawnSync(
    'setpriv',
    ['--bounding-set=-all', '--inh-caps=-all', process.execPath, ...holderArguments('probe')],
    { encoding: 'utf8' },
  );
  if (error) return t.skip('needs setpriv (util-linux)');
  assert.equal(status, 1);
  assert.match(stderr, /not enough privileges: CAP_BPF and CAP_PERFMON are missing/);
});

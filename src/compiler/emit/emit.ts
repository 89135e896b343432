/**
 * Emit: a unit of IR becomes the bytes of a BPF program. In order: simplify (less IR),
 * flow and liveness, register allocation, the stack frame, instruction selection; then
 * jumps are resolved for the whole unit, callbacks standing behind the main function.
 *
 * What the verifier derives must survive this: a bound that a `branch` checks holds for
 * the machine register that is used later. Copies are followed to one register or made by
 * moves, which the verifier links (Linux 5.11); a checked value that lives on the stack
 * is stored again after the check. A bound derived by arithmetic is kept in a stack place
 * since Linux 5.10.
 *
 * The stack is 512 bytes for a function and the callbacks below it. When slots and
 * spilled registers need more, emit fails and says where. Registers are not spilled to a
 * map: a uprobe's program may be preempted by the same program on the same CPU, so that
 * a per-CPU place can be overwritten under it; and the verifier forgets bounds there.
 */
import { fail, ok, type Result } from '../../base/result.ts';
import { Assembler } from '../../bpf/assembler.ts';
import { STACK_BYTES } from '../../bpf/insn.ts';
import type { Source, Span } from '../../diag/source.ts';
import type { Relocation } from '../../program/program.ts';
import type { Instruction, IrFunction, Unit } from '../ir/ir.ts';
import { allocate } from './allocate.ts';
import { buildBtf, type FunctionPlace, type ProgramBtf } from './btf.ts';
import { buildFlow, type Flow, liveness } from './flow.ts';
import { type LoadNote, select } from './select.ts';
import { type SimpleFunction, simplify } from './simplify.ts';
import { layOutFrame } from './stack.ts';

export interface EmitOptions {
  /** The kernel that will load the program: later ones have better instructions. At least 5.15. */
  readonly kernel: { readonly major: number; readonly minor: number };
  /** The script: with it comes BTF with line information. A unit with callbacks gets BTF in any case. */
  readonly source?: Source;
}

export interface Emitted {
  readonly code: Uint8Array;
  readonly relocations: readonly Relocation[];
  readonly spans: Int32Array;
  readonly functions: readonly FunctionPlace[];
  /** Bytes of stack the program takes with its deepest callback, as the verifier counts. */
  readonly stackBytes: number;
  readonly btf?: ProgramBtf;
}

/** Slots and values that are live at once do not fit the stack. */
export interface EmitFailure {
  readonly code: 'stack-overflow';
  /** One sentence for the user. */
  readonly message: string;
  readonly hints: readonly string[];
  /** Where most values are live. */
  readonly span: Span | undefined;
  readonly bytes: number;
}

/** The verifier counts each frame of a chain of calls in steps of this (16 from Linux 6.8 with the JIT). */
const FRAME_STEP = 32;

interface FunctionResult {
  readonly frameBytes: number;
  readonly fullest: Span | undefined;
}

export function emit(unit: Unit, options: EmitOptions): Result<Emitted, EmitFailure> {
  const { major, minor } = options.kernel;
  const since = (wantMajor: number, wantMinor: number): boolean =>
    major > wantMajor || (major === wantMajor && minor >= wantMinor);
  const assembler = new Assembler<LoadNote>();
  const labels = unit.functions.map(() => assembler.label());
  const prepared = prepareReachable(unit, { signedMoves: since(6, 6), signedDivision: since(6, 12) });
  const results = new Map<number, FunctionResult>();
  for (const [index, fn] of prepared) {
    assembler.place(labels[index] as number);
    results.set(index, emitFunction(fn, assembler, labels, since(6, 6)));
  }

  const stackBytes = deepest(prepared, results, 0, 0);
  if (stackBytes > STACK_BYTES) return fail(overflow(results, stackBytes));

  const assembled = assembler.finish({ farJumps: since(6, 6) });
  const relocations = assembled.notes.map(({ slot, note }): Relocation => ({ insn: slot, ...note }));
  const functions = [...prepared].map(
    ([index, { ir }]): FunctionPlace => ({
      name: ir.name,
      slot: assembled.slotOf(labels[index] as number),
      global: index === 0 || ir.global === true,
      parameters: ir.parameters.map((reg) => ir.registers[reg] ?? 'scalar'),
    }),
  );
  const { code, spans } = assembled;
  const emitted = { code, relocations, spans, functions, stackBytes };
  if (options.source === undefined && functions.length === 1) return ok(emitted);
  return ok({ ...emitted, btf: buildBtf(functions, spans, code, options.source) });
}

/** The other function that an instruction calls, or hands to a helper. */
function functionOf(instruction: Instruction): number | undefined {
  return instruction.op === 'function' || instruction.op === 'call' ? instruction.function : undefined;
}

interface Features {
  readonly signedMoves: boolean;
  readonly signedDivision: boolean;
}

interface Prepared {
  readonly ir: IrFunction;
  readonly fn: SimpleFunction;
  readonly flow: Flow;
}

/**
 * The main function and the callbacks that reachable code names, by index, in the order
 * in which they are found. A callback that only dead code names must not be emitted: the
 * verifier refuses instructions that nothing reaches.
 */
function prepareReachable(unit: Unit, features: Features): Map<number, Prepared> {
  const prepared = new Map<number, Prepared>();
  const wanted = [0];
  for (const index of wanted) {
    const ir = unit.functions[index];
    if (ir === undefined || prepared.has(index)) continue;
    const fn = simplify(ir, features);
    const flow = buildFlow(fn);
    prepared.set(index, { ir, fn, flow });
    for (const instruction of flow.code) {
      const other = functionOf(instruction);
      if (other !== undefined) wanted.push(other);
    }
  }
  return prepared;
}

function emitFunction(
  { ir, fn, flow }: Prepared,
  assembler: Assembler<LoadNote>,
  functions: readonly number[],
  signedMoves: boolean,
): FunctionResult {
  const live = liveness(flow, fn);
  const allocation = allocate(fn, flow, live);
  const frame = layOutFrame(flow, fn, ir.slots, live, allocation.stored);
  select({ assembler, fn, flow, live, allocation, frame, functions, signedMoves });
  let at = Math.min(frame.fullest, flow.code.length - 1);
  while (at > 0 && flow.code[at]?.span === undefined) at--;
  return { frameBytes: frame.size, fullest: flow.code[at]?.span };
}

const rounded = (bytes: number): number => Math.ceil(Math.max(bytes, 1) / FRAME_STEP) * FRAME_STEP;

/** Stack bytes of a function and the deepest chain of callbacks below it. */
function deepest(
  prepared: ReadonlyMap<number, Prepared>,
  results: ReadonlyMap<number, FunctionResult>,
  index: number,
  level: number,
): number {
  const own = rounded(results.get(index)?.frameBytes ?? 0);
  // The kernel allows eight frames; a callback that passes itself on would not end otherwise.
  if (level >= 8) return own;
  let below = 0;
  for (const instruction of prepared.get(index)?.flow.code ?? []) {
    const other = functionOf(instruction);
    if (other !== undefined) below = Math.max(below, deepest(prepared, results, other, level + 1));
  }
  return own + below;
}

function overflow(results: ReadonlyMap<number, FunctionResult>, bytes: number): EmitFailure {
  let worst = results.get(0);
  for (const result of results.values()) if (result.frameBytes > (worst?.frameBytes ?? 0)) worst = result;
  const callbacks = results.size > 1 ? ' (loops and map walks share it with the probe)' : '';
  return {
    code: 'stack-overflow',
    message: `too many values are in use at once: they need ${bytes} bytes of stack, and a BPF program has ${STACK_BYTES}${callbacks}`,
    hints: ['Use fewer $variables at the same time, put large ones into @maps, or split the probe into several.'],
    span: worst?.fullest,
    bytes,
  };
}

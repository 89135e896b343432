/**
 * Maps keyed by stacks → named stacks with their counts: what flame graphs, folded lines
 * and profiles of other formats are made of.
 *
 * A key may have other parts besides its stacks, such as comm: they become the outermost
 * frames, in the order in which they were written. Below them stand the frames of user
 * stacks, then those of kernel stacks, outermost first. A user frame is preceded by the
 * functions it was inlined into. Frames have no offsets, so that one function is one
 * frame wherever in it the samples were taken.
 */
import type { NamedFrame, Wording } from '../../render/index.ts';
import { endText, namedFrames, valueText } from '../../render/index.ts';
import type { MapEntry, MapValue } from '../../values/map.ts';
import type { StackValue, Value } from '../../values/value.ts';

/** key: not code, a part of the map's key. inferred: a name with `~`. note: why frames are missing. */
export type FrameKind = 'key' | 'user' | 'inferred' | 'jit' | 'kernel' | 'note';

export interface ProfileFrame {
  readonly name: string;
  readonly kind: FrameKind;
  /** The program, library or kernel module; undefined where unknown. */
  readonly file?: string | undefined;
  /** The line of source, where the stack was taken with config show_debug_info. */
  readonly source?: { readonly file: string; readonly line: number } | undefined;
}

export interface ProfileSample {
  /** Outermost first. */
  readonly frames: readonly ProfileFrame[];
  /** More than 0. */
  readonly count: bigint;
}

export interface StackProfile {
  /** The map, with `@`. */
  readonly name: string;
  /** No two have the same frames. */
  readonly samples: readonly ProfileSample[];
  readonly total: bigint;
  /** Elements that are not among the samples, as their values are negative. */
  readonly negative: number;
}

/** Whether a map is keyed by a stack, alone or besides others. */
export function keyedByStacks(map: MapValue): boolean {
  return map.entries.some((entry) => partsOf(entry).some((part) => part.kind === 'stack'));
}

/** Whether a map's values are whole numbers, which can be added up: count(), sum(), integers. */
export function holdsNumbers(map: MapValue): boolean {
  return map.entries.every(({ value }) => value.kind === 'int');
}

/**
 * The samples of a map that is keyed by stacks and holds numbers, in the map's order.
 * Elements that differ in offsets alone are added up; those of value 0 are no samples.
 */
export function stackProfile(map: MapValue, wording: Wording): StackProfile {
  const samples = new Map<string, { readonly frames: readonly ProfileFrame[]; count: bigint }>();
  let total = 0n;
  let negative = 0;
  for (const entry of map.entries) {
    const count = entry.value.kind === 'int' ? BigInt(entry.value.value) : 0n;
    if (count < 0n) negative++;
    if (count <= 0n) continue;
    const frames = framesOf(partsOf(entry), wording);
    const key = JSON.stringify(frames);
    const same = samples.get(key);
    if (same === undefined) samples.set(key, { frames, count });
    else same.count += count;
    total += count;
  }
  return { name: `@${map.name}`, samples: [...samples.values()], total, negative };
}

/** The parts of a key; one tuple is as good as several parts. */
function partsOf({ key }: MapEntry): readonly Value[] {
  const only = key.length === 1 ? key[0] : undefined;
  return only?.kind === 'tuple' ? only.elements : key;
}

function framesOf(parts: readonly Value[], wording: Wording): ProfileFrame[] {
  const others = parts.filter((part) => part.kind !== 'stack');
  const stacks = parts.filter((part) => part.kind === 'stack');
  const inSpace = (space: StackValue['space']): ProfileFrame[] =>
    stacks.filter((stack) => stack.space === space).flatMap((stack) => stackFrames(stack, wording));
  const code = [...inSpace('user'), ...inSpace('kernel')];
  return [
    ...others.map((part): ProfileFrame => ({ name: valueText(part, wording, 'compact'), kind: 'key' })),
    ...(code.length > 0 ? code : [{ name: '[no stack]', kind: 'note' } as const]),
  ];
}

/** The frames of one stack, outermost first; before them why the outermost ones are missing. */
function stackFrames(stack: StackValue, wording: Wording): ProfileFrame[] {
  const { names } = wording;
  const inner = namedFrames(stack, names);
  const end = endText(stack, inner.at(-1)?.address, names, false);
  const frames = inner.flatMap((frame) => inlinedFrames(stack, frame, wording)).reverse();
  // An empty one is no failure: a kernel thread has no user stack, a sample of user code no kernel stack.
  return end === undefined ? frames : [{ name: `[${end}]`, kind: 'note' }, ...frames];
}

/** A frame and what was inlined into it, innermost first. */
function inlinedFrames(stack: StackValue, frame: NamedFrame, { names }: Wording): ProfileFrame[] {
  const { address, symbol, sources } = frame;
  if (stack.mode === 'raw') return [{ name: `0x${address.toString(16)}`, kind: kindOf(stack, undefined, undefined) }];
  const user = stack.space === 'user' && typeof address === 'number';
  const file = symbol?.file ?? (user ? names.userFile?.(stack.pid, address) : undefined);
  const kind = kindOf(stack, symbol?.name, file);
  const unknown = file === undefined ? '[unknown]' : `[unknown] (${file})`;
  const inlined = sources.map((one, index): ProfileFrame => {
    const own = index === sources.length - 1;
    const name = own ? (symbol?.name ?? (one.name || unknown)) : one.name || unknown;
    return { name, kind, file, source: one.file === '' ? undefined : { file: one.file, line: one.line } };
  });
  return inlined.length > 0 ? inlined : [{ name: symbol?.name ?? unknown, kind, file }];
}

function kindOf(stack: StackValue, name: string | undefined, file: string | undefined): FrameKind {
  if (stack.space === 'kernel') return 'kernel';
  if (file === '[jit]') return 'jit';
  return name?.startsWith('~') ? 'inferred' : 'user';
}

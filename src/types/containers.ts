/** From the type of an expression to the container that it means: behind pointers, and inside classes that only wrap one. */
import type { Content, Elements, Measure, Part } from './content.ts';
import type { ArrayType, CompositeType, Type } from './model.ts';
import type { Printers } from './printers.ts';

/** From an object to the next one on the way. */
export type Step =
  /** The expression's value is the address. */
  | { readonly kind: 'pointer' }
  /** The object holds the address. */
  | { readonly kind: 'held'; readonly of: CompositeType; readonly address: Measure }
  | { readonly kind: 'inside'; readonly offset: number };

export interface Container {
  readonly type: CompositeType | ArrayType;
  readonly content: Elements;
  readonly steps: readonly Step[];
}

/** Pointers and wrappers around one container. */
const mostSteps = 8;

/** The container that a value of a type is, or leads to; undefined for none. */
export function containerOf(printers: Printers, type: Type): Container | undefined {
  const steps: Step[] = [];
  let here = type;
  while (steps.length < mostSteps) {
    if (here.kind === 'pointer') {
      // Only the value of the expression itself is a pointer; those further on are held by objects.
      if (steps.length > 0) return undefined;
      steps.push({ kind: 'pointer' });
      here = here.to();
    } else if (here.kind === 'array') {
      return { type: here, content: arrayContent(here), steps };
    } else if (here.kind === 'struct') {
      const content = printers.contentOf(here);
      if (isElements(content)) return { type: here, content, steps };
      if (content?.kind === 'pointer') steps.push({ kind: 'held', of: here, address: content.address });
      else if (content?.kind === 'plain') steps.push({ kind: 'inside', offset: content.offset });
      else return undefined;
      here = content.of;
    } else return undefined;
  }
  return undefined;
}

const zero: Measure = { kind: 'constant', value: 0 };

const arrayContent = (array: ArrayType): Elements => ({
  kind: 'sequence',
  first: zero,
  count: { kind: 'constant', value: array.length },
  of: array.of,
  inside: { tag: zero, offset: 0 },
});

export function isElements(content: Content | undefined): content is Elements {
  switch (content?.kind) {
    case 'sequence':
    case 'blocks':
    case 'ring':
    case 'list':
    case 'tree':
    case 'bits':
    case 'slots':
    case 'groups':
    case 'buckets':
      return true;
    default:
      return false;
  }
}

/** Whether the elements are put together by the tracing program: they have no address then. */
export const isComposed = (content: Elements): boolean => content.kind === 'bits' || content.kind === 'buckets';

/** Whether elements are looked up by a key. */
export function isKeyed(content: Elements): boolean {
  switch (content.kind) {
    case 'list':
    case 'tree':
    case 'slots':
      return content.keyed === true;
    case 'groups':
    case 'buckets':
      return true;
    default:
      return false;
  }
}

/** Where the parts of a pair lie in it: key and value of a map's element. */
export function pairOf(printers: Printers, type: Type): readonly [Part, Part] | undefined {
  const content = type.kind === 'struct' || type.kind === 'union' ? printers.contentOf(type) : undefined;
  if (content?.kind === 'plain') {
    const inner = pairOf(printers, content.of);
    return inner && [inward(inner[0], content.offset), inward(inner[1], content.offset)];
  }
  if (content?.kind !== 'tuple') return undefined;
  const [first, second] = content.members;
  return first !== undefined && second !== undefined ? [first, second] : undefined;
}

const inward = ({ offset, of }: Part, by: number): Part => ({ offset: offset + by, of });

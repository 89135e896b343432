/** Containers of the program: what `[]` and a loop over them reach. */
import { type Container, containerOf, isKeyed, pairOf } from '../../types/containers.ts';
import { describe } from '../../types/layout.ts';
import type { Type } from '../../types/model.ts';
import type * as Ast from '../syntax/ast.ts';
import { elementOf } from './decay.ts';
import { isIntegral, isUnknown, unknownType } from './scope.ts';
import type { Sema } from './sema.ts';

/** What the compiler notes of an access by key: the pair is looked for. */
export interface KeyedAccess {
  readonly container: Container;
  readonly by: 'number' | 'key';
}

/** The container that an expression of the program's memory leads to. */
export function containerAt(sema: Sema, expr: Ast.Expr, type: Type): Container | undefined {
  if (!sema.probe.userMemory || isUnknown(type)) return undefined;
  return containerOf(sema.options.printers, sema.facts.texts.get(expr) ?? type);
}

/**
 * `container[index]`: the element of that number, of a map the value behind that key;
 * undefined for what is no container (a pointer's `[]` counts from where it points to).
 */
export function typeOfContainerIndex(sema: Sema, expr: Ast.Index, type: Type, index: Type): Type | undefined {
  if (type.kind !== 'struct') return undefined;
  const container = containerAt(sema, expr.object, type);
  if (container === undefined) return undefined;
  const { content } = container;
  const note = (by: KeyedAccess['by']): void => {
    sema.facts.notes.set(expr, { container, by } satisfies KeyedAccess);
  };
  if (!isKeyed(content)) {
    if (content.kind === 'tree' || content.kind === 'slots' || content.kind === 'list') {
      if (content.kind !== 'list' || !content.ordered) {
        return refuse(sema, expr, `elements of '${describe(type)}' have no number`, 'for ($x : …) goes through them');
      }
      sema.needsLoop(expr.span, '[] on a list');
    }
    if (!isIntegral(index))
      return refuse(sema, expr, `the number of an element is an integer, not '${describe(index)}'`);
    note('number');
    return elementOf(content.of);
  }
  const pair = pairOf(sema.options.printers, content.of);
  if (pair === undefined) return refuse(sema, expr, `elements of '${describe(type)}' are no pairs that insitu knows`);
  const [key, value] = pair;
  const texts = key.of.kind === 'struct' && sema.options.printers.contentOf(key.of)?.kind === 'text';
  const fits = texts ? index.kind === 'string' : isNumber(key.of) && (isIntegral(index) || index.kind === 'pointer');
  if (!fits) {
    const known = texts || isNumber(key.of);
    return refuse(
      sema,
      expr,
      known
        ? `the keys of '${describe(type)}' are '${describe(key.of)}', not '${describe(index)}'`
        : `keys of type '${describe(key.of)}' cannot be looked up`,
      'for ($kv : …) goes through all of them, with $kv.0 as the key and $kv.1 as the value',
    );
  }
  sema.needsLoop(expr.span, '[] on a map');
  note('key');
  return elementOf(value.of);
}

const isNumber = (type: Type): boolean => isIntegral(type) || type.kind === 'pointer';

function refuse(sema: Sema, expr: Ast.Index, message: string, ...hints: string[]): Type {
  sema.error('index-type', message, expr.index.span, ...hints);
  return unknownType;
}

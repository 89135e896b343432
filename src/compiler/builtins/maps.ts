/** clear, zero, delete, has_key: what is done to maps. */
import type { Container } from '../../types/containers.ts';
import { boolType, type CompositeType, noneType, uint64 } from '../../types/model.ts';
import { lengthOfContainer, lengthOfText } from '../lower/contents.ts';
import { emitEvent, spanOf } from '../lower/events.ts';
import { assetOf, countKeys, deleteKey, hasKey } from '../lower/maps.ts';
import { containerAt } from '../sema/elements.ts';
import type { Sema } from '../sema/sema.ts';
import type { Call, Expr, MapAccess } from '../syntax/ast.ts';
import type { BuiltinFunction } from './builtin.ts';
import { countFrames, isTaken } from './stacks.ts';

/** `f(@m[k])` or `f(@m, k)`: as an access with its key. */
function keyed(sema: Sema, call: Call): MapAccess | undefined {
  const map = call.args[0];
  if (map?.node !== 'map') {
    sema.error('map-expected', `${call.name}() takes a map (@name[key])`, map?.span ?? call.span);
    return undefined;
  }
  const key = call.args[1];
  if (key === undefined) return map;
  if (map.keys.length > 0 || key.node === 'type') {
    sema.error('map-expected', `${call.name}() takes a map and a key: ${call.name}(@${map.name}, key)`, call.span);
    return undefined;
  }
  return { ...map, keys: [key] };
}

function typeKeyed(sema: Sema, call: Call): void {
  const access = keyed(sema, call);
  if (access === undefined) return;
  sema.facts.notes.set(call, access);
  const info = sema.mapInfo(access);
  if (access.keys.length === 0 && (info.keys?.length ?? 0) > 0) {
    sema.error(
      'key-expected',
      `${call.name}() needs a key: @${info.name} has one`,
      call.span,
      `${call.name}(@${info.name}, key); clear(@${info.name}) empties the map`,
    );
    return;
  }
  sema.mapAccess(access);
}

const whole = (name: 'clear' | 'zero', about: string): BuiltinFunction => ({
  name,
  signature: `${name}(@map)`,
  about,
  arity: [1, 1],
  statementOnly: true,
  type: (sema, call) => {
    sema.mapArgument(call, 0, false);
    return noneType;
  },
  statement: (low, call) => {
    const { index } = assetOf(low, call.args[0] as MapAccess);
    emitEvent(low, [], (_args, size) => ({ kind: name, map: index, size, span: spanOf(call) }));
  },
});

export const mapFunctions: readonly BuiltinFunction[] = [
  whole('clear', 'deletes all keys'),
  whole('zero', 'sets all values to 0'),
  {
    name: 'delete',
    signature: 'delete(@map, key)',
    about: 'deletes a key; true when it was there',
    arity: [1, 2],
    statementOnly: true,
    type: (sema, call) => {
      typeKeyed(sema, call);
      return boolType;
    },
    scalar: (low, call) => deleteKey(low, low.facts.notes.get(call) as MapAccess),
  },
  {
    name: 'len',
    signature: 'len(@map), len(stack), len(container)',
    about:
      'number of keys of a map, of frames of a stack, of elements of a container or bytes of a string of the program',
    arity: [1, 1],
    type: (sema, call) => {
      const argument = call.args[0] as Expr;
      if (argument.node !== 'map' || argument.keys.length > 0) {
        const type = sema.expr(argument);
        if (type.kind === 'ustack' || type.kind === 'kstack') {
          if (!isTaken(argument)) sema.countsStacks = true;
          return uint64;
        }
        const note = sema.facts.texts.get(argument) ?? containerAt(sema, argument, type);
        if (note !== undefined) {
          if ('content' in note && note.content.kind === 'list' && note.content.count === undefined) {
            sema.needsLoop(call.span, 'the length of a list that does not know it');
          }
          sema.facts.notes.set(call, note);
          return uint64;
        }
      }
      const info = sema.mapArgument(call, 0, false);
      if (info?.keys?.length === 0) {
        sema.error('key-expected', `len() counts keys, and @${info.name} has none`, call.span);
      }
      return uint64;
    },
    scalar: (low, call) => {
      const argument = call.args[0] as Expr;
      const type = low.typeOf(argument);
      const note = low.facts.notes.get(call) as CompositeType | Container | undefined;
      if (note !== undefined) {
        return 'kind' in note ? lengthOfText(low, argument, note) : lengthOfContainer(low, argument, note);
      }
      if (argument.node === 'map' && argument.keys.length === 0) return countKeys(low, argument);
      if (type.kind === 'ustack' || type.kind === 'kstack') return countFrames(low, argument, type);
      return countKeys(low, argument as MapAccess);
    },
  },
  {
    name: 'has_key',
    signature: 'has_key(@map, key)',
    about: 'whether a map has a key',
    arity: [1, 2],
    type: (sema, call) => {
      typeKeyed(sema, call);
      return boolType;
    },
    scalar: (low, call) => hasKey(low, low.facts.notes.get(call) as MapAccess),
  },
];

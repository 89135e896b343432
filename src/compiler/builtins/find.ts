/** find(): a look-up that tells whether there was anything. */
import { boolType, type Type } from '../../types/model.ts';
import { copyValue } from '../lower/copy.ts';
import { isScalarType } from '../lower/layout.ts';
import { assetOf, lookup, lowerKey } from '../lower/maps.ts';
import { isUnknown } from '../sema/scope.ts';
import { assignTo } from '../sema/statements.ts';
import type { Expr, MapAccess, Variable } from '../syntax/ast.ts';
import type { BuiltinFunction } from './builtin.ts';

export const findFunction: BuiltinFunction = {
  name: 'find',
  signature: 'find(@map, key, $variable)',
  about: 'whether a map has a key; its value goes into the variable',
  arity: [3, 3],
  type: (sema, call): Type => {
    const [map, key, variable] = call.args;
    if (map?.node !== 'map' || map.keys.length > 0) {
      sema.error('map-expected', 'find() takes a map (@name)', map?.span ?? call.span);
      return boolType;
    }
    if (variable?.node !== 'variable') {
      sema.error('variable-expected', 'find() puts the value into a $variable', variable?.span ?? call.span);
      return boolType;
    }
    const access: MapAccess = { ...map, keys: [key as Expr] };
    sema.facts.notes.set(call, access);
    const info = sema.mapAccess(access);
    const type = info.value;
    if (type.kind === 'aggregate') {
      sema.error('argument-type', `find() cannot read ${type.aggregate}() values into a variable`, map.span);
    } else if (!isUnknown(type)) {
      const place = sema.scope.find(variable.name) ?? sema.declare(variable, type, false);
      sema.facts.variables.set(variable, place);
      assignTo(sema, place, type, variable, call.span);
      sema.facts.types.set(variable, place.type);
    }
    return boolType;
  },
  scalar: (low, call) => {
    const { b } = low;
    const access = low.facts.notes.get(call) as MapAccess;
    const variable = call.args[2] as Variable;
    const asset = assetOf(low, access);
    return low.scoped(() => {
      const found = b.const(0);
      const missing = b.label();
      const value = lookup(low, asset, lowerKey(low, access));
      b.branch('eq', value, { imm: 0 }, missing);
      const own = asset.info.value;
      if (isScalarType(own)) low.writeVariable(variable, b.load(value, 0, 8));
      else {
        const place = low.variablePlace(variable);
        copyValue(low, { kind: 'direct', base: value, offset: 0 }, own, place, low.variableInfo(variable).type);
      }
      b.push({ op: 'const', dst: found, value: 1n });
      b.place(missing);
      return found;
    });
  },
};

/** All builtins by name. A new one is a new file and a line here. */
import { aggregateFunctions } from './aggregates.ts';
import { aliasFunctions } from './alias.ts';
import { argsVariable, argumentVariables, regFunction, retvalVariable } from './arguments.ts';
import { assertFunctions } from './asserts.ts';
import { bswapFunction } from './bits.ts';
import { bufFunction } from './buf.ts';
import type { Builtins } from './builtin.ts';
import { exitFunction } from './exit.ts';
import { findFunction } from './find.ts';
import { globalFunctions } from './globals.ts';
import { identityFunctions, identityVariables } from './identity.ts';
import { macaddrFunction, ntopFunction, ptonFunction } from './inet.ts';
import { joinFunction } from './join.ts';
import { kernelFunctions } from './kernel.ts';
import { mapFunctions } from './maps.ts';
import { nameFunctions } from './names.ts';
import { objectFunction } from './object.ts';
import { skboutputFunction } from './packets.ts';
import { pointerFunctions } from './pointers.ts';
import { printFunction } from './print.ts';
import { formatFunctions } from './printf.ts';
import { probeVariables } from './probe.ts';
import { searchFunctions } from './search.ts';
import { sizeFunctions } from './size.ts';
import { stackFunctions } from './stacks.ts';
import { strFunction } from './str.ts';
import { stringFunctions } from './strings.ts';
import { symbolFunctions } from './symbols.ts';
import { timeFunctions, timeVariables } from './time.ts';
import { typeinfoFunction } from './typeinfo.ts';
import { typenameFunction } from './typename.ts';
import { typeFunctions } from './types.ts';
import { unsafeFunctions } from './unsafe.ts';

const byName = <T extends { readonly name: string }>(list: readonly T[]): ReadonlyMap<string, T> =>
  new Map(list.map((item) => [item.name, item]));

const variables: Builtins['variables'] = byName([
  ...identityVariables,
  ...timeVariables,
  ...probeVariables,
  ...argumentVariables,
  argsVariable,
  retvalVariable,
]);

const functions: Builtins['functions'] = byName([
  ...aggregateFunctions,
  ...aliasFunctions,
  ...assertFunctions,
  ...formatFunctions,
  ...kernelFunctions,
  ...mapFunctions,
  ...unsafeFunctions,
  ...pointerFunctions,
  ...searchFunctions,
  ...nameFunctions,
  ...stringFunctions,
  ...typeFunctions,
  ...identityFunctions,
  ...sizeFunctions,
  ...stackFunctions,
  ...symbolFunctions,
  ...globalFunctions,
  ...timeFunctions,
  bswapFunction,
  bufFunction,
  exitFunction,
  findFunction,
  joinFunction,
  macaddrFunction,
  ntopFunction,
  printFunction,
  ptonFunction,
  regFunction,
  skboutputFunction,
  strFunction,
  typeinfoFunction,
  objectFunction,
  typenameFunction,
]);

export const builtins: Builtins = { variables, functions };

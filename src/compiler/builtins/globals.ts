/** global() and uaddr(): variables of the program, and their addresses. */
import type { Binary } from '../../target/target.ts';
import type { Computation, Location } from '../../types/location.ts';
import { constant } from '../../types/location.ts';
import { intType, pointerTo, type Type, uint64, voidType } from '../../types/model.ts';
import type { ProgramVariable } from '../../types/source.ts';
import type { Reg } from '../ir/ir.ts';
import { copyValue } from '../lower/copy.ts';
import { lowerComputation, placeOfVariable, threadPointerOffset } from '../lower/locations.ts';
import type { Lower } from '../lower/lower.ts';
import type { Place } from '../lower/place.ts';
import { typeOfVariable } from '../sema/members.ts';
import { unknownType } from '../sema/scope.ts';
import type { Sema } from '../sema/sema.ts';
import type { Call } from '../syntax/ast.ts';
import type { BuiltinFunction } from './builtin.ts';
import { currentPid } from './pids.ts';

/** What a call means, noted for lowering. */
interface Found {
  readonly variable: ProgramVariable;
  /** The process whose memory it is in, where no probe in the file tells. */
  readonly pid: number | undefined;
}

/** The file that a name is looked for in: the probed one, the one that the call names, or the program of -p. */
function fileOf(sema: Sema, call: Call): { readonly binary: Binary; readonly own: boolean } | undefined {
  const probed = sema.probe.function?.binary;
  const named = call.args[1];
  const { pid } = sema.options;
  const text = named === undefined ? undefined : sema.literalText(named);
  if (named !== undefined && text === undefined) {
    sema.error('literal-expected', `${call.name}() takes the name of a file here`, named.span);
    return undefined;
  }
  if (text === undefined && probed !== undefined) return { binary: probed, own: true };
  if (pid === undefined) {
    sema.error(
      'wrong-probe',
      text === undefined
        ? `${call.name}() looks in the probed file, and '${sema.probe.provider}' probes have none`
        : `where ${text} lies in a process is known only of one process`,
      call.span,
      'name the process with -p PID',
    );
    return undefined;
  }
  if (!sema.probe.hasProcess) {
    sema.error('wrong-probe', `'${sema.probe.provider}' probes do not run in the process`, call.span);
    return undefined;
  }
  const opened = sema.target.binary(text ?? `/proc/${pid}/exe`, pid);
  if (opened.ok) return { binary: opened.value, own: opened.value === probed };
  sema.error('no-binary', opened.error.message, (named ?? call).span, ...opened.error.hints);
  return undefined;
}

/** A location whose addresses are those in the process. */
function rebased(location: Location, bias: bigint): Location {
  if (location.kind !== 'memory') return location;
  const move = (one: Computation): Computation =>
    one.op === 'address'
      ? constant(BigInt(one.address) + bias)
      : one.op === 'binary'
        ? { ...one, left: move(one.left), right: move(one.right) }
        : one.op === 'read'
          ? { ...one, from: move(one.from) }
          : one;
  return { kind: 'memory', address: move(location.address) };
}

/** Notes where a variable is; complains where that can't be told. */
function locate(sema: Sema, call: Call, variable: ProgramVariable, binary: Binary, own: boolean): Found | undefined {
  const { location } = variable;
  const address = location.kind === 'memory' ? location.address : undefined;
  if (address?.op === 'thread') {
    if (threadPointerOffset(sema.target) === undefined) {
      sema.error(
        'thread-local',
        "where a thread's variables are is told by the kernel's types, which are not there",
        call.span,
      );
      return undefined;
    }
    if ((address.module !== undefined || address.distance !== undefined) && !own) {
      sema.error(
        'thread-local',
        `thread-local variables of ${binary.path} are found from probes in that file only`,
        call.span,
      );
      return undefined;
    }
    return { variable, pid: undefined };
  }
  if (own || location.kind !== 'memory') return { variable, pid: undefined };
  const pid = sema.options.pid as number;
  const bias = binary.positionIndependent ? sema.target.loadBias(binary, pid) : 0n;
  if (bias === undefined) {
    sema.error('not-mapped', `process ${pid} has not loaded ${binary.path}`, call.span);
    return undefined;
  }
  return { variable: { ...variable, location: rebased(location, bias) }, pid };
}

function literalName(sema: Sema, call: Call): string | undefined {
  for (const argument of call.args) if (argument.node !== 'type') sema.expr(argument);
  const name = sema.literalText(call.args[0]);
  if (name === undefined)
    sema.error('literal-expected', `${call.name}() takes a literal name`, call.args[0]?.span ?? call.span);
  return name;
}

function placeOfGlobal(low: Lower, call: Call): Place {
  const { variable, pid } = low.facts.notes.get(call) as Found;
  const place = placeOfVariable(low, variable);
  if (pid === undefined || place.kind !== 'memory') return place;
  // Another process has something else there: the read is made to fail.
  const address = low.b.reg();
  const same = low.b.label();
  low.b.mov(address, place.address);
  low.b.branch('eq', currentPid(low), { imm: pid }, same);
  low.b.push({ op: 'const', dst: address, value: 0n });
  low.b.place(same);
  return { ...place, address };
}

export const globalFunctions: readonly BuiltinFunction[] = [
  {
    name: 'global',
    signature: 'global("name" [, "file"])',
    about: 'a global variable, static member, function::static or thread-local variable of the program',
    arity: [1, 2],
    type: (sema, call) => {
      const name = literalName(sema, call);
      const file = name === undefined ? undefined : fileOf(sema, call);
      if (name === undefined || file === undefined) return unknownType;
      const types = file.binary.types();
      const variable = types?.global(name);
      if (variable === undefined) {
        const near = types?.nearGlobals(name) ?? [];
        sema.error(
          types === undefined ? 'no-debug-info' : 'unknown-symbol',
          types === undefined
            ? `${file.binary.path} has no debugging information, which would tell the type of '${name}'`
            : `${file.binary.path} has no global variable '${name}'`,
          call.span,
          ...(types === undefined
            ? [`uaddr("${name}") is the address of a symbol`]
            : near.length > 0
              ? [`did you mean ${near.map((one) => `'${one}'`).join(' or ')}?`]
              : []),
        );
        return unknownType;
      }
      const found = locate(sema, call, variable, file.binary, file.own);
      if (found === undefined) return unknownType;
      sema.facts.notes.set(call, found);
      return typeOfVariable(found.variable);
    },
    place: placeOfGlobal,
    scalar: (low, call) => low.readScalar(placeOfGlobal(low, call), low.typeOf(call)),
    into: (low, call, to) => {
      const type = low.typeOf(call);
      copyValue(low, placeOfGlobal(low, call), type, to, type);
    },
  },
  {
    name: 'uaddr',
    signature: 'uaddr("name" [, "file"])',
    about: 'address of a variable or function of the program',
    arity: [1, 2],
    type: (sema, call) => {
      const name = literalName(sema, call);
      const file = name === undefined ? undefined : fileOf(sema, call);
      if (name === undefined || file === undefined) return uint64;
      const { binary, own } = file;
      const object = binary.object(name);
      const symbol = object ?? binary.find(name)[0];
      const described = symbol === undefined ? binary.types()?.global(name) : undefined;
      if (symbol === undefined && described === undefined) {
        const near = binary.near(name).slice(0, 3);
        sema.error(
          'unknown-symbol',
          `${binary.path} has no symbol '${name}'`,
          call.args[0]?.span ?? call.span,
          ...(near.length > 0 ? [`did you mean ${near.join(', ')}?`] : []),
        );
        return uint64;
      }
      const size = object?.size;
      const to: Type =
        described?.type ?? (size === 1 || size === 2 || size === 4 || size === 8 ? intType(size, false) : uint64);
      const variable: ProgramVariable = described ?? {
        name,
        type: voidType,
        declaration: '',
        location: { kind: 'memory', address: { op: 'address', address: symbol?.address ?? 0 } },
      };
      const found = locate(sema, call, variable, binary, own);
      if (found === undefined) return uint64;
      sema.facts.notes.set(call, found);
      return pointerTo(to, 'user');
    },
    scalar: (low, call): Reg => {
      const { variable } = low.facts.notes.get(call) as Found;
      const { location } = variable;
      return location.kind === 'memory' ? lowerComputation(low, location.address) : low.b.const(0);
    },
  },
];

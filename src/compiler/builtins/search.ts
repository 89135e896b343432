/**
 * strlen, strcap, strcontains, strstr, str_concat, memcmp: what takes more than one look
 * at a text. Lengths come from bpf_probe_read_kernel_str, which copies and counts in one
 * go; a text is searched position by position by a function that the kernel calls back.
 */
import { describe, sizeOf } from '../../types/layout.ts';
import { boolType, int64, type StringType, type Type, uint64 } from '../../types/model.ts';
import type { Reg } from '../ir/ir.ts';
import { bpfHelper } from '../lower/bpfhelper.ts';
import { mostSteps } from '../lower/compare.ts';
import type { Lower } from '../lower/lower.ts';
import type { DirectPlace } from '../lower/place.ts';
import { concatInto, concatType, readText, textOf } from '../lower/text.ts';
import { isUnknown } from '../sema/scope.ts';
import type { Sema } from '../sema/sema.ts';
import type { Call, Expr } from '../syntax/ast.ts';
import type { BuiltinFunction } from './builtin.ts';

/** Types an argument that must be text: a string, an array of characters or a pointer to some. */
function textArgument(sema: Sema, call: Call, index: number): StringType | undefined {
  const argument = call.args[index] as Expr;
  const type = sema.expr(argument);
  if (isUnknown(type)) return undefined;
  const text = textOf(type, sema.config);
  if (text === undefined) {
    sema.error(
      'argument-type',
      `${call.name}() takes strings, arrays of characters or pointers to them (${describe(type)} provided)`,
      argument.span,
    );
  }
  return text;
}

/** Refuses more bytes than the verifier follows one by one. */
function checkSteps(sema: Sema, call: Call, index: number, bytes: number | undefined): void {
  if (bytes === undefined || bytes <= mostSteps) return;
  sema.error(
    'too-long',
    `${call.name}() looks at most at ${mostSteps} bytes one by one, not ${bytes}`,
    (call.args[index] as Expr).span,
    call.name === 'memcmp' ? '== compares strings of any length' : 'str(pointer, length) makes the text sought shorter',
  );
}

/** Bytes that memcmp() may look at. */
function bytesThere(sema: Sema, expr: Expr): number {
  const type = sema.facts.types.get(expr);
  return type === undefined || isUnknown(type) ? 0 : type.kind === 'pointer' ? sema.config.maxStrlen : sizeOf(type);
}

/** Position of the second argument's text in the first's, -1 when it is not there. */
function position(low: Lower, call: Call): Reg {
  const { b } = low;
  return low.scoped(() => {
    const [haystack, needle] = call.args as [Expr, Expr];
    const needleRoom = (textOf(low.typeOf(needle), low.options.config) as StringType).size;
    const hay = readText(low, haystack, needleRoom);
    const sought = readText(low, needle);
    const answer = low.scratch(8);
    b.store(answer.base, answer.offset, 8, b.const(-1));
    const done = b.label();
    b.branch('slt', hay.length, sought.length, done);
    // Both lengths have the NUL in them: one position more than their difference.
    const positions = b.alu('add', b.alu('sub', hay.length, sought.length), { imm: 1 });
    const environment = low.environment();
    const callback = low.callback('search', 2, 1, ([index]) => matchAt(low, index as Reg, hay, sought, answer));
    b.call(bpfHelper.loop, [positions, callback, environment, { imm: 0 }]);
    b.place(done);
    return b.load(answer.base, answer.offset, 8);
  });
}

type Text = ReturnType<typeof readText>;

/** The body of the search: notes the index and ends the loop when the needle stands there. */
function matchAt(low: Lower, index: Reg, hay: Text, sought: Text, answer: DirectPlace): void {
  const { b, loop } = low;
  if (loop === undefined) return;
  const base = low.scratchBase();
  const at = b.reg();
  b.mov(at, index);
  b.branch('uge', at, { imm: hay.size }, loop.breakTo);
  const from = b.alu('add', base, at);
  const step = b.const(0);
  const again = b.label();
  const found = b.label();
  b.place(again);
  const wanted = b.load(b.alu('add', base, step), sought.place.offset, 1);
  b.branch('eq', wanted, { imm: 0 }, found);
  b.branch('ne', b.load(b.alu('add', from, step), hay.place.offset, 1), wanted, loop.continueTo);
  b.push({ op: 'alu', operator: 'add', dst: step, left: step, right: { imm: 1 } });
  b.branch('ult', step, { imm: sought.size }, again);
  b.place(found);
  b.store(base, answer.offset, 8, at);
  b.jump(loop.breakTo);
}

/** The bytes of a value, and how many there are: of strings all their room, so that what follows a NUL is zero. */
function bytesOf(low: Lower, expr: Expr, most: number): { readonly place: DirectPlace; readonly size: number } {
  const type = low.typeOf(expr);
  if (type.kind !== 'pointer') return { place: low.materialize(expr, type), size: sizeOf(type) };
  const place = low.scratch(most);
  low.readMemory(place, { kind: 'memory', address: low.scalar(expr), offset: 0, space: type.space }, { imm: most });
  return { place, size: most };
}

function compare(low: Lower, call: Call): Reg {
  const { b } = low;
  const [left, right, count] = call.args as [Expr, Expr, Expr];
  const constant = low.constantOf(count);
  const most = Math.max(1, Math.min(low.options.config.maxStrlen, Number(constant ?? low.options.config.maxStrlen)));
  return low.scoped(() => {
    const [a, c] = [bytesOf(low, left, most), bytesOf(low, right, most)];
    const size = Math.min(a.size, c.size);
    const difference = b.const(0);
    const done = b.label();
    const again = b.label();
    const wanted = b.reg();
    b.mov(wanted, constant === undefined ? low.scalar(count) : b.const(constant));
    const at = b.const(0);
    const [leftAt, rightAt] = [low.addressOf(a.place), low.addressOf(c.place)];
    b.place(again);
    b.branch('uge', at, wanted, done);
    const one = b.load(b.alu('add', leftAt, at), 0, 1);
    const other = b.load(b.alu('add', rightAt, at), 0, 1);
    b.push({ op: 'alu', operator: 'sub', dst: difference, left: one, right: other });
    b.branch('ne', difference, { imm: 0 }, done);
    b.push({ op: 'alu', operator: 'add', dst: at, left: at, right: { imm: 1 } });
    b.branch('ult', at, { imm: size }, again);
    b.place(done);
    return difference;
  });
}

export const searchFunctions: readonly BuiltinFunction[] = [
  {
    name: 'strlen',
    signature: 'strlen(text)',
    about: 'number of bytes before the NUL',
    arity: [1, 1],
    type: (sema, call) => {
      textArgument(sema, call, 0);
      const text = sema.literalText(call.args[0]);
      if (text !== undefined) sema.facts.constants.set(call, BigInt(new TextEncoder().encode(text).length));
      return uint64;
    },
    scalar: (low, call) => low.scoped(() => low.b.alu('sub', readText(low, call.args[0] as Expr).length, { imm: 1 })),
  },
  {
    name: 'strcap',
    signature: 'strcap(text)',
    about: 'room that a text has, its NUL included',
    arity: [1, 1],
    type: (sema, call) => {
      const argument = call.args[0] as Expr;
      const text = textArgument(sema, call, 0);
      const type = sema.facts.types.get(argument);
      const own = type?.kind === 'pointer' ? sema.config.maxStrlen : sema.declaredSize(argument);
      if (text !== undefined) sema.facts.constants.set(call, BigInt(own));
      return uint64;
    },
    scalar: (low, call) => low.b.const(low.constantOf(call) ?? 0n),
  },
  {
    name: 'strcontains',
    signature: 'strcontains(haystack, needle)',
    about: 'whether a text stands in another',
    arity: [2, 2],
    type: (sema, call) => {
      textArgument(sema, call, 0);
      checkSteps(sema, call, 1, textArgument(sema, call, 1)?.size);
      return boolType;
    },
    scalar: (low, call) => {
      const { b } = low;
      const at = position(low, call);
      const result = b.const(0);
      const missing = b.label();
      b.branch('slt', at, { imm: 0 }, missing);
      b.push({ op: 'const', dst: result, value: 1n });
      b.place(missing);
      return result;
    },
  },
  {
    name: 'strstr',
    signature: 'strstr(haystack, needle)',
    about: 'where a text first stands in another, -1 when nowhere',
    arity: [2, 2],
    type: (sema, call) => {
      textArgument(sema, call, 0);
      checkSteps(sema, call, 1, textArgument(sema, call, 1)?.size);
      return int64;
    },
    scalar: position,
  },
  {
    name: 'str_concat',
    signature: 'str_concat(a, b)',
    about: 'two texts, one behind the other; a + b means the same',
    arity: [2, 2],
    type: (sema, call): Type => {
      const first = textArgument(sema, call, 0);
      const second = textArgument(sema, call, 1);
      return concatType(first ?? { kind: 'string', size: 1 }, second ?? { kind: 'string', size: 1 }, sema);
    },
    into: (low, call, to) => concatInto(low, call.args[0] as Expr, call.args[1] as Expr, to, low.typeOf(call)),
  },
  {
    name: 'memcmp',
    signature: 'memcmp(left, right, count)',
    about: '0 when the first count bytes are equal, else the difference of the first bytes that differ',
    arity: [3, 3],
    type: (sema, call) => {
      for (const argument of call.args.slice(0, 2) as Expr[]) {
        const type = sema.expr(argument);
        if (isUnknown(type) || type.kind === 'string' || type.kind === 'array' || type.kind === 'pointer') continue;
        sema.error(
          'argument-type',
          `memcmp() takes strings, arrays and pointers (${describe(type)} provided)`,
          argument.span,
        );
      }
      sema.integerArgument(call, 2);
      const sizes = (call.args.slice(0, 2) as Expr[]).map((argument) => bytesThere(sema, argument));
      checkSteps(sema, call, 2, Number(sema.constant(call.args[2]) ?? Math.min(...sizes)));
      return int64;
    },
    scalar: compare,
  },
];

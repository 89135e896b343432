/**
 * Pointers whose type the verifier knows, as some helpers want them: chains of members
 * that begin at an argument of the probe or at `ctx`. A variable that is given such a
 * chain once stands for it.
 */
import { describe, type FoundField } from '../../types/layout.ts';
import type { Field, Type } from '../../types/model.ts';
import type { Label, Reg } from '../ir/ir.ts';
import type { Lower } from '../lower/lower.ts';
import type { ProviderName } from '../probes/context.ts';
import { assignedOnce } from '../sema/mentions.ts';
import { isUnknown } from '../sema/scope.ts';
import type { Sema } from '../sema/sema.ts';
import type { Call, Expr } from '../syntax/ast.ts';

/** The literal text of an argument, or a complaint. */
export function literal(sema: Sema, call: Call, index: number): string | undefined {
  const argument = call.args[index] as Expr;
  sema.expr(argument);
  const text = sema.literalText(argument);
  if (text === undefined) sema.error('literal-expected', `${call.name}() takes a literal text`, argument.span);
  return text;
}

export function only(sema: Sema, call: Call, providers: readonly ProviderName[]): void {
  const { provider } = sema.probe;
  if (providers.includes(provider)) return;
  sema.error(
    'wrong-probe',
    `${call.name}() can not be used with '${provider}' probes`,
    call.span,
    `it is there in ${providers.join(', ')}`,
  );
}

/** Members of members that begin at the probe's arguments. */
const isChain = (expr: Expr): boolean =>
  expr.node === 'identifier'
    ? expr.name === 'ctx' || expr.name === 'args'
    : expr.node === 'field' && isChain(expr.object);

/** The chain that an expression stands for: casts, `&` and variables taken away; undefined when it is none. */
function chainOf(sema: Sema, expr: Expr): Expr | undefined {
  if (expr.node === 'cast' || (expr.node === 'unary' && expr.operator === '&')) return chainOf(sema, expr.operand);
  if (expr.node !== 'variable') return isChain(expr) ? expr : undefined;
  const value = assignedOnce(sema.current, expr.name);
  return value === undefined ? undefined : chainOf(sema, value);
}

/** Whether a type is the struct, or a pointer to it. */
function leadsTo(type: Type, name: string): boolean {
  const composite = type.kind === 'pointer' ? type.to() : type;
  return composite.kind === 'struct' && composite.name === name;
}

/**
 * Types an argument that must lead to a `struct what`; gives the chain that typedPointer()
 * takes. `direct`: it must be an argument of the probe itself, as the kernel trusts (since
 * Linux 6.4) few pointers that it was led to.
 */
export function needsTyped(
  sema: Sema,
  call: Call,
  index: number,
  what: string,
  direct: boolean = false,
): Expr | undefined {
  const argument = call.args[index] as Expr;
  const type = sema.expr(argument);
  if (isUnknown(type)) return undefined;
  const chain = chainOf(sema, argument);
  const real = chain === undefined ? undefined : sema.facts.types.get(chain);
  if (!leadsTo(type, what) || (real !== undefined && !leadsTo(real, what))) {
    const given = describe(real ?? type);
    sema.error('argument-type', `${call.name}() takes a struct ${what} (${given} provided)`, argument.span);
    return undefined;
  }
  const far = direct && chain?.node === 'field' && chain.object.node === 'field';
  if (chain === undefined || far) {
    sema.error(
      'argument-type',
      `${call.name}() takes ${direct ? 'an argument of the probe' : 'what an argument of the probe leads to'}`,
      argument.span,
      direct
        ? 'the kernel trusts no other pointer: args.NAME, or a variable that is given that once'
        : 'the kernel wants to see where the pointer comes from: args.NAME… or ctx.NAME…, or a variable that is given that once',
    );
  }
  return chain;
}

/** What a chain leads to, in a register whose type the verifier knows; goes to `missing` where a pointer on the way is NULL. */
export function typedPointer(low: Lower, chain: Expr, missing: Label): Reg {
  const { b } = low;
  if (chain.node !== 'field') return low.context;
  const note = low.facts.notes.get(chain) as FoundField | Field;
  const field = 'field' in note ? note.field : note;
  const base = typedPointer(low, chain.object, missing);
  if (field.type.kind !== 'pointer') return b.alu('add', base, { imm: note.offset });
  const pointer = b.load(base, note.offset, 8, 'pointer');
  b.branch('eq', pointer, { imm: 0 }, missing);
  return pointer;
}

/** What `use` gives for the pointer, and `otherwise` where it is NULL. */
export function ofTyped(low: Lower, chain: Expr, otherwise: number, use: (pointer: Reg) => Reg): Reg {
  const { b } = low;
  const result = b.reg();
  const done = b.label();
  b.push({ op: 'const', dst: result, value: BigInt(otherwise) });
  b.mov(result, use(typedPointer(low, chain, done)));
  b.place(done);
  return result;
}

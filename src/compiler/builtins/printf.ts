/** printf, errorf, warnf: formats are taken apart when the script is compiled. */
import type { EventArgument, FormatPiece } from '../../program/program.ts';
import { describe } from '../../types/layout.ts';
import { noneType, type Type } from '../../types/model.ts';
import { emitEvent, eventValue, spanOf } from '../lower/events.ts';
import { isIntegral, isUnknown } from '../sema/scope.ts';
import type { Sema } from '../sema/sema.ts';
import type { Call, Expr } from '../syntax/ast.ts';
import type { BuiltinFunction } from './builtin.ts';
import { checkSeqPrintf, isPinned, lowerSeqPrintf } from './seqprintf.ts';

const specifier = /%([-+ 0#]*)(\d+)?(?:\.(\d+))?(hh|h|ll|l|j|z|t|q)?(gr|rx|rh|r|[a-zA-Z])/y;

/** Takes a printf format apart; gives what is wrong with it as a text. */
export function parseFormat(
  format: string,
): { readonly pieces: readonly FormatPiece[]; readonly count: number } | string {
  const pieces: FormatPiece[] = [];
  let text = '';
  let count = 0;
  for (let at = 0; at < format.length; ) {
    const char = format[at] as string;
    if (char !== '%') {
      text += char;
      at++;
      continue;
    }
    if (format[at + 1] === '%') {
      text += '%';
      at += 2;
      continue;
    }
    specifier.lastIndex = at;
    const match = specifier.exec(format);
    if (match === null) {
      const shown = format.slice(at, at + 6).trim();
      return format[at + 1] === undefined
        ? "the format ends in a lone '%' (write %% for a percent sign)"
        : `'${shown}' is not a conversion that printf() knows (write %% for a percent sign)`;
    }
    const [whole, flags = '', width, precision, length = '', conversion = ''] = match;
    if (!/^(d|i|u|x|X|o|c|p|s|r|rx|rh|gr)$/.test(conversion)) return `printf() does not know the conversion '${whole}'`;
    if (text !== '') pieces.push({ text });
    text = '';
    pieces.push({
      conversion,
      flags,
      width: width === undefined ? undefined : Math.min(Number(width), 4096),
      precision: precision === undefined ? undefined : Math.min(Number(precision), 4096),
      length,
      argument: count++,
    });
    at += whole.length;
  }
  if (text !== '') pieces.push({ text });
  return { pieces, count };
}

/** Whether a value can be shown by a conversion. */
function accepts(conversion: string, type: Type): boolean {
  switch (conversion) {
    case 's':
      return true;
    case 'r':
    case 'rx':
    case 'rh':
      return type.kind === 'buffer' || type.kind === 'string' || type.kind === 'array';
    default:
      return isIntegral(type) || type.kind === 'pointer' || type.kind === 'username' || type.kind === 'ksym';
  }
}

function typeFormat(sema: Sema, call: Call): Type {
  const [first, ...rest] = call.args;
  const types = rest.map((argument) => {
    if (argument.node === 'type') return noneType;
    return sema.expr(argument);
  });
  if (first && first.node !== 'type') sema.expr(first);
  if (first?.node !== 'string') {
    sema.error(
      'literal-expected',
      `${call.name}() takes a literal format string`,
      first?.span ?? call.span,
      `${call.name}("%s\\n", value)`,
    );
    return noneType;
  }
  const format = parseFormat(first.value);
  if (typeof format === 'string') {
    sema.error('bad-format', format, first.span);
    return noneType;
  }
  if (format.count !== rest.length) {
    sema.error(
      'format-arguments',
      `${rest.length < format.count ? 'not enough' : 'too many'} arguments for format string (${rest.length} supplied, ${format.count} expected)`,
      call.span,
    );
    return noneType;
  }
  for (const piece of format.pieces) {
    if ('text' in piece) continue;
    const type = types[piece.argument] as Type;
    const argument = rest[piece.argument] as Expr;
    if (isUnknown(type)) continue;
    if (type.kind === 'none' || type.kind === 'void' || type.kind === 'function' || type.kind === 'aggregate') {
      sema.error(
        'format-type',
        `a value of type '${describe(type)}' cannot be printed by ${call.name}()`,
        argument.span,
        ...(type.kind === 'aggregate' ? ['print(@map) prints maps'] : []),
      );
    } else if (!accepts(piece.conversion, type)) {
      sema.error(
        'format-type',
        `unsupported format specifier for type '${describe(type)}': ${piece.conversion}`,
        argument.span,
        ...(type.kind === 'string' ? ['text is printed by %s'] : []),
      );
    }
  }
  sema.facts.notes.set(call, format.pieces);
  if (isPinned(sema.probe) && !types.some(isUnknown)) checkSeqPrintf(sema, call, format.pieces, types);
  return noneType;
}

const formatFunction = (kind: 'printf' | 'errorf' | 'warnf' | 'cat' | 'system', about: string): BuiltinFunction => ({
  name: kind,
  signature: `${kind}("format", values…)`,
  about,
  arity: [1, Number.POSITIVE_INFINITY],
  statementOnly: true,
  type: (sema, call) => {
    if (kind === 'system' && !sema.options.unsafe) {
      sema.error('unsafe', 'system() is an unsafe function being used in safe mode', call.span, '--unsafe allows it');
    }
    return typeFormat(sema, call);
  },
  statement: (low, call) => {
    const format = low.facts.notes.get(call) as readonly FormatPiece[];
    if (isPinned(low.probe)) {
      lowerSeqPrintf(low, call, format);
      return;
    }
    if (kind === 'system') low.assets.unsafe = true;
    const values = (call.args.slice(1) as Expr[]).map((expr) => ({ ...eventValue(low, expr), expr }));
    emitEvent(low, values, (args: readonly EventArgument[], size) => ({
      kind,
      format,
      args,
      size,
      span: spanOf(call),
    }));
  },
});

export const formatFunctions: readonly BuiltinFunction[] = [
  formatFunction('printf', 'prints by a C format'),
  formatFunction('errorf', 'prints an error with its place in the script'),
  formatFunction('warnf', 'prints a warning with its place in the script'),
  formatFunction('cat', 'prints a file'),
  formatFunction('system', 'runs a shell command (--unsafe)'),
];

/**
 * printf() of a pinned iterator: its text goes to whoever reads the pinned file, at any
 * time, also when the tracer is gone; so it is the kernel that writes it
 * (bpf_seq_printf, Documentation/bpf/bpf_iterators.rst).
 */
import type { FormatPiece } from '../../program/program.ts';
import type { Type } from '../../types/model.ts';
import { bpfHelper } from '../lower/bpfhelper.ts';
import { isScalarType } from '../lower/layout.ts';
import type { Lower } from '../lower/lower.ts';
import type { ProbeContext } from '../probes/context.ts';
import type { Sema } from '../sema/sema.ts';
import type { Call, Expr } from '../syntax/ast.ts';
import { stringBytes } from '../syntax/literals.ts';

/** MAX_BPRINTF_VARARGS. */
const mostArguments = 12;

/** Whether the probe's output goes into a file that others read. */
export const isPinned = (probe: ProbeContext): boolean =>
  probe.attachments.some(({ spec }) => spec.kind === 'iter' && spec.pin !== undefined);

/** Complains about what the kernel's own formatting cannot do. */
export function checkSeqPrintf(sema: Sema, call: Call, pieces: readonly FormatPiece[], types: readonly Type[]): void {
  if (types.length > mostArguments) {
    sema.error('format-arguments', `in a pinned iterator, printf() takes at most ${mostArguments} values`, call.span);
  }
  for (const piece of pieces) {
    if ('text' in piece) {
      if (/[^\x20-\x7e\s]/.test(piece.text))
        sema.error('bad-format', 'in a pinned iterator, the kernel prints ASCII text only', call.span);
      continue;
    }
    const type = types[piece.argument] as Type;
    const fits =
      piece.conversion === 's' ? type.kind === 'string' : 'diuxXcp'.includes(piece.conversion) && isScalarType(type);
    if (!fits || piece.precision !== undefined || piece.flags.includes('#')) {
      sema.error(
        'bad-format',
        `in a pinned iterator, the kernel prints numbers (%d %u %x %c %p) and text (%s), without precision`,
        call.span,
      );
      return;
    }
  }
}

function formatText(pieces: readonly FormatPiece[]): string {
  return pieces
    .map((piece) => {
      if ('text' in piece) return piece.text.replaceAll('%', '%%');
      const field = `${piece.flags}${piece.width ?? ''}`;
      // %p of the kernel hides addresses.
      if (piece.conversion === 'p') return '0x%llx';
      return piece.conversion === 's' || piece.conversion === 'c'
        ? `%${field}${piece.conversion}`
        : `%${field}ll${piece.conversion}`;
    })
    .join('');
}

export function lowerSeqPrintf(low: Lower, call: Call, pieces: readonly FormatPiece[]): void {
  const { b } = low;
  const values = call.args.slice(1) as Expr[];
  const bytes = stringBytes(`${formatText(pieces)}\0`);
  const data = low.temporary(Math.max(1, values.length) * 8);
  for (const [index, expr] of values.entries()) {
    const type = low.typeOf(expr);
    const value = isScalarType(type) ? low.scalar(expr) : low.addressOf(low.materialize(expr, type));
    b.store(data.base, data.offset + 8 * index, 8, value);
  }
  // struct bpf_iter__…: meta first; struct bpf_iter_meta: seq first. Only loads keep the type that the helper wants.
  const seq = b.load(b.load(low.context, 0, 8, 'pointer'), 0, 8, 'pointer');
  const { map, offset } = low.assets.literal(bytes);
  const none = b.const(0);
  b.call(bpfHelper.seq_printf, [
    seq,
    b.mapValue(map, offset),
    { imm: bytes.length },
    values.length === 0 ? none : low.addressOf(data),
    { imm: values.length * 8 },
  ]);
}

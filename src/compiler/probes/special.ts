/** BEGIN, END, self:signal:NAME: run by the tracer itself. */
import type { AttachPointSyntax } from '../syntax/ast.ts';
import type { Attachment, ProbeContext } from './context.ts';
import type { ExpandOptions, Provider } from './provider.ts';

const special =
  (kind: 'begin' | 'end'): Provider =>
  (point, rest, options) => {
    if (rest !== '') {
      options.diagnostics.error(
        'probe-form',
        `${point.provider} takes nothing behind it`,
        point.span,
        `${point.provider} { … }`,
      );
      return [];
    }
    return [context(kind, point, { spec: { kind }, name: kind })];
  };

function context(provider: 'begin' | 'end' | 'self', point: AttachPointSyntax, attachment: Attachment): ProbeContext {
  return {
    provider,
    programType: 'RAW_TRACEPOINT',
    attachments: [attachment],
    span: point.span,
    shortName: provider,
    registers: false,
    userMemory: false,
    hasProcess: false,
  };
}

export const begin: Provider = special('begin');
export const end: Provider = special('end');

export const self: Provider = (point: AttachPointSyntax, rest: string, options: ExpandOptions) => {
  const match = /^signal:(?:SIG)?(USR1|HUP)$/.exec(rest);
  if (match === null) {
    options.diagnostics.error(
      'probe-form',
      `'${point.provider}:${rest}' is no probe`,
      point.span,
      'self:signal:SIGUSR1 fires when the tracer gets that signal',
    );
    return [];
  }
  const signal = `SIG${match[1]}`;
  return [context('self', point, { spec: { kind: 'self', signal }, name: `self:signal:${signal}` })];
};

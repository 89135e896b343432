/** test:NAME and bench:NAME: blocks that the session runs itself, when it is asked to (--test, --bench). */
import type { Provider } from './provider.ts';

export const trial =
  (kind: 'test' | 'bench'): Provider =>
  (point, rest, options) => {
    if (rest === '' || rest.includes(':')) {
      options.diagnostics.error('probe-form', `${kind} takes a name`, point.span, `${kind}:name { … }`);
      return [];
    }
    return [
      {
        provider: kind,
        programType: 'RAW_TRACEPOINT',
        attachments: [{ spec: { kind, title: rest }, name: `${kind}:${rest}` }],
        span: point.span,
        shortName: kind,
        registers: false,
        userMemory: false,
        hasProcess: false,
      },
    ];
  };

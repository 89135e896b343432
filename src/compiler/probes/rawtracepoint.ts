/**
 * rawtracepoint:EVENT, with wildcards: a tracepoint's arguments as the kernel's code hands
 * them over. Their names and types are in BTF, with the functions that the kernel's
 * TRACE_EVENT macros make of each tracepoint.
 */
import { nearest } from '../../base/near.ts';
import type { FunctionType } from '../../types/model.ts';
import type { TypeSource } from '../../types/source.ts';
import type { ProbeContext } from './context.ts';
import { parametersOf } from './parameters.ts';
import { globToRegExp, isGlob, kernelName } from './pattern.ts';
import type { Provider } from './provider.ts';

/** Each tracepoint has a typedef of this name, whose parameters have types but no names. */
const typedefPrefix = 'btf_trace_';
/** Functions with the same parameters, the newest kernels' first. */
const prefixes = ['__probestub_', '__traceiter_', '__bpf_trace_'];

/** All raw tracepoints that BTF tells of. */
export function rawTracepoints(types: TypeSource): string[] {
  const names: string[] = [];
  for (const name of types.names('typedef')) {
    if (name.startsWith(typedefPrefix)) names.push(name.slice(typedefPrefix.length));
  }
  return names.sort();
}

/** A raw tracepoint's arguments by name; undefined when BTF does not tell. */
export function rawTracepointPrototype(types: TypeSource | undefined, event: string): FunctionType | undefined {
  for (const prefix of prefixes) {
    const found = types?.findFunction(`${prefix}${event}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

export const rawtracepoint: Provider = (point, rest, options) => {
  const { diagnostics, target } = options;
  const event = rest.replace(/^vmlinux:/, '');
  if (!/^[\w*?[\]]+$/.test(event)) {
    diagnostics.error(
      'probe-form',
      'rawtracepoint takes the name of a tracepoint',
      point.span,
      'rawtracepoint:sched_switch',
    );
    return [];
  }
  // A name alone needs no BTF: the kernel says when there is no such tracepoint.
  const types = options.usesArgs || isGlob(event) ? target.kernelTypes() : undefined;
  let events = [event];
  if (isGlob(event)) {
    const pattern = globToRegExp(event);
    events = types === undefined ? [] : rawTracepoints(types).filter((name) => pattern.test(name));
    if (events.length === 0) {
      const message =
        types === undefined
          ? 'without BTF the kernel does not tell which raw tracepoints there are'
          : `no raw tracepoint matches '${event}'`;
      if (options.missing === 'error') diagnostics.error('no-tracepoint', message, point.span);
      else if (options.missing === 'warn') diagnostics.warning('no-tracepoint', message, point.span);
      return [];
    }
  }
  return events.flatMap((name): ProbeContext[] => {
    const prototype = options.usesArgs ? rawTracepointPrototype(types, name) : undefined;
    if (options.usesArgs && types !== undefined && prototype === undefined) {
      const near = nearest(name, rawTracepoints(types), 3);
      diagnostics.error(
        'no-tracepoint',
        `the kernel has no raw tracepoint '${name}'`,
        point.span,
        ...(near.length > 0 ? [`did you mean ${near.join(' or ')}?`] : []),
      );
      return [];
    }
    return [
      {
        provider: 'rawtracepoint',
        programType: options.usesTyped ? 'TRACING' : 'RAW_TRACEPOINT',
        ...(options.usesTyped ? { attachTo: { as: 'tp_btf', name } as const } : {}),
        attachments: [
          {
            spec: { kind: 'rawtracepoint', event: name },
            name: `rawtracepoint:vmlinux:${name}`,
          },
        ],
        span: point.span,
        shortName: kernelName(name),
        // The first parameter is the tracer's own data, which is not handed on.
        ...(prototype === undefined ? {} : { parameters: parametersOf(prototype, 1).fields }),
        registers: false,
        userMemory: false,
        hasProcess: true,
      },
    ];
  });
};

/** tracepoint:CATEGORY:EVENT, with wildcards. */
import { nearest } from '../../base/near.ts';
import type { AttachPointSyntax } from '../syntax/ast.ts';
import type { Attachment, ProbeContext } from './context.ts';
import { globToRegExp, isGlob, kernelName } from './pattern.ts';
import type { ExpandOptions, Provider } from './provider.ts';

function context(point: AttachPointSyntax, names: readonly string[], shortName: string): ProbeContext {
  const attachments = names.map((full): Attachment => {
    const [category = '', event = ''] = full.split(':');
    return { spec: { kind: 'tracepoint', category, event }, name: `tracepoint:${full}` };
  });
  return {
    provider: 'tracepoint',
    programType: 'TRACEPOINT',
    attachments,
    span: point.span,
    shortName: kernelName(shortName),
    registers: false,
    userMemory: false,
    hasProcess: true,
  };
}

export const tracepoint: Provider = (point, rest, options) => {
  const { diagnostics, target } = options;
  const parts = rest === '*' ? ['*', '*'] : rest.split(':');
  const [category = '', event = ''] = parts;
  if (parts.length !== 2 || category === '' || event === '') {
    diagnostics.error(
      'probe-form',
      'tracepoint takes a category and an event',
      point.span,
      'tracepoint:syscalls:sys_enter_openat; -l lists what there is',
    );
    return [];
  }
  let names = [rest];
  if (isGlob(rest)) {
    const all = target.tracepoints();
    if (!all.ok) return machine(options, point, all.error);
    const pattern = globToRegExp(parts.join(':'));
    names = all.value.filter((name) => pattern.test(name));
    if (names.length === 0)
      return missing(options, point, `No tracepoints found matching '${rest}'`, near(rest, all.value));
  }
  if (!options.usesArgs && names.length > 1) return [context(point, names, `${category}_${event}`)];
  const contexts: ProbeContext[] = [];
  for (const name of names) {
    const [c = '', e = ''] = name.split(':');
    const format = target.tracepoint(c, e);
    if (!format.ok) return machine(options, point, format.error);
    if (format.value === undefined) {
      const all = target.tracepoints();
      return missing(options, point, `tracepoint not found: ${name}`, all.ok ? near(name, all.value) : []);
    }
    contexts.push({ ...context(point, [name], e), tracepoint: format.value });
  }
  return contexts;
};

/** Tracepoints like the one asked for: by event in any category first, then by the whole name. */
function near(name: string, all: readonly string[]): string[] {
  const event = name.slice(name.indexOf(':') + 1);
  const elsewhere = all.filter((other) => other.endsWith(`:${event}`));
  const category = name.slice(0, name.indexOf(':') + 1);
  const inCategory = all.filter((other) => other.startsWith(category));
  return elsewhere.length > 0 ? elsewhere.slice(0, 3) : nearest(name, inCategory.length > 0 ? inCategory : all, 3);
}

function missing(options: ExpandOptions, point: AttachPointSyntax, message: string, similar: readonly string[]): [] {
  const hint =
    similar.length > 0
      ? `did you mean ${similar.map((n) => `'tracepoint:${n}'`).join(' or ')}?`
      : "-l 'tracepoint:*' lists what there is";
  if (options.missing === 'error') options.diagnostics.error('no-tracepoint', message, point.span, hint);
  else if (options.missing === 'warn') options.diagnostics.warning('no-tracepoint', message, point.span, hint);
  return [];
}

function machine(
  options: ExpandOptions,
  point: AttachPointSyntax,
  error: { readonly message: string; readonly hints: readonly string[] },
): [] {
  options.diagnostics.error('tracefs', error.message, point.span, ...error.hints);
  return [];
}

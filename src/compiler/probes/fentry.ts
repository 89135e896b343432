/**
 * fentry:[MODULE:]FUNCTION, fentry:bpf:[ID:]FUNCTION and fexit: kernel functions by their prototype in BTF, with
 * `args.NAME` and `retval` typed. The kernel wants to know the function when a program is
 * loaded, so that each function of a wildcard has a program of its own.
 */
import { nearest } from '../../base/near.ts';
import type { AttachPointSyntax } from '../syntax/ast.ts';
import type { ProbeContext } from './context.ts';
import { parametersOf } from './parameters.ts';
import { globToRegExp, isGlob, kernelName, splitColons } from './pattern.ts';
import type { ExpandOptions, Provider } from './provider.ts';

export const fentry =
  (kind: 'fentry' | 'fexit'): Provider =>
  (point, rest, options) => {
    const { diagnostics, target } = options;
    const parts = splitColons(rest);
    if (parts[0] === 'bpf') return inPrograms(kind, point, parts.slice(1), options);
    const [module, name] = parts.length === 2 ? parts : [undefined, parts[0]];
    if (parts.length > 2 || !name || module === '') {
      diagnostics.error(
        'probe-form',
        `${kind} takes a function of the kernel`,
        point.span,
        `${kind}:vfs_read, ${kind}:MODULE:function`,
      );
      return [];
    }
    const types = target.kernelTypes();
    if (types === undefined) {
      diagnostics.error(
        'no-btf',
        `${kind} probes need the kernel's type information (BTF), and this kernel has none`,
        point.span,
        'kernels built with CONFIG_DEBUG_INFO_BTF have /sys/kernel/btf/vmlinux; kprobes work without',
      );
      return [];
    }
    let names = [name];
    if (isGlob(name)) {
      const pattern = globToRegExp(name);
      const traceable = new Set(target.kernelFunctions());
      names = [...new Set(types.functionNames?.() ?? traceable)]
        .filter((one) => pattern.test(one) && traceable.has(one))
        .sort();
    }
    const contexts: ProbeContext[] = [];
    for (const one of names) {
      const prototype = types.findFunction(one);
      if (prototype === undefined) continue;
      const { fields, size } = parametersOf(prototype);
      const place = module === undefined || module === '*' ? undefined : module;
      contexts.push({
        provider: kind,
        programType: 'TRACING',
        attachments: [{ spec: { kind, module: place, symbol: one }, name: `${kind}:${module ?? 'vmlinux'}:${one}` }],
        span: point.span,
        shortName: kernelName(one),
        parameters: fields,
        attachTo: { as: kind, name: one, ...(place === undefined ? {} : { module: place }) },
        ...(kind === 'fexit' ? { returns: { name: 'retval', type: prototype.returns(), offset: size } } : {}),
        registers: false,
        userMemory: false,
        hasProcess: true,
      });
    }
    if (contexts.length === 0) {
      const near = isGlob(name) ? [] : nearest(name, types.functionNames?.() ?? target.kernelFunctions(), 3);
      const message = `no function of the kernel ${isGlob(name) ? `matches '${name}'` : `that BTF describes is called '${name}'`}`;
      const hints = near.length > 0 ? [`did you mean ${near.join(' or ')}?`] : [];
      if (options.missing === 'error') diagnostics.error('no-function', message, point.span, ...hints);
      else if (options.missing === 'warn') diagnostics.warning('no-function', message, point.span, ...hints);
    }
    return contexts;
  };

/** Functions of BPF programs that run, by the names that their own BTF gives them. Their arguments are not told. */
function inPrograms(
  kind: 'fentry' | 'fexit',
  point: AttachPointSyntax,
  parts: readonly string[],
  { target, diagnostics, missing }: ExpandOptions,
): readonly ProbeContext[] {
  const [id, name] = parts.length === 2 ? parts : [undefined, parts[0]];
  if (name === undefined || name === '' || parts.length > 2 || (id !== undefined && !/^(?:\d+|\*)$/.test(id))) {
    diagnostics.error(
      'probe-form',
      `${kind}:bpf takes a BPF program`,
      point.span,
      `${kind}:bpf:NAME, ${kind}:bpf:ID:NAME`,
    );
    return [];
  }
  const pattern = globToRegExp(name);
  const programs = target.bpfPrograms();
  const found = programs
    .filter((one) => id === undefined || id === '*' || one.id === Number(id))
    .flatMap((one) => one.functions.filter((fn) => pattern.test(fn)).map((fn) => ({ id: one.id, fn })));
  if (found.length === 0) {
    const near = nearest(name, new Set(programs.flatMap((one) => one.functions)), 3);
    const message = `no BPF program ${id === undefined ? '' : `${id} `}with a function '${name}' is loaded (with type information)`;
    const hints = near.length > 0 ? [`did you mean ${near.join(' or ')}?`] : [`-l '${kind}:bpf:*' lists what there is`];
    if (missing === 'error') diagnostics.error('no-function', message, point.span, ...hints);
    else if (missing === 'warn') diagnostics.warning('no-function', message, point.span, ...hints);
  }
  return found.map(({ id: program, fn }) => ({
    provider: kind,
    programType: 'TRACING',
    attachments: [{ spec: { kind, module: undefined, symbol: fn }, name: `${kind}:bpf:${program}:${fn}` }],
    span: point.span,
    shortName: kernelName(fn),
    attachTo: { as: kind, name: fn, program },
    registers: false,
    userMemory: false,
    hasProcess: true,
  }));
}

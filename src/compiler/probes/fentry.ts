/**
 * fentry:[MODULE:]FUNCTION and fexit: kernel functions by their prototype in BTF, with
 * `args.NAME` and `retval` typed. The kernel wants to know the function when a program is
 * loaded, so that each function of a wildcard has a program of its own.
 */
import { nearest } from '../../base/near.ts';
import type { ProbeContext } from './context.ts';
import { parametersOf } from './parameters.ts';
import { globToRegExp, isGlob, kernelName, splitColons } from './pattern.ts';
import type { Provider } from './provider.ts';

export const fentry =
  (kind: 'fentry' | 'fexit'): Provider =>
  (point, rest, options) => {
    const { diagnostics, target } = options;
    const parts = splitColons(rest);
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

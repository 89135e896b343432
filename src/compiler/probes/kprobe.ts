/** kprobe:[MODULE:]FUNCTION[+OFFSET] and kretprobe. */
import { nearest } from '../../base/near.ts';
import { argumentLocations, conventions } from '../../types/abi.ts';
import type { Location } from '../../types/location.ts';
import type { Field, FunctionType } from '../../types/model.ts';
import type { Attachment, ProbeContext } from './context.ts';
import { globToRegExp, isGlob, kernelName, splitColons } from './pattern.ts';
import type { Provider } from './provider.ts';

export const kprobe =
  (kind: 'kprobe' | 'kretprobe'): Provider =>
  (point, rest, options) => {
    const { diagnostics, target } = options;
    const parts = splitColons(rest).map((part) => part.replace(/^"(.*)"$/, '$1'));
    const body = parts.length === 2 ? (parts[1] as string) : parts.length === 1 ? (parts[0] as string) : '';
    const module = parts.length === 2 ? parts[0] : undefined;
    const match = /^([^+]+)(?:\+(0x[0-9a-f]+|\d+))?$/i.exec(body);
    if (match === null) {
      diagnostics.error(
        'probe-form',
        `${kind} takes a function of the kernel`,
        point.span,
        `${kind}:do_nanosleep, ${kind}:MODULE:function, kprobe:function+0x10`,
      );
      return [];
    }
    const name = match[1] as string;
    const offset = match[2] === undefined ? 0 : Number(match[2]);
    if (offset !== 0 && kind === 'kretprobe') {
      diagnostics.error('probe-form', 'kretprobe takes no offset: it fires when the function returns', point.span);
      return [];
    }
    const functions = target.kernelFunctions();
    let symbols = [name];
    if (isGlob(name)) {
      const pattern = globToRegExp(name);
      symbols = functions.filter((fn) => pattern.test(fn));
      if (symbols.length === 0) return none(`no function of the kernel matches '${name}'`);
    } else if (functions.length > 0 && !functions.includes(name)) {
      const near = nearest(name, functions, 3);
      return none(
        `the kernel has no function '${name}'`,
        near.length > 0 ? `did you mean ${near.join(' or ')}?` : undefined,
      );
    }
    function none(message: string, hint?: string): [] {
      if (options.missing === 'error') diagnostics.error('no-function', message, point.span, ...(hint ? [hint] : []));
      else if (options.missing === 'warn')
        diagnostics.warning('no-function', message, point.span, ...(hint ? [hint] : []));
      return [];
    }
    const attachment = (symbol: string): Attachment => ({
      spec: { kind, module, symbol, offset },
      name: `${kind}:${module === undefined ? '' : `${module}:`}${symbol}${offset === 0 ? '' : `+${offset}`}`,
    });
    const context: ProbeContext = {
      provider: kind,
      programType: 'KPROBE',
      attachments: symbols.map(attachment),
      span: point.span,
      shortName: kernelName(name),
      registers: true,
      userMemory: false,
      hasProcess: true,
    };
    if (!options.usesArgs || kind === 'kretprobe' || offset !== 0) return [context];
    // Every function has arguments of its own, so each has a compilation of its own.
    const described = symbols.flatMap((symbol): readonly ProbeContext[] => {
      const prototype = target.kernelTypes()?.findFunction(symbol);
      if (prototype === undefined) return [];
      return [
        {
          ...context,
          ...atEntry(prototype, target.arch),
          attachments: [attachment(symbol)],
          mayBeShared: symbols.length > 1,
        },
      ];
    });
    // Without any the block is told that there are no args.
    if (described.length === 0) return [context];
    const unknown = symbols.length - described.length;
    if (unknown > 0) {
      diagnostics.warning(
        'no-prototype',
        `${unknown} of the ${symbols.length} functions that match '${name}' are left out: BTF does not say what arguments they take`,
        point.restSpan,
        'arg0, arg1 … are the arguments by position, in all of them',
      );
    }
    return described;
  };

/** The parameters of a function that begins: the registers and the stack are as its caller left them. */
function atEntry(
  prototype: FunctionType,
  arch: 'x86_64' | 'arm64',
): Pick<ProbeContext, 'parameters' | 'parameterLocations'> {
  const declared = prototype.parameters();
  const types = declared.map(({ type }) => type);
  const locations = argumentLocations(types, prototype.returns(), conventions[arch]);
  const parameters = declared.map(({ name, type }): Field => ({ name, type, offset: 0 }));
  return {
    parameters,
    parameterLocations: new Map(parameters.map((field, index) => [field, locations[index] as Location])),
  };
}

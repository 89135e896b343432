/**
 * From attach points as written to contexts to compile for: `tracepoint:syscalls:*`
 * becomes the tracepoints there are, `uprobe:BIN:glob` the functions that match.
 * A provider is a file here (parsing, expansion) and one in kernel/attach.
 */
import { nearest } from '../../base/near.ts';
import type { Diagnostics } from '../../diag/diagnostic.ts';
import type { Target } from '../../target/target.ts';
import type { AttachPointSyntax, ProbeBlock } from '../syntax/ast.ts';
import type { ProbeContext } from './context.ts';
import { kprobe } from './kprobe.ts';
import { software } from './software.ts';
import { begin, end, self } from './special.ts';
import { timer } from './timer.ts';
import { rawtracepoint, tracepoint } from './tracepoint.ts';
import { uprobe } from './uprobe.ts';

export interface ExpandOptions {
  readonly target: Target;
  readonly diagnostics: Diagnostics;
  readonly parameters: readonly string[];
  readonly pid: number | undefined;
  readonly missing: 'error' | 'warn' | 'ignore';
  /** The block uses `args`: every tracepoint needs a compilation of its own. */
  readonly usesArgs: boolean;
}

/** Gives the contexts of one attach point; complains into options.diagnostics. */
export type Provider = (point: AttachPointSyntax, rest: string, options: ExpandOptions) => readonly ProbeContext[];

const providers: Readonly<Record<string, Provider>> = {
  begin,
  end,
  self,
  tracepoint,
  rawtracepoint,
  uprobe: uprobe('uprobe'),
  uretprobe: uprobe('uretprobe'),
  interval: timer('interval'),
  profile: timer('profile'),
  software: software('software'),
  hardware: software('hardware'),
  kprobe: kprobe('kprobe'),
  kretprobe: kprobe('kretprobe'),
};

const aliases: Readonly<Record<string, string>> = {
  BEGIN: 'begin',
  END: 'end',
  t: 'tracepoint',
  rt: 'rawtracepoint',
  u: 'uprobe',
  ur: 'uretprobe',
  i: 'interval',
  p: 'profile',
  s: 'software',
  h: 'hardware',
  k: 'kprobe',
  kr: 'kretprobe',
};

/** Providers of bpftrace that this version has no way to attach yet. */
const later: Readonly<Record<string, string>> = {
  usdt: 'usdt', U: 'usdt', watchpoint: 'watchpoint', w: 'watchpoint', asyncwatchpoint: 'watchpoint', iter: 'iter', it: 'iter',
  fentry: 'fentry', f: 'fentry', kfunc: 'fentry', fexit: 'fexit', fr: 'fexit', kretfunc: 'fexit', test: 'test', bench: 'bench',
};

/** Provider names, for hints and listings. */
export const providerNames: readonly string[] = Object.keys(providers);

/** The provider that a name or alias means. */
export const providerOf = (name: string): string | undefined => aliases[name] ?? (name in providers ? name : undefined);

/** `$1` in an attach point is replaced by the parameter's text. */
function substitute(point: AttachPointSyntax, options: ExpandOptions): string {
  return point.rest.replace(/\$(\d+)/g, (whole, digits: string) => {
    const text = options.parameters[Number(digits) - 1];
    if (text !== undefined) return text;
    options.diagnostics.error(
      'missing-parameter',
      `the probe needs a value for the script's parameter ${whole}`,
      point.restSpan,
      'parameters follow the script on the command line: insitu script.bt VALUE …',
    );
    return '';
  });
}

export function expandBlock(block: ProbeBlock, options: ExpandOptions): ProbeContext[] {
  const contexts: ProbeContext[] = [];
  for (const point of block.attachPoints) {
    const name = providerOf(point.provider);
    const provider = name === undefined ? undefined : providers[name];
    if (provider === undefined) {
      const known = later[point.provider];
      if (known !== undefined) {
        options.diagnostics.error('probe-not-supported', `${known} probes are not understood by this version`, point.providerSpan);
        continue;
      }
      const near = nearest(point.provider, [...providerNames, ...Object.keys(aliases)].filter((word) => word.length > 2), 2);
      options.diagnostics.error(
        'unknown-probe',
        `Invalid probe type: ${point.provider}`,
        point.providerSpan,
        near.length > 0 ? `did you mean ${near.map((n) => `'${n}'`).join(' or ')}?` : `probe types: ${providerNames.join(', ')}`,
      );
      continue;
    }
    const errors = options.diagnostics.items.length;
    const rest = substitute(point, options);
    if (options.diagnostics.items.slice(errors).some((item) => item.severity === 'error')) continue;
    contexts.push(...provider(point, rest, options));
  }
  return contexts;
}

/** Splits at colons that are not inside double quotes and not part of `::`. */
export function splitColons(text: string): string[] {
  const parts: string[] = [];
  let part = '';
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i] as string;
    if (char === '"') quoted = !quoted;
    if (char === ':' && !quoted) {
      if (text[i + 1] === ':') {
        part += '::';
        i++;
        continue;
      }
      parts.push(part);
      part = '';
      continue;
    }
    part += char;
  }
  parts.push(part);
  return parts;
}

/** Whether a pattern has wildcards. */
export const isGlob = (text: string): boolean => /[*?[\]]/.test(text);

/** A glob (`*`, `?`, `[…]`) as a regular expression over the whole text. */
export function globToRegExp(glob: string): RegExp {
  let source = '';
  for (let i = 0; i < glob.length; i++) {
    const char = glob[i] as string;
    if (char === '*') source += '.*';
    else if (char === '?') source += '.';
    else if (char === '[') {
      const close = glob.indexOf(']', i + 1);
      if (close < 0) source += '\\[';
      else {
        source += `[${glob.slice(i + 1, close).replace(/\\/g, '\\\\').replace(/^!/, '^')}]`;
        i = close;
      }
    } else source += char.replace(/[.+^${}()|\]\\]/g, '\\$&');
  }
  return new RegExp(`^${source}$`, 's');
}

/** Letters, digits and `_`, for names of programs in the kernel. */
export const kernelName = (text: string): string => text.replace(/[^A-Za-z0-9_]+/g, '_').slice(0, 40);

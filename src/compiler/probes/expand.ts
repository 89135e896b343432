/**
 * From attach points as written to contexts to compile for: `tracepoint:syscalls:*`
 * becomes the tracepoints there are, `uprobe:BIN:glob` the functions that match.
 * A provider is a file here (parsing, expansion) and one in kernel/attach.
 */
import { nearest } from '../../base/near.ts';
import type { AttachPointSyntax, ProbeBlock } from '../syntax/ast.ts';
import type { ProbeContext } from './context.ts';
import { fentry } from './fentry.ts';
import { iter } from './iter.ts';
import { kprobe } from './kprobe.ts';
import type { ExpandOptions, Provider, Scope } from './provider.ts';
import { rawtracepoint } from './rawtracepoint.ts';
import { joined, limited, lookedAt } from './scope.ts';
import { software } from './software.ts';
import { begin, end, self } from './special.ts';
import { timer } from './timer.ts';
import { tracepoint } from './tracepoint.ts';
import { trial } from './trials.ts';
import { uprobe } from './uprobe.ts';
import { usdt } from './usdt.ts';
import { watchpoint } from './watchpoint.ts';

const providers: Readonly<Record<string, Provider>> = {
  begin,
  end,
  self,
  test: trial('test'),
  bench: trial('bench'),
  tracepoint,
  rawtracepoint,
  uprobe: uprobe('uprobe'),
  uretprobe: uprobe('uretprobe'),
  usdt,
  interval: timer('interval'),
  profile: timer('profile'),
  software: software('software'),
  hardware: software('hardware'),
  kprobe: kprobe('kprobe'),
  kretprobe: kprobe('kretprobe'),
  fentry: fentry('fentry'),
  fexit: fentry('fexit'),
  iter,
  watchpoint,
};

const aliases: Readonly<Record<string, string>> = {
  BEGIN: 'begin',
  END: 'end',
  t: 'tracepoint',
  rt: 'rawtracepoint',
  u: 'uprobe',
  ur: 'uretprobe',
  U: 'usdt',
  i: 'interval',
  p: 'profile',
  s: 'software',
  h: 'hardware',
  k: 'kprobe',
  kr: 'kretprobe',
  f: 'fentry',
  kfunc: 'fentry',
  fr: 'fexit',
  kretfunc: 'fexit',
  it: 'iter',
  w: 'watchpoint',
};

/** Providers of bpftrace that this version has no way to attach yet. */
const later: Readonly<Record<string, string>> = {
  asyncwatchpoint: 'asyncwatchpoint',
  aw: 'asyncwatchpoint',
};

/** Provider names, for hints and listings. */
export const providerNames: readonly string[] = Object.keys(providers);

/** The provider that a name or alias means. */
export const providerOf = (name: string): string | undefined => aliases[name] ?? (name in providers ? name : undefined);

/** What expandBlock itself needs besides what it hands to the providers. */
export interface BlockOptions extends Omit<ExpandOptions, 'pid'> {
  readonly scope: Scope;
}

/** `$1` in an attach point is replaced by the parameter's text. */
function substitute(point: AttachPointSyntax, options: BlockOptions): string {
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

export function expandBlock(block: ProbeBlock, options: BlockOptions): ProbeContext[] {
  const contexts: ProbeContext[] = [];
  for (const point of block.attachPoints) {
    const name = providerOf(point.provider);
    const provider = name === undefined ? undefined : providers[name];
    if (provider === undefined) {
      const known = later[point.provider];
      if (known !== undefined) {
        options.diagnostics.error(
          'probe-not-supported',
          `${known} probes are not understood by this version`,
          point.providerSpan,
        );
        continue;
      }
      const near = nearest(
        point.provider,
        [...providerNames, ...Object.keys(aliases)].filter((word) => word.length > 2),
        2,
      );
      options.diagnostics.error(
        'unknown-probe',
        `Invalid probe type: ${point.provider}`,
        point.providerSpan,
        near.length > 0
          ? `did you mean ${near.map((n) => `'${n}'`).join(' or ')}?`
          : `probe types: ${providerNames.join(', ')}`,
      );
      continue;
    }
    const errors = options.diagnostics.items.length;
    const rest = substitute(point, options);
    if (options.diagnostics.items.slice(errors).some((item) => item.severity === 'error')) continue;
    const found = lookedAt(name as string, options.scope).flatMap((pid) => provider(point, rest, { ...options, pid }));
    contexts.push(...joined(found).map((context) => limited(context, options.scope)));
  }
  return contexts;
}

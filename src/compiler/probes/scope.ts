/**
 * Limits probes to processes: -p, -c and --follow. The kernel itself limits uprobes and
 * perf events; for what happens anywhere in the kernel, and for uprobes of processes that
 * do not exist yet, the program looks at who runs it.
 */
import type { Attachment, ProbeContext, ProviderName } from './context.ts';
import type { Scope } from './provider.ts';

/** Who limits a kind of probe to processes. */
const limits: Record<ProviderName, 'nobody' | 'program' | 'uprobe' | 'event' | 'iterator'> = {
  begin: 'nobody',
  end: 'nobody',
  self: 'nobody',
  test: 'nobody',
  bench: 'nobody',
  interval: 'nobody',
  tracepoint: 'program',
  rawtracepoint: 'program',
  kprobe: 'program',
  kretprobe: 'program',
  fentry: 'program',
  fexit: 'program',
  uprobe: 'uprobe',
  uretprobe: 'uprobe',
  usdt: 'uprobe',
  profile: 'event',
  software: 'event',
  hardware: 'event',
  watchpoint: 'event',
  iter: 'iterator',
};

/** The processes that a probe's files are looked for with, one after the other. */
export function lookedAt(provider: string, scope: Scope): readonly (number | undefined)[] {
  const limit = limits[provider as ProviderName];
  const several = limit === 'uprobe' || limit === 'iterator' || provider === 'watchpoint';
  return several && scope.pids.length > 0 ? scope.pids : [scope.pids[0]];
}

/** The same probe for fewer processes. */
export function limited(context: ProbeContext, scope: Scope): ProbeContext {
  const { pids, children } = scope;
  if (pids.length === 0) return context;
  switch (limits[context.provider]) {
    case 'nobody':
    case 'iterator':
      return context;
    case 'program':
      return scope.everywhere ? { ...context, processes: { pids, children } } : context;
    case 'uprobe':
      if (!children) return context;
      return {
        ...context,
        attachments: withoutTwins(context.attachments.map(ofAll)),
        ...(context.function?.entry === undefined
          ? {}
          : { function: { ...context.function, entry: ofAll(context.function.entry) } }),
        processes: { pids, children },
      };
    case 'event': {
      const own = context.provider === 'watchpoint';
      const attachments = context.attachments.flatMap((one) =>
        own ? [ofProcess(one, undefined, children)] : pids.map((pid) => ofProcess(one, pid, children)),
      );
      return { ...context, attachments };
    }
  }
}

/** A uprobe in all processes that run the file. */
function ofAll(attachment: Attachment): Attachment {
  const { spec, name } = attachment;
  if (!('pid' in spec)) return attachment;
  const { pid: _, ...rest } = spec;
  return { spec: rest, name } as Attachment;
}

/** `pid` undefined leaves the one that is there. */
function ofProcess({ spec, name }: Attachment, pid: number | undefined, children: boolean): Attachment {
  return {
    spec: { ...spec, ...(pid === undefined ? {} : { pid }), ...(children ? { children } : {}) },
    name,
  } as Attachment;
}

/**
 * Contexts of the same probe in several processes as one, where their programs would be
 * the same: more attachments, not more programs.
 */
export function joined(contexts: readonly ProbeContext[]): readonly ProbeContext[] {
  const groups: ProbeContext[] = [];
  for (const context of contexts) {
    const at = groups.findIndex((one) => sameProgram(one, context));
    const group = groups[at];
    if (group === undefined) groups.push(context);
    else groups[at] = { ...group, attachments: withoutTwins([...group.attachments, ...context.attachments]) };
  }
  return groups;
}

function sameProgram(one: ProbeContext, other: ProbeContext): boolean {
  if (one.provider !== other.provider || one.shortName !== other.shortName) return false;
  if (one.provider === 'watchpoint') return true;
  if (!['uprobe', 'uretprobe', 'usdt'].includes(one.provider) || one.function !== undefined) return false;
  const places = ({ usdtArguments }: ProbeContext): string =>
    (usdtArguments ?? []).map((arg) => `${arg.text} ${arg.distance ?? ''}`).join('\n');
  return places(one) === places(other);
}

function withoutTwins(attachments: readonly Attachment[]): readonly Attachment[] {
  const seen = new Set<string>();
  return attachments.filter((one) => {
    const key = JSON.stringify(one);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

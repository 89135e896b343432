/** --info: what this kernel and machine can do for a tracer, found out by asking. */
import {
  hasBpfLoop,
  hasFentry,
  hasIterators,
  hasKprobeMulti,
  hasKprobeSession,
  hasKprobes,
  hasUprobeMulti,
  hasUprobes,
} from '../../kernel/host/features.ts';
import { kernelVersion, machineArch, onlineCpus } from '../../kernel/host/machine.ts';
import { pidNamespace } from '../../kernel/host/pidnamespace.ts';
import { createHostTarget } from '../../kernel/host/target.ts';
import { Output } from './output.ts';

type Answer = () => boolean;

/** `no` also where the question itself is refused (not root): the reason is told behind it. */
function ask(question: Answer): string {
  try {
    return question() ? 'yes' : 'no';
  } catch (error) {
    return `unknown (${(error as Error).message})`;
  }
}

/** `name`: under which the executable was called. */
export function printInfo(name: string, version: string): void {
  const target = createHostTarget();
  const sections: readonly (readonly [title: string, lines: readonly (readonly [what: string, answer: string])[]])[] = [
    [
      'System',
      [
        ['OS', `Linux ${kernelVersion().release}`],
        ['Arch', machineArch()],
        ['CPUs online', String(onlineCpus().length)],
        ['pid namespace', pidNamespace() === undefined ? 'the first' : 'one of its own'],
      ],
    ],
    ['Build', [['version', `${name} v${version}`]]],
    ['Kernel helpers', [['loop', ask(hasBpfLoop)]]],
    ['Kernel features', [['btf', ask(() => target.kernelTypes() !== undefined)]]],
    [
      'Probe types',
      [
        ['tracepoint', ask(() => target.tracepoints().ok)],
        ['kprobe', ask(hasKprobes)],
        ['kprobe_multi', ask(hasKprobeMulti)],
        ['kprobe_session', `${ask(hasKprobeSession)} (never used)`],
        ['uprobe', ask(hasUprobes)],
        ['uprobe_multi', ask(hasUprobeMulti)],
        ['fentry', ask(hasFentry)],
        ['iter', ask(hasIterators)],
      ],
    ],
  ];
  const output = new Output(undefined, 'full');
  for (const [index, [title, lines]] of sections.entries()) {
    output.write(`${index > 0 ? '\n' : ''}${title}\n`);
    for (const [what, answer] of lines) output.write(`  ${what}: ${answer}\n`);
  }
  const way = (multi: Answer, many: string, one: string): string => (ask(multi) === 'yes' ? many : one);
  output.write(`
Ways that are taken
  uprobes: ${way(hasUprobeMulti, 'one uprobe_multi link for many functions', 'a perf event each')}
  kprobes: ${way(hasKprobeMulti, 'one kprobe_multi link for many functions', 'a perf event each')}
  (--no-feature turns one off)
`);
  output.close();
}

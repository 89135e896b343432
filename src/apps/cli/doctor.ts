/** `insitu doctor [FILE|PID]`: what this kernel, these privileges and a program allow, what is missing, and what mends it. */
import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { doctorText, type Finding, isAble } from '../../answers/doctor/findings.ts';
import { lazy } from '../../base/lazy.ts';
import { symbolTables } from '../../kernel/host/cache.ts';
import {
  hasBpfLoop,
  hasFentry,
  hasIterators,
  hasKprobeMulti,
  hasKprobes,
  hasUprobeMulti,
  hasUprobes,
} from '../../kernel/host/features.ts';
import { kernelAtLeast, kernelVersion, machineArch } from '../../kernel/host/machine.ts';
import { pidNamespace } from '../../kernel/host/pidnamespace.ts';
import { createHostTarget } from '../../kernel/host/target.ts';
import { type Capability, hasCapability, missingCapabilities } from '../../kernel/sys/errno.ts';
import { programSections } from './doctorprogram.ts';
import { useColor } from './failure.ts';
import type { DoctorOptions } from './options.ts';
import { Output } from './output.ts';

/** Looks, prints; gives the exit status: 1 when nothing can be traced. */
export function doctor(what: string | undefined, options: DoctorOptions): number {
  const sections = [
    { title: 'This machine', findings: machineFindings() },
    { title: 'Privileges', findings: privilegeFindings() },
    { title: 'Probes', findings: probeFindings() },
    ...(what === undefined ? [] : programSections(what, options)),
  ];
  const output = new Output(options.output, 'full');
  if (options.format === 'json') {
    output.write(`${JSON.stringify({ type: 'doctor', data: { able: isAble(sections), sections } })}\n`);
  } else {
    const colors = { yes: 32, part: 33, no: 31, told: 0 };
    const color = options.output === undefined && useColor(1);
    output.write(doctorText(sections, (verdict, mark) => (color ? `\x1b[${colors[verdict]}m${mark}\x1b[0m` : mark)));
  }
  output.close();
  return isAble(sections) ? 0 : 1;
}

const read = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'latin1').trim();
  } catch {
    return undefined;
  }
};

/** What the kernel was built with (/proc/config.gz, or Debian's file in /boot); undefined where it does not tell. */
const kernelConfig = lazy((): ReadonlyMap<string, string> | undefined => {
  let text: string | undefined;
  try {
    text = gunzipSync(readFileSync('/proc/config.gz')).toString('latin1');
  } catch {
    text = read(`/boot/config-${kernelVersion().release}`);
  }
  if (text === undefined) return undefined;
  return new Map([...text.matchAll(/^(CONFIG_\w+)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]));
});

/** `CONFIG_X is not set in this kernel`, where the kernel tells what it was built with. */
function unbuilt(...names: readonly string[]): string | undefined {
  const config = kernelConfig();
  const missing = config === undefined ? [] : names.filter((name) => !config.has(name));
  return missing.length === 0 ? undefined : `this kernel was built without ${missing.join(' and ')}`;
}

function machineFindings(): Finding[] {
  const { release } = kernelVersion();
  const btf = process.env['BPFTRACE_BTF'] ?? '/sys/kernel/btf/vmlinux';
  const jit = read('/proc/sys/net/core/bpf_jit_enable');
  const lockdown = /\[(\w+)\]/.exec(read('/sys/kernel/security/lockdown') ?? '')?.[1];
  const folder = nearestFolder(symbolTablesFolder());
  const cached = isWritable(folder);
  return [
    kernelAtLeast(5, 15)
      ? { what: 'kernel', verdict: 'yes', detail: `Linux ${release}, ${machineArch()}`, essential: true }
      : {
          what: 'kernel',
          verdict: 'no',
          detail: `Linux ${release}: insitu needs 5.15 or newer`,
          mend: 'boot a newer kernel',
          essential: true,
        },
    existsSync(btf)
      ? { what: 'types of the kernel', verdict: 'yes', detail: `BTF in ${btf}` }
      : {
          what: 'types of the kernel',
          verdict: 'no',
          detail: `there is no ${btf}: curtask, casts to kernel types, fentry and whole user stacks need it`,
          mend: 'boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, or name its types: BPFTRACE_BTF=FILE insitu …',
        },
    tracefsFinding(),
    kallsymsFinding(),
    ...(jit === undefined || jit !== '0'
      ? []
      : [
          {
            what: 'BPF compiler',
            verdict: 'part' as const,
            detail: 'programs are interpreted: each hit of a probe costs several times as much',
            mend: 'sysctl net.core.bpf_jit_enable=1',
          },
        ]),
    ...(lockdown === undefined || lockdown === 'none'
      ? []
      : [
          {
            what: 'lockdown',
            verdict: lockdown === 'integrity' ? ('told' as const) : ('part' as const),
            detail:
              lockdown === 'integrity'
                ? 'integrity: write_user() is refused, reading is not'
                : 'confidentiality: programs may not read memory of the kernel',
            ...(lockdown === 'integrity' ? {} : { mend: 'boot with lockdown=integrity or lockdown=none' }),
          },
        ]),
    ...(pidNamespace() === undefined
      ? []
      : [
          {
            what: 'pid namespace',
            verdict: 'part' as const,
            detail: 'one of its own: processes outside of this container are traced, but not found by -p',
            mend: 'run insitu on the host, or the container with --pid=host',
          },
        ]),
    cached
      ? { what: 'cache', verdict: 'yes', detail: `names and indexes are kept below ${folder}` }
      : {
          what: 'cache',
          verdict: 'part',
          detail: `${folder} cannot be written: large programs are looked through anew in each run`,
          mend: 'XDG_CACHE_HOME=/some/folder insitu …',
        },
    process.env['DEBUGINFOD_URLS'] === undefined
      ? {
          what: 'debuginfod',
          verdict: 'told',
          detail: 'no server is asked for debug files',
          mend: `export DEBUGINFOD_URLS=${debuginfodOf(read('/etc/os-release') ?? '')}`,
        }
      : { what: 'debuginfod', verdict: 'yes', detail: process.env['DEBUGINFOD_URLS'] },
  ];
}

const symbolTablesFolder = (): string => dirname(symbolTables.folder);

/** The folder itself, or the nearest above it that exists. */
function nearestFolder(path: string): string {
  return existsSync(path) || path === '/' ? path : nearestFolder(dirname(path));
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** Servers of distributions, by their ID in os-release(5). */
const debuginfodServers: Readonly<Record<string, string>> = {
  debian: 'https://debuginfod.debian.net',
  ubuntu: 'https://debuginfod.ubuntu.com',
  fedora: 'https://debuginfod.fedoraproject.org',
  centos: 'https://debuginfod.centos.org',
  arch: 'https://debuginfod.archlinux.org',
  opensuse: 'https://debuginfod.opensuse.org',
};

function debuginfodOf(release: string): string {
  const name = /^ID=["']?([a-z]+)/m.exec(release)?.[1] ?? '';
  return debuginfodServers[name] ?? 'https://debuginfod.elfutils.org';
}

/** Looked at without mounting it, which a script that needs it does. */
function tracefsFinding(): Finding {
  const what = 'tracefs';
  const place = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'].find((path) => existsSync(`${path}/events`));
  if (place !== undefined) {
    try {
      readdirSync(`${place}/events/syscalls`);
      return { what, verdict: 'yes', detail: place };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT')
        return {
          what,
          verdict: 'part',
          detail: `${place}, without system calls: ${unbuilt('CONFIG_FTRACE_SYSCALLS') ?? 'this kernel has no such tracepoints'}`,
        };
      return {
        what,
        verdict: 'no',
        detail: `${place} may not be read (${code})`,
        mend: `sudo insitu …, or chmod a+rx ${place}`,
      };
    }
  }
  const mend = 'mount -t tracefs none /sys/kernel/tracing';
  if (hasCapability('CAP_SYS_ADMIN')) {
    return { what, verdict: 'yes', detail: 'not mounted: insitu mounts it when a script needs it', mend };
  }
  return {
    what,
    verdict: 'no',
    detail: 'not mounted, and this process may not mount it: tracepoints need it',
    mend: `${mend} (as root, on the host)`,
  };
}

function kallsymsFinding(): Finding {
  const what = 'names of the kernel';
  const head = read('/proc/kallsyms')?.slice(0, 4096).split('\n') ?? [];
  const hidden = head.length === 0 || head.every((line) => /^0+ /.test(line));
  const restrict = read('/proc/sys/kernel/kptr_restrict') ?? '0';
  if (!hidden) return { what, verdict: 'yes', detail: '/proc/kallsyms' };
  return {
    what,
    verdict: 'part',
    detail: `/proc/kallsyms hides its addresses (kernel.kptr_restrict is ${restrict}): frames of kernel stacks stay numbers`,
    mend: restrict === '2' ? 'sysctl kernel.kptr_restrict=1' : 'sudo insitu …',
  };
}

/** What each capability is for; CAP_SYS_ADMIN stands for the first two. */
const capabilityUses: Readonly<Partial<Record<Capability, string>>> = {
  CAP_BPF: 'to load programs',
  CAP_PERFMON: 'to attach them, and to read memory',
};

function privilegeFindings(): Finding[] {
  const missing = missingCapabilities();
  const root = process.geteuid?.() === 0;
  const found: Finding[] = [
    missing.length === 0
      ? { what: 'capabilities', verdict: 'yes', detail: root ? 'root' : 'CAP_BPF and CAP_PERFMON', essential: true }
      : {
          what: 'capabilities',
          verdict: 'no',
          detail: `missing: ${missing.map((one) => `${one} (${capabilityUses[one] ?? ''})`).join(', ')}`,
          mend: root
            ? `in a container: docker run ${missing.map((one) => `--cap-add ${one.slice(4)}`).join(' ')} …, or --privileged`
            : 'sudo insitu …',
          essential: true,
        },
  ];
  if (!hasCapability('CAP_SYS_PTRACE')) {
    found.push({
      what: 'other processes',
      verdict: 'part',
      detail:
        'without CAP_SYS_PTRACE the maps and memory of other users’ processes cannot be read: their stacks have no names',
      mend: root ? 'docker run --cap-add SYS_PTRACE …' : 'sudo insitu …',
    });
  }
  const limit = Number(/^Max locked memory +(\d+)/m.exec(read('/proc/self/limits') ?? '')?.[1] ?? Infinity);
  if (limit < 1 << 20 && !hasCapability('CAP_SYS_RESOURCE')) {
    found.push({
      what: 'locked memory',
      verdict: 'part',
      detail: `${limit / 1024} KiB may be locked: buffers of perf events need more`,
      mend: 'ulimit -l unlimited',
    });
  }
  return found;
}

function probeFindings(): Finding[] {
  const missing = missingCapabilities();
  /** The kernel only answers those who may load programs. */
  const asked = (
    what: string,
    has: () => boolean,
    no: () => Omit<Finding, 'what' | 'verdict'>,
    detail = '',
  ): Finding => {
    if (missing.length > 0)
      return { what, verdict: 'told', detail: `not asked: ${missing.join(' and ')} is needed to ask` };
    try {
      return has() ? { what, verdict: 'yes', detail } : { what, verdict: 'no', ...no() };
    } catch (error) {
      return { what, verdict: 'told', detail: `unknown: ${(error as Error).message}` };
    }
  };
  const source = (name: string): boolean => existsSync(`/sys/bus/event_source/devices/${name}`);
  const kprobeDetail = (): Omit<Finding, 'what' | 'verdict'> => ({
    detail: unbuilt('CONFIG_KPROBES', 'CONFIG_KPROBE_EVENTS') ?? 'this kernel has no kprobes',
    mend: 'boot a kernel with CONFIG_KPROBES=y and CONFIG_KPROBE_EVENTS=y; until then tracepoints (insitu -l "tracepoint:*") and uprobes',
  });
  return [
    tracefsFinding().verdict === 'no'
      ? { what: 'tracepoint', verdict: 'no', detail: 'its formats are in tracefs' }
      : asked(
          'tracepoint',
          () => hasCapability('CAP_SYS_ADMIN') || createHostTarget().tracepoints().ok,
          () => ({ detail: 'tracefs has no events' }),
          // perf_call_bpf_enter and perf_call_bpf_exit gave the registers of the user until Linux 6.12.
          kernelAtLeast(6, 12) ? '' : 'kstack is empty at system calls (until Linux 6.12); rawtracepoint has it',
        ),
    asked(
      'uprobe, usdt',
      hasUprobes,
      () => ({
        detail: unbuilt('CONFIG_UPROBE_EVENTS') ?? 'this kernel has no uprobes',
        mend: 'boot a kernel with CONFIG_UPROBE_EVENTS=y',
      }),
      hasUprobeMultiText(missing.length === 0),
    ),
    asked(
      'kprobe',
      hasKprobes,
      kprobeDetail,
      missing.length === 0 && ask(hasKprobeMulti) ? 'many functions by one link' : '',
    ),
    asked('fentry', hasFentry, () => ({
      detail: unbuilt('CONFIG_FUNCTION_TRACER', 'CONFIG_DYNAMIC_FTRACE') ?? 'this kernel takes no fentry program',
      mend: 'kprobe does the same where it is there',
    })),
    asked('iter', hasIterators, () => ({
      detail: 'this kernel takes no iterators: sockets that are open already are not shown',
    })),
    source('breakpoint')
      ? { what: 'watchpoint', verdict: 'yes', detail: '' }
      : {
          what: 'watchpoint',
          verdict: 'no',
          detail: unbuilt('CONFIG_HAVE_HW_BREAKPOINT') ?? 'this machine has no hardware breakpoints',
        },
    {
      what: 'profile, software',
      verdict: source('software') ? 'yes' : 'no',
      detail: source('software') ? '' : 'no perf events',
    },
    source('cpu') ||
    source('cpu_core') ||
    readdirOf('/sys/bus/event_source/devices').some((name) => /^armv\d/.test(name))
      ? { what: 'hardware', verdict: 'yes', detail: '' }
      : {
          what: 'hardware',
          verdict: 'no',
          detail: 'this machine, or the hypervisor above it, shows no counters',
          mend: 'profile:hz:99 samples by time instead of cycles',
        },
    asked('long loops', hasBpfLoop, () => ({ detail: 'loops over more than some hundred rounds need Linux 5.17' })),
  ];
}

function ask(question: () => boolean): boolean {
  try {
    return question();
  } catch {
    return false;
  }
}

const hasUprobeMultiText = (mayAsk: boolean): string =>
  !mayAsk
    ? ''
    : ask(hasUprobeMulti)
      ? 'many functions by one link'
      : 'a perf event for each function: thousands take a while (Linux 6.6 has one link for all)';

function readdirOf(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** The part of `insitu doctor` that looks at a program, or at a process and its program. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import type { Finding, Section } from '../../answers/doctor/findings.ts';
import { MachineError } from '../../base/errors.ts';
import { EM_AARCH64, EM_X86_64 } from '../../debuginfo/elf/constants.ts';
import { readFunctionBounds } from '../../debuginfo/elf/frames.ts';
import { Image } from '../../debuginfo/elf/image.ts';
import { parseMaps } from '../../debuginfo/text/maps.ts';
import { containerOf } from '../../kernel/host/containers.ts';
import { machineArch } from '../../kernel/host/machine.ts';
import { processFiles } from '../../kernel/host/processfiles.ts';
import type { ElfBinary } from '../../symbolize/symbols/binary.ts';
import { describe } from './firstlook.ts';
import type { DebugFileWords } from './options.ts';
import { findPlaces } from './places.ts';

/** Throws a MachineError where there is no such file or process. */
export function programSections(what: string, options: DebugFileWords): Section[] {
  const pid = /^\d+$/.test(what) ? Number(what) : undefined;
  const sections: Section[] = [];
  if (pid !== undefined) sections.push({ title: `Process ${pid}`, findings: processFindings(pid) });
  const { files } = findPlaces(what, options);
  // Of a process, the program itself: the file that /proc/PID/exe leads to.
  const executable = pid === undefined ? undefined : linkOf(`/proc/${pid}/exe`)?.replace(/ \(deleted\)$/, '');
  const place = files.find(({ path }) => path === executable) ?? files[0];
  if (place === undefined) return sections;
  const binary = place.open();
  try {
    sections.push({ title: place.path, findings: binaryFindings(binary, what) });
  } finally {
    binary.close();
  }
  return sections;
}

const linkOf = (path: string): string | undefined => {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
};

const read = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
};

function processFindings(pid: number): Finding[] {
  const status = read(`/proc/${pid}/status`);
  if (status === undefined) throw new MachineError(`there is no process ${pid}`, { code: 'ESRCH' });
  const field = (name: string): string => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? '';
  const found: Finding[] = [];
  const maps = processFiles.maps(pid);
  if (maps === undefined || maps === '') {
    const reason = field('State').startsWith('Z')
      ? 'it has ended, and waits for its parent'
      : field('Kthread') === '1' || linkOf(`/proc/${pid}/exe`) === undefined
        ? 'it is a thread of the kernel, or its maps may not be read'
        : 'its maps may not be read';
    return [{ what: 'memory', verdict: 'no', detail: reason, mend: `sudo insitu doctor ${pid}`, essential: true }];
  }
  found.push({
    what: 'process',
    verdict: 'yes',
    detail: `${field('Name')}, ${field('Threads') === '1' ? 'one thread' : `${field('Threads')} threads`}`,
  });
  const executable = linkOf(`/proc/${pid}/exe`) ?? '';
  if (executable.endsWith(' (deleted)')) {
    found.push({
      what: 'program file',
      verdict: 'part',
      detail: `${executable.replace(/ \(deleted\)$/, '')} has been replaced since it started: uprobes by that name go into the new file`,
      mend: `restart the process, or probe the file that runs: uprobe:/proc/${pid}/exe:FUNCTION`,
    });
  }
  const container = containerOf(pid);
  if (container !== '') {
    found.push({
      what: 'container',
      verdict: 'told',
      detail: `${container}; its files are looked for below /proc/${pid}/root`,
    });
  }
  const tracer = field('TracerPid');
  if (tracer !== '0' && tracer !== '') {
    const name = read(`/proc/${tracer}/comm`)?.trim() ?? 'another process';
    found.push({
      what: 'debugger',
      verdict: 'part',
      detail: `${name} (pid ${tracer}) traces it too: it stops the process, and breakpoints of both may meet`,
      mend: `end ${name}, or detach it`,
    });
  }
  const mappings = parseMaps(maps);
  const made = mappings.filter(
    ({ path, permissions }) =>
      permissions[2] === 'x' && (path === '' || path.startsWith('/memfd:') || path.startsWith('//anon')),
  );
  if (made.length > 0) {
    const map = processFiles.perfMap(pid);
    map?.close?.();
    const dump = mappings.some(({ path }) => /\/jit-\d+\.dump$/.test(path));
    if (map !== undefined || dump)
      found.push({ what: 'code made at run time', verdict: 'yes', detail: map === undefined ? 'jitdump' : 'perf map' });
    else {
      found.push({
        what: 'code made at run time',
        verdict: 'part',
        detail: 'has no names: nothing tells them',
        mend: compilerOption(executable),
      });
    }
  }
  return found;
}

/** How a runtime is told to write the names of the code that it makes. */
function compilerOption(executable: string): string {
  const name = executable.slice(executable.lastIndexOf('/') + 1);
  if (/^node/.test(name)) return 'node --perf-basic-prof …';
  if (/^java/.test(name))
    return 'java -XX:+UnlockDiagnosticVMOptions -XX:+DumpPerfMapAtExit …, or jcmd PID Compiler.perfmap';
  if (/^python3/.test(name)) return 'python3 -X perf … (3.12 or newer)';
  if (/^(dotnet|mono)/.test(name)) return 'DOTNET_PerfMapEnabled=1 dotnet …';
  return 'its runtime must write /tmp/perf-PID.map or a jitdump';
}

const machines: Readonly<Record<number, 'x86_64' | 'arm64'>> = { [EM_X86_64]: 'x86_64', [EM_AARCH64]: 'arm64' };

function binaryFindings(binary: ElfBinary, what: string): Finding[] {
  const { elf } = binary;
  const one = describe(binary);
  const machine = machines[elf.header.machine];
  const found: Finding[] = [];
  const native = machine === machineArch();
  found.push({
    what: 'machine',
    verdict: native ? 'yes' : 'no',
    detail: native
      ? `${one.kind}, ${one.machine}`
      : `${one.machine}: it does not run here (${machineArch()}) without an emulator, and has no uprobes`,
    ...(native ? {} : { mend: 'trace it on a machine of its kind; insitu symbols and types read it here' }),
  });
  found.push(
    one.buildId === ''
      ? {
          what: 'build-id',
          verdict: 'part',
          detail: 'none: debug files are found by name only, and what is inferred is not kept',
          mend: 'link it with -Wl,--build-id',
        }
      : { what: 'build-id', verdict: 'yes', detail: one.buildId },
  );
  const unnamed = binary.stripped;
  const ways = [
    packageOf(binary.path),
    'DEBUGINFOD_URLS=https://… insitu …',
    `insitu --symbols BUILD-WITH-SYMBOLS …`,
  ].filter((way) => way !== undefined);
  found.push(
    unnamed
      ? {
          what: 'function names',
          verdict: 'part',
          detail: `stripped: ${one.functions} exported functions have names, others are inferred from its code and marked with ~`,
          mend: ways.join(', or '),
        }
      : {
          what: 'function names',
          verdict: 'yes',
          detail: `${one.functions} functions have names${one.debugFile === undefined ? '' : `, from ${one.debugFile}`}`,
        },
  );
  const types = binary.ownTypes() !== undefined;
  const lines = binary.layers.lines() !== undefined;
  found.push(
    types
      ? { what: 'arguments, types', verdict: 'yes', detail: 'debugging information' }
      : {
          what: 'arguments, types',
          verdict: 'part',
          detail:
            'no debugging information: args and vars have no names, arg0, arg1 … are there; structs may be declared in the script',
          mend: [packageOf(binary.path), 'compile it with -g', 'insitu --types BUILD-WITH-DEBUGGING-INFORMATION …']
            .filter((way) => way !== undefined)
            .join(', or '),
        },
    lines
      ? { what: 'source lines', verdict: 'yes', detail: '' }
      : { what: 'source lines', verdict: 'part', detail: 'none', mend: 'the same' },
  );
  const image = Image.of(elf);
  const framed = image.ok ? readFunctionBounds(image.value).starts.length : 0;
  const { sampled, kept } = one.framePointers;
  const pointers = sampled > 0 && kept / sampled >= 0.8;
  const frames = `${kept} of ${sampled} functions looked at keep frame pointers`;
  found.push(
    framed > 0
      ? {
          what: 'user stacks',
          verdict: 'yes',
          detail: `whole, by call frame information of ${framed} functions (${frames})`,
        }
      : pointers
        ? { what: 'user stacks', verdict: 'yes', detail: `by frame pointers (${frames})` }
        : {
            what: 'user stacks',
            verdict: 'part',
            detail: `no call frame information, and ${frames}: stacks end early`,
            mend: 'compile it with -fasynchronous-unwind-tables, or with -fno-omit-frame-pointer',
          },
  );
  const usdt = new Set(binary.usdt().map(({ provider, name }) => `${provider}:${name}`)).size;
  if (usdt > 0) found.push({ what: 'usdt', verdict: 'yes', detail: `${usdt} probes: insitu -l 'usdt:${what}:*'` });
  return found;
}

/** The command that installs the debug symbols of the package that a file belongs to; undefined where nothing tells. */
function packageOf(path: string): string | undefined {
  if (existsSync('/usr/bin/dpkg-query')) {
    // /bin is a link to /usr/bin nowadays; packages name their files by either.
    const paths = [path, path.replace(/^\/usr(?=\/)/, ''), `/usr${path}`];
    const { stdout } = spawnSync('dpkg-query', ['-S', ...paths], { encoding: 'utf8', timeout: 10_000 });
    const name = /^([\w.+-]+)(?::\w+)?: /m.exec(stdout ?? '')?.[1];
    return name === undefined
      ? undefined
      : `apt-get install ${name === 'libc6' ? 'libc6-dbg' : `${name}-dbgsym`} (from the distribution's debug archive)`;
  }
  if (existsSync('/usr/bin/rpm')) {
    const { stdout, status } = spawnSync('rpm', ['-qf', '--qf', '%{NAME}', path], {
      encoding: 'utf8',
      timeout: 10_000,
    });
    return status === 0 ? `dnf debuginfo-install ${stdout.trim()}` : undefined;
  }
  return undefined;
}

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, statSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { after, afterEach, describe, test } from 'node:test';
import { lacking, listedSymbols, nodePath, output, Workshop } from '../../../test/binaries.ts';
import { lazy } from '../../base/lazy.ts';
import { fileOffset, type ProcessAddress, processAddress } from '../../base/numbers.ts';
import { type Mapping, parseMaps } from '../../debuginfo/text/maps.ts';
import { processFiles } from '../../kernel/host/processfiles.ts';
import { demangleBoth } from '../demangle/index.ts';
import { type ProcessFiles, type SymbolizedFrame, Symbolizer, type SymbolizerLimits } from './symbolizer.ts';

const workshop = new Workshop();
const children: ChildProcess[] = [];
const symbolizers: Symbolizer[] = [];
afterEach(async () => {
  for (const symbolizer of symbolizers.splice(0)) symbolizer.close();
  for (const child of children.splice(0)) await end(child);
});
after(() => workshop[Symbol.dispose]());

function symbolizer(files: ProcessFiles = processFiles, limits: SymbolizerLimits = {}): Symbolizer {
  const made = new Symbolizer(files, { demangle: demangleBoth }, limits);
  symbolizers.push(made);
  return made;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'exit');
  child.kill('SIGKILL');
  await closed;
}

/** Starts a program that prints one line when it is ready; returns the line's words. */
async function start(
  command: string,
  ...args: string[]
): Promise<{ child: ChildProcess; pid: number; words: string[] }> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], timeout: 20_000 });
  children.push(child);
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const [line] = (await once(lines, 'line')) as [string];
  return { child, pid: child.pid as number, words: line.trim().split(/\s+/) };
}

const name = (frame: SymbolizedFrame): string => (frame.found ? `${frame.name}+${frame.offset}` : frame.reason);
const address = (text: string | undefined): ProcessAddress => processAddress(Number(text));

/** Prints the addresses of a function of its own, of a static one, of one in a library, of libc's, and of data and the heap. */
const program = lazy(() => {
  const library = workshop.path('libplug.so');
  const code = workshop.write(
    'plug.cc',
    'namespace plug { int twice(int n) { return 2 * n; } } extern "C" int stub() { return 1; }',
  );
  output('g++', ['-shared', '-fPIC', '-O1', '-o', library, code]);
  const text = `
    #include <dlfcn.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <unistd.h>
    static __attribute__((noinline)) int hidden(int n) { return n + 1; }
    int shown(int n) { return hidden(n); }
    int data = 3;
    int main(int argc, char **argv) {
      void *plug = argc > 1 ? dlopen(argv[1], RTLD_NOW) : 0;
      printf("%p %p %p %p %p %p\\n", (void *)shown, (void *)hidden, plug ? dlsym(plug, "_ZN4plug5twiceEi") : 0,
             dlsym(RTLD_DEFAULT, "getppid"), (void *)&data, malloc(10));
      fflush(stdout);
      getchar();
      return shown(data);
    }`;
  const source = workshop.write('traced.c', text);
  output('gcc', ['-O1', '-pie', '-fPIE', '-o', workshop.path('traced'), source, '-ldl']);
  return { path: workshop.path('traced'), library };
});

describe('a process', { skip: lacking('gcc', 'g++') }, () => {
  test('its own functions, those of libraries, and what is none', async () => {
    const { path, library } = program();
    const { pid, words } = await start(path, library);
    const names = symbolizer();
    const frames = names.symbolizeMany(pid, [...words.map(address), processAddress(0x10)]);
    assert.deepEqual(frames.slice(0, 4).map(name), ['shown+0', 'hidden+0', '_ZN4plug5twiceEi+0', 'getppid+0']);
    const [shown, , twice] = frames;
    assert.ok(shown?.found && twice?.found);
    assert.deepEqual([shown.module, shown.demangled, twice.demangled], [path, '', 'plug::twice(int)']);
    assert.equal(twice.module, library);
    assert.equal(name(names.symbolize(pid, processAddress(Number(words[0]) + 3))), 'shown+3');
    const listed = listedSymbols(path).find((one) => one.name === 'shown');
    assert.equal(shown.place?.address, listed?.address);
    const [data, heap, nowhere] = frames.slice(4);
    assert.match(name(data as SymbolizedFrame), /no symbol of .*traced covers|no segment/);
    assert.match(name(heap as SymbolizedFrame), /the address lies in \[heap\], not in a file/);
    assert.equal(name(nowhere as SymbolizedFrame), 'nothing is mapped at that address');
  });

  test('its names outlive it and its files, once it has been prepared', async () => {
    const copy = workshop.path('copy');
    output('cp', [program().path, copy]);
    const { child, pid, words } = await start(copy);
    const [prepared, not] = [symbolizer(), symbolizer()];
    prepared.prepare(pid);
    await end(child);
    rmSync(copy);
    assert.equal(name(prepared.symbolize(pid, address(words[1]))), 'hidden+0');
    assert.match(name(not.symbolize(pid, address(words[1]))), /is gone/);
  });

  test('a deleted file is still reached while the process lives', {
    skip: process.getuid?.() !== 0 && 'needs root',
  }, async () => {
    const copy = workshop.path('deleted');
    output('cp', [program().path, copy]);
    const { pid, words } = await start(copy);
    rmSync(copy);
    output('cp', ['/bin/true', copy]);
    assert.equal(name(symbolizer().symbolize(pid, address(words[0]))), 'shown+0');
  });

  test('a library that comes later is found', async () => {
    const { pid, words } = await start(program().path, program().library);
    const late = symbolizer({
      ...processFiles,
      // What maps said before dlopen, and what it says now.
      maps: (() => {
        let calls = 0;
        return (wanted: number) => {
          const text = processFiles.maps(wanted) ?? '';
          return calls++ > 0
            ? text
            : text
                .split('\n')
                .filter((line) => !line.includes('libplug'))
                .join('\n');
        };
      })(),
    });
    assert.equal(name(late.symbolize(pid, address(words[0]))), 'shown+0');
    assert.equal(name(late.symbolize(pid, address(words[2]))), '_ZN4plug5twiceEi+0');
  });

  test('told by events: map, exec, fork, unmap', async () => {
    const { child, pid, words } = await start(program().path, program().library);
    const maps = parseMaps(processFiles.maps(pid) ?? '').filter((one) => one.permissions.includes('x'));
    // Nothing but the events tells of processes; the files are there to be opened.
    const names = symbolizer({ ...processFiles, maps: () => undefined });
    names.executed(pid);
    assert.equal(name(names.symbolize(pid, address(words[0]))), 'nothing is mapped at that address');
    for (const mapping of maps) names.mapped(pid, mapping);
    assert.equal(name(names.symbolize(pid, address(words[0]))), 'shown+0');
    names.forked(pid, 4_000_001);
    await end(child);
    assert.equal(name(names.symbolize(4_000_001, address(words[0]))), 'shown+0');
    const twice = maps.find((one) => one.path === program().library) as Mapping;
    names.unmapped(pid, twice.start, twice.end);
    assert.equal(name(names.symbolize(pid, address(words[2]))), 'nothing is mapped at that address');
    assert.equal(name(names.symbolize(4_000_001, address(words[2]))), '_ZN4plug5twiceEi+0');
    names.executed(4_000_001);
    assert.equal(name(names.symbolize(4_000_001, address(words[0]))), 'nothing is mapped at that address');
  });

  test('after exec, and after lost events, what is mapped now is looked at once', async () => {
    const { pid, words } = await start(program().path, program().library);
    let reads = 0;
    const maps = (wanted: number): string | undefined => {
      reads++;
      return processFiles.maps(wanted);
    };
    const names = symbolizer({ ...processFiles, maps });
    const shown = (): string => name(names.symbolize(pid, address(words[0])));
    names.executed(pid);
    assert.equal(shown(), 'shown+0');
    assert.equal(name(names.symbolize(pid, processAddress(16))), 'nothing is mapped at that address');
    assert.equal(name(names.symbolize(pid, processAddress(16))), 'nothing is mapped at that address');
    assert.equal(reads, 1);
    names.unmapped(pid, processAddress(0), processAddress(2 ** 47));
    assert.equal(shown(), 'nothing is mapped at that address');
    names.lost();
    assert.equal(shown(), 'shown+0');
    assert.equal(reads, 2);
  });

  test('by build-id and file offset, as the kernel tells frames, with its padding', async () => {
    const text =
      'int counted(void) { return 5; } int main(void) { __builtin_printf("ready\\n"); fflush(stdout); return getchar(); }';
    const id = '0123456789abcdef0123456789abcdef';
    const source = workshop.write('padded.c', `#include <stdio.h>\n${text}`);
    output('gcc', ['-o', workshop.path('padded'), source, `-Wl,--build-id=0x${id}`]);
    const { pid } = await start(workshop.path('padded'));
    const listed = listedSymbols(workshop.path('padded')).find((one) => one.name === 'counted');
    // A small PIE's code lies at the same offset as its address.
    const offset = fileOffset((listed?.address as number) + 1);
    const names = symbolizer();
    assert.equal(name(names.symbolizeBuildId(pid, `${id}00000000`, offset)), 'counted+1');
    assert.equal(name(names.symbolizeBuildId(pid, id, offset)), 'counted+1');
    assert.match(name(names.symbolizeBuildId(pid, `${id}00000001`, offset)), /no mapped file has the build-id/);
  });

  test('few files and few processes are kept, and none is lost for good', async () => {
    const { pid, words } = await start(program().path, program().library);
    const names = symbolizer(processFiles, { binaries: 1, names: 1, processes: 1 });
    for (let round = 0; round < 3; round++) {
      const frames = names.symbolizeMany(pid, words.slice(0, 4).map(address));
      assert.deepEqual(frames.map(name), ['shown+0', 'hidden+0', '_ZN4plug5twiceEi+0', 'getppid+0']);
    }
    const open = readFileDescriptors();
    assert.ok(open.filter((path) => path === program().path || path === program().library).length <= 1, open.join());
  });
});

function readFileDescriptors(): string[] {
  return output('sh', ['-c', `ls -l /proc/${process.pid}/fd`])
    .split('\n')
    .map((line) => line.replace(/.* -> /, ''));
}

test('the vdso has names', { skip: lacking('readelf') }, async () => {
  const maps = parseMaps(readFileSync('/proc/self/maps', 'utf8'));
  const vdso = maps.find((one) => one.path === '[vdso]');
  assert.ok(vdso !== undefined);
  const image = processFiles.open(process.pid, vdso);
  const path = workshop.write('vdso.so', image?.read(0, image.size) ?? new Uint8Array(0));
  const clock = listedSymbols(path).find((one) => /^(__vdso_|__kernel_)?clock_gettime$/.test(one.name));
  assert.ok(clock !== undefined);
  const frame = symbolizer().symbolize(process.pid, processAddress(vdso.start + clock.address + 2));
  assert.equal(frame.module, '[vdso]');
  assert.match(name(frame), /^(__kernel_)?clock_gettime\+2$/);
});

test('code of a JIT compiler is named by its perf map', { skip: lacking(nodePath) }, async () => {
  const script =
    'function hot(a) { let s = 0; for (let i = 0; i < a; i++) s += i % 7; return s; } for (let n = 0; n < 300; n++) hot(10000); console.log("ready"); process.stdin.resume();';
  const { pid } = await start(nodePath, '--perf-basic-prof', '-e', script);
  try {
    const file = `/tmp/perf-${pid}.map`;
    assert.ok(statSync(file).size > 0);
    const line = readFileSync(file, 'utf8')
      .split('\n')
      .findLast((row) => /\*hot/.test(row));
    assert.ok(line !== undefined, 'hot has been compiled');
    const [start = '', size = '', ...rest] = line.split(' ');
    const names = symbolizer();
    const at = (offset: number): SymbolizedFrame =>
      names.symbolize(pid, processAddress(Number.parseInt(start, 16) + offset));
    assert.equal(name(at(1)), `${rest.join(' ')}+1`);
    assert.equal(at(1).module, '[jit]');
    assert.notEqual(name(at(Number.parseInt(size, 16))), name(at(0)));
  } finally {
    rmSync(`/tmp/perf-${pid}.map`, { force: true });
  }
});

test('a process that never was', () => {
  const names = symbolizer();
  names.prepare(3_999_999);
  assert.match(name(names.symbolize(3_999_999, processAddress(4096))), /process 3999999 is gone/);
  assert.match(
    name(names.symbolize(process.pid, processAddress(Number(0xffffffffff600800n)))),
    /vsyscall|system calls|nothing is mapped/,
  );
});

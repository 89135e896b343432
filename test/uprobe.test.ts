/** "Hello World" in real programs: a function by mangled name, by demangled name, by wildcard; lists of functions. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { lazy } from '../src/base/lazy.ts';
import { compileScript } from '../src/session/script.ts';
import { envoy, insitu, lacking, workerd } from './insitu.ts';

const node = process.execPath;
const folder = mkdtempSync(join(tmpdir(), 'insitu-uprobe-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const skip = lacking('tracefs', 'nm');

/** Function symbols by mangled and demangled name, as nm(1) gives them. */
function functionsOf(binary: string, pattern: RegExp): { readonly mangled: string[]; readonly demangled: string[] } {
  const nm = (...args: string[]): string[] =>
    execFileSync('nm', [...args, binary], { encoding: 'utf8', maxBuffer: 1 << 28 })
      .split('\n')
      .flatMap((line) => /^[0-9a-f]+ [tTwWi] (.*)$/.exec(line)?.[1] ?? []);
  const mangled = nm();
  const demangled = nm('-C');
  const chosen = demangled.flatMap((name, index) => (pattern.test(name) ? [index] : []));
  return {
    mangled: [...new Set(chosen.map((index) => mangled[index] as string))].sort(),
    demangled: chosen.map((index) => demangled[index] as string),
  };
}

describe('hello world', { skip }, () => {
  const hits = async (probe: string, command: string): Promise<void> => {
    const script = `uprobe:${probe} { printf("hello from %s\\n", comm); exit(); }`;
    const { status, stdout, stderr } = await insitu(['-q', '-c', command, '-e', script], { timeout: 30_000 });
    assert.match(stdout, /hello from \w+/, stderr);
    assert.equal(status, 0);
  };
  const nodeCommand = `${node} -e 0`;
  const names = lazy(() => functionsOf(node, /^node::Start\(int, char\*\*\)$/));

  test('node, by mangled name', { timeout: 40_000 }, () => hits(`${node}:${names().mangled[0]}`, nodeCommand));
  test('node, by demangled name', { timeout: 40_000 }, () =>
    hits(`${node}:cpp:"${names().demangled[0]}"`, nodeCommand),
  );
  test('node, by demangled name without parameters', { timeout: 40_000 }, () =>
    hits(`${node}:cpp:"node::Start"`, nodeCommand),
  );
  test('node, by wildcard', { timeout: 40_000 }, () => hits(`${node}:_ZN4node5Start*`, nodeCommand));
  test('node, a C function', { timeout: 40_000 }, () => hits(`${node}:uv_run`, nodeCommand));

  describe('workerd', { skip: lacking('workerd') }, () => {
    const config = join(folder, 'workerd.capnp');
    writeFileSync(
      config,
      `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (services = [(name = "main", worker = .worker)]);
const worker :Workerd.Worker = (
  serviceWorkerScript = "addEventListener('fetch', (event) => event.respondWith(new Response('hi')))",
  compatibilityDate = "2023-02-28",
);
`,
    );
    const command = `${workerd} serve ${config}`;
    const names = lazy(() => functionsOf(workerd, /^v8::Isolate::New\(/));
    test('by mangled name', { timeout: 60_000 }, () => hits(`${workerd}:${names().mangled[0]}`, command));
    test('by demangled name', { timeout: 60_000 }, () => hits(`${workerd}:cpp:"${names().demangled[0]}"`, command));
    test('by wildcard', { timeout: 60_000 }, () => hits(`${workerd}:_ZN2v87Isolate3New*`, command));
    test('a Rust function', { timeout: 60_000 }, () => hits(`${workerd}:workerd_cli::main`, `${workerd} --version`));
  });
});

describe('-l', { skip }, () => {
  test('finds the functions that nm -C | grep finds, in node', { timeout: 60_000 }, async () => {
    const { mangled } = functionsOf(node, /node::TCPWrap::/);
    assert.ok(mangled.length > 10);
    const { stdout } = await insitu(['-l', `uprobe:${node}:*node::TCPWrap::*`], { timeout: 40_000 });
    assert.deepEqual(stdout.trim().split('\n').sort(), mangled.map((name) => `uprobe:${node}:${name}`).sort());
  });

  test('and in workerd', { timeout: 60_000, skip: lacking('workerd') }, async () => {
    const { mangled } = functionsOf(workerd, /v8::ArrayBuffer::/);
    const { stdout } = await insitu(['-l', `uprobe:${workerd}:*v8::ArrayBuffer::*`], { timeout: 40_000 });
    assert.deepEqual(stdout.trim().split('\n').sort(), mangled.map((name) => `uprobe:${workerd}:${name}`).sort());
  });

  test('lists tracepoints, with their fields after -v', { timeout: 20_000 }, async () => {
    const { stdout } = await insitu(['-l', '-v', 'tracepoint:syscalls:sys_enter_accept4']);
    assert.equal(
      stdout,
      `tracepoint:syscalls:sys_enter_accept4
    int __syscall_nr
    int fd
    struct sockaddr * upeer_sockaddr
    int * upeer_addrlen
    int flags
`,
    );
  });

  test('lists the probes of a script', { timeout: 20_000 }, async () => {
    const path = join(folder, 'list.bt');
    writeFileSync(path, 'tracepoint:syscalls:sys_enter_accept* { }\n');
    const { stdout, stderr } = await insitu(['-l', path]);
    assert.equal(stdout, 'tracepoint:syscalls:sys_enter_accept\ntracepoint:syscalls:sys_enter_accept4\n', stderr);
  });
});

describe('a stripped binary', { skip: lacking('tracefs', 'envoy', 'nm') }, () => {
  test("the article's uprobe is told that there are no symbols, and what to do", { timeout: 40_000 }, async () => {
    const mangled = '_ZN5Envoy10MainCommon4mainEiPPcNSt3__18functionIFvRNS_6Server8InstanceEEEE';
    const { status, stderr } = await insitu(['-e', `uprobe:${envoy}:${mangled} { printf("Hello World\\n"); }`]);
    const notes = execFileSync('readelf', ['-n', envoy], { encoding: 'utf8' });
    const buildId = /Build ID: ([0-9a-f]+)/.exec(notes)?.[1] as string;
    assert.match(stderr, /no symbols|stripped/);
    assert.ok(stderr.includes(buildId), `no build-id ${buildId} in ${stderr}`);
    assert.match(stderr, /1\.40/);
    assert.match(stderr, /HINT:/);
    assert.equal(status, 1);
  });
});

describe('virtual address and file offset', { skip: lacking('tracefs', 'gcc', 'nm') }, () => {
  const source = join(folder, 'target.c');
  writeFileSync(
    source,
    `__attribute__((noinline, section(".second"))) int other(int x) { __asm__ volatile(""); return x * 3; }
__attribute__((noinline)) int wanted(int x) { __asm__ volatile(""); return x * 2; }
int main(void) { return wanted(21) + other(2) == 48 ? 0 : 1; }
`,
  );
  const build = (name: string, ...flags: string[]): string => {
    const path = join(folder, name);
    execFileSync('gcc', ['-O1', '-o', path, source, ...flags]);
    return path;
  };
  const kinds: readonly (readonly [what: string, flags: readonly string[]])[] = [
    ['a PIE', ['-pie', '-fPIE']],
    ['an executable at a fixed address', ['-no-pie', '-fno-pie']],
    ['one with its code in a segment of its own', ['-no-pie', '-fno-pie', '-Wl,-z,separate-code']],
    ['one without', ['-no-pie', '-fno-pie', '-Wl,-z,noseparate-code']],
    ['one with a second executable segment', ['-no-pie', '-fno-pie', '-Wl,--section-start=.second=0x10000000']],
  ];
  for (const [what, flags] of kinds) {
    test(`${what}: name, name+offset 0 and address hit once each`, { timeout: 40_000 }, async () => {
      const binary = build(what.replace(/\W/g, '-'), ...flags);
      const symbols = execFileSync('nm', [binary], { encoding: 'utf8' });
      const address = (name: string): string => `0x${new RegExp(`^0*([0-9a-f]+) T ${name}$`, 'm').exec(symbols)?.[1]}`;
      for (const name of ['wanted', 'other']) {
        for (const place of [name, `${name}+0`, address(name)]) {
          const script = `uprobe:${binary}:${place} { printf("%s %d\\n", func, arg0); }`;
          const { stdout, stderr } = await insitu(['-q', '-c', binary, '-e', script]);
          assert.equal(stdout.trim(), `${name} ${name === 'wanted' ? 21 : 2}`, `${place}: ${stderr}`);
        }
      }
    });
  }
});

describe('args in many functions at once', { skip: lacking('tracefs', 'gcc') }, () => {
  const many = 40;
  const binary = lazy(() => {
    const source = join(folder, 'many.c');
    const path = join(folder, 'many');
    const worker = (n: number): string =>
      `__attribute__((noinline)) int work_${n}(struct item *item, int by) { __asm__ volatile(""); return item->id * by + ${n}; }`;
    writeFileSync(
      source,
      `struct item { long room; int id; };
struct parcel { int id; };
${Array.from({ length: many }, (_, n) => worker(n)).join('\n')}
__attribute__((noinline)) int work_parcel(struct parcel *item, int by) { __asm__ volatile(""); return item->id * by; }
__attribute__((noinline)) int work_last(int by, struct item *item) { __asm__ volatile(""); return item->id * by; }
int main(void) {
  int sum = 0;
  for (int n = 0; n < 3; n++) {
    struct item item = { 1000, 10 * n };
    struct parcel parcel = { 7 * n };
${Array.from({ length: many }, (_, n) => `    sum += work_${n}(&item, ${n});`).join('\n')}
    sum += work_parcel(&parcel, 1) + work_last(2, &item);
  }
  return sum == 0;
}
`,
    );
    execFileSync('gcc', ['-g', '-O1', '-o', path, source]);
    return path;
  });
  // What main hands over: 0 + 10 + 20 three times, and 0 + 7 + 14 to work_parcel; each by its own factor.
  const expected = [
    ...Array.from({ length: many }, (_, n) => `@[work_${n}, ${n}]: 30`),
    '@[work_parcel, 1]: 21',
    '@[work_last, 2]: 30',
  ].sort();

  for (const feature of [[], ['--no-feature', 'uprobe_multi']]) {
    test(`each by its own name and values ${feature.join(' ')}`, { timeout: 60_000 }, async () => {
      const script = `uprobe:${binary()}:work_* { @[probe, args.by] = sum(args.item->id); }`;
      const { stdout, stderr } = await insitu([...feature, '-q', '-c', binary(), '-e', script], { timeout: 50_000 });
      const seen = stdout.split('\n').filter((line) => line !== '');
      const short = seen.map((line) => line.replace(`uprobe:${binary()}:`, '')).sort();
      assert.deepEqual(short, expected, stderr);
    });
  }

  test('as many programs as there are ways to pass the arguments', async () => {
    const programs = (body: string, name = 'work_*'): number | undefined => {
      const { result } = compileScript({ script: `uprobe:${binary()}:${name} { ${body} }` });
      return result.ok ? result.program.programs.length : undefined;
    };
    // By (struct item *, int), by (struct parcel *, int), by (int, struct item *).
    assert.equal(programs('@[probe, args.by] = sum(args.item->id);'), 3);
    assert.equal(programs('printf("%d\\n", args.by);'), 2);
    assert.equal(programs('printf("%d\\n", args.by);', 'work_?*[0-9]'), 1);
    assert.equal(programs('@ = count();'), 1);
  });

  test('max_bpf_progs counts programs, not functions', async () => {
    const run = (most: number): ReturnType<typeof insitu> =>
      insitu(['-c', binary(), '-e', `uprobe:${binary()}:work_* { @ = sum(args.item->id); }`], {
        env: { BPFTRACE_MAX_BPF_PROGS: String(most) },
      });
    const fits = await run(3);
    assert.equal(fits.status, 0, fits.stderr);
    const exceeds = await run(2);
    assert.match(exceeds.stderr, /needs 3 BPF programs, more than the limit of 2/);
    assert.equal(exceeds.status, 1);
  });
});

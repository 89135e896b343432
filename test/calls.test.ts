/** `insitu calls` beside the programs' own logs, gdb, and what clients of servers have asked for. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { CallsReport, ShownCall } from '../src/answers/calls/report.ts';
import { client, configuration as envoyConfiguration, freePort } from './envoy.ts';
import { envoy, lacking, Running, root, workerd } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-calls-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const sources = join(root, 'test', 'calls');
const log = join(folder, 'log');

const noRust = spawnSync('rustc', ['--version']).error === undefined ? false : 'needs rustc';

/** Compiles a program of test/calls; gives its path. */
function build(compiler: string, source: string, ...flags: string[]): string {
  const program = join(folder, `${source.replace(/\W/g, '_')}${flags.join('').replace(/\W/g, '')}`);
  execFileSync(compiler, [...flags, '-o', program, join(sources, source)]);
  return program;
}

/** The functions of program.cc that log. */
const logged = 'leaf factorial greet same wide thrower middle catcher jumper landing work Shape::area'
  .split(' ')
  .map((name) => `cases::${name}`);

/** How often plain.c says that it has called tiny(). */
const tinyCalls = (): number => Number(readFileSync(log, 'utf8').trim().split('\n').at(-1)?.split(' ')[0]);

/** Everything is shown, whatever it costs. */
const whole = ['--json', '--events', '--rate', '1000000', '--overhead', '100'];

interface Traced {
  readonly report: CallsReport;
  /** Outermost calls in the order of their begin. */
  readonly trees: readonly ShownCall[];
  readonly stderr: string;
}

function read(stdout: string, stderr: string): Traced {
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { type: string; data: unknown });
  const report = lines.findLast(({ type }) => type === 'calls')?.data as CallsReport | undefined;
  assert.ok(report, stdout + stderr);
  const trees = lines.filter(({ type }) => type === 'call').map(({ data }) => data as ShownCall);
  return { report, stderr, trees: trees.sort((a, b) => a.start - b.start) };
}

async function traced(patterns: readonly string[], command: string, options = whole): Promise<Traced> {
  const tracer = new Running(['calls', ...patterns, ...options, '-c', command], { timeout: 100_000 });
  const { stdout, stderr, status } = await tracer.ended();
  assert.equal(status, 0, stderr);
  return read(stdout, stderr);
}

/** A call as its own program has logged it. */
interface Logged {
  readonly name: string;
  readonly arguments: readonly (number | string | boolean)[];
  result: number | string | boolean | null;
  unwound: boolean;
  readonly calls: Logged[];
}

/** The trees of a log, thread by thread. */
function readLog(): Logged[][] {
  const threads = new Map<number, { open: Logged[]; trees: Logged[] }>();
  // Numbers that JavaScript cannot hold stay texts.
  const text = readFileSync(log, 'utf8').replace(/([[,])(-?\d{16,})(?=[\],])/g, '$1"$2"');
  for (const line of text.trim().split('\n')) {
    const { event, thread, name, result, ...begin } = JSON.parse(line);
    const known = threads.get(thread) ?? { open: [], trees: [] };
    threads.set(thread, known);
    if (event === '+') {
      const call: Logged = { name, arguments: begin.arguments, result: null, unwound: false, calls: [] };
      (known.open.at(-1)?.calls ?? known.trees).push(call);
      known.open.push(call);
    } else {
      const call = known.open.pop();
      assert.equal(call?.name, name);
      if (call !== undefined) Object.assign(call, { result, unwound: event === '!' });
    }
  }
  return [...threads.values()].map(({ trees }) => trees);
}

/** A traced call in the form of a logged one, with as many arguments (but `this`) as that has. */
function asLogged(call: ShownCall, like: Logged | undefined): Logged {
  const values = call.arguments.filter(({ name }) => name !== 'this').map(({ value }) => value ?? '?');
  return {
    name: call.function,
    arguments: values.slice(0, like?.arguments.length ?? values.length),
    result: call.result?.value ?? null,
    unwound: call.end === 'gone',
    calls: call.calls.map((one, index) => asLogged(one, like?.calls[index])),
  };
}

const flat = (calls: readonly Logged[]): Logged[] => calls.flatMap((call) => [call, ...flat(call.calls)]);
const byText = (a: Logged, b: Logged): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

/** The traced calls are those of the log: names, nesting, arguments, results, ends, and counts. */
function compare({ report, trees, stderr }: Traced): void {
  const expected = readLog().flat().sort(byText);
  const outermost = [...trees];
  const found = outermost.map((tree) => {
    const [first] = tree.arguments.filter(({ name }) => name !== 'this');
    const like = expected.find(({ name, arguments: [wanted] }) => name === tree.function && wanted === first?.value);
    return asLogged(tree, like);
  });
  assert.deepEqual(found.sort(byText), expected, stderr);
  const counts = new Map<string, [calls: number, unwound: number]>();
  for (const { name, unwound } of flat(expected)) {
    const [calls, gone] = counts.get(name) ?? [0, 0];
    counts.set(name, [calls + 1, gone + Number(unwound)]);
  }
  const counted = report.functions.map(({ name, calls, unwound }) => [name, [calls, unwound]] as const);
  assert.deepEqual(new Map([...counted].sort()), new Map([...counts].sort()));
  for (const { name, calls, ended, histogram, p50 = 0, p99 = 0, total, self } of report.functions) {
    assert.equal(ended, calls, name);
    assert.equal(
      histogram.reduce((sum, { count }) => sum + count, 0),
      calls,
      name,
    );
    assert.ok(p50 <= p99 && self <= total * calls && total > 0, name);
  }
}

/** A request on a connection of its own; resolves when the answer has come. */
const request = (port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    get({ port, host: '127.0.0.1', agent: false }, (answer) => answer.resume().on('end', resolve)).on('error', reject);
  });

describe('calls', { skip: lacking('tracefs', 'gcc') }, () => {
  for (const level of ['-O0', '-O2']) {
    test(`a C++ program, ${level}: the same calls as in its own log`, { timeout: 120_000 }, async () => {
      const program = build('g++', 'program.cc', level, '-g', '-pthread');
      compare(await traced(logged, `${program} ${log}`));
    });
  }

  test('a perf event for each place, as on older kernels', { timeout: 120_000 }, async () => {
    const program = build('g++', 'program.cc', '-O2', '-g', '-pthread');
    compare(await traced(logged, `${program} ${log}`, [...whole, '--no-feature', 'uprobe_multi']));
  });

  test('times: a call has those below it in its own, its self time has not', { timeout: 120_000 }, async () => {
    const program = build('g++', 'program.cc', '-O2', '-g', '-pthread');
    const { trees } = await traced(logged, `${program} ${log}`);
    const look = (call: ShownCall): void => {
      const below = call.calls.reduce((sum, { duration }) => sum + duration, 0);
      assert.equal(call.self, call.duration - below, call.function);
      for (const one of call.calls) {
        assert.ok(one.start >= call.start && one.start + one.duration <= call.start + call.duration, one.function);
        look(one);
      }
    };
    assert.ok(trees.length > 10);
    for (const tree of trees) look(tree);
  });

  test('without symbols for arguments: registers as they are', { timeout: 120_000 }, async () => {
    const program = build('g++', 'program.cc', '-O2', '-pthread');
    const { trees } = await traced(['cases::leaf', 'cases::wide'], `${program} ${log}`);
    const [first] = trees;
    assert.equal(first?.function, 'cases::leaf');
    const value = (call: ShownCall | undefined, name: string): number =>
      Number(call?.arguments.find((one) => one.name === name)?.value) & 0xffff;
    // leaf(21) = 42; a name in a namespace may be a method's, with `this` before.
    assert.deepEqual(
      first?.arguments.map(({ name }) => name),
      ['rdi', 'rsi'],
    );
    assert.equal(value(first, 'rdi'), 21);
    assert.equal(Number(first?.result?.value) & 0xffff, 42);
    const wide = trees.find((one) => one.function === 'cases::wide');
    assert.equal(value(wide, 'rsi'), 65535);
    assert.equal(wide?.arguments.length, 6);
  });

  test('a C program: followed by uretprobes, with tail calls and longjmp', { timeout: 120_000 }, async () => {
    const program = build('gcc', 'plain.c', '-O2', '-g');
    const { trees, report } = await traced(['leaf', 'tailed', 'jumper', 'landing'], `${program} ${log}`);
    const shape = (call: ShownCall): unknown => [
      call.function,
      call.arguments[0]?.value,
      call.result?.value ?? call.end,
      ...call.calls.map(shape),
    ];
    const jumper = (n: number): unknown => ['jumper', n, 'gone', ...(n === 0 ? [] : [jumper(n - 1)])];
    // The frame of a tail call is that of its caller, whose result it gives.
    assert.deepEqual(trees.map(shape), [
      ['leaf', 1, 2],
      ['landing', 3, 7, jumper(3), ['leaf', 3, 6]],
      ['tailed', 5, 210, ['leaf', 105, 210]],
      ['leaf', 2, 4],
    ]);
    const begun = readFileSync(log, 'utf8').match(/"event":"\+"/g)?.length;
    assert.equal(
      report.functions.reduce((sum, { calls }) => sum + calls, 0),
      begun,
    );
  });

  test('a C program that loads a C++ library: exceptions get through', { timeout: 120_000 }, async () => {
    const library = build('g++', 'late.cc', '-shared', '-fPIC');
    const program = build('gcc', 'late.c', '-O2', '-g', '-fexceptions', '-fno-asynchronous-unwind-tables');
    const file = join(folder, 'go');
    const tracer = new Running(['calls', 'guarded', 'plain', ...whole, '-c', `${program} ${library} ${file}`], {
      timeout: 100_000,
    });
    await tracer.until(
      () => /WARNING: the process has loaded \S+, which unwinds stacks/.test(tracer.stderr),
      'it is told',
    );
    writeFileSync(file, '');
    const { stdout, stderr } = await tracer.ended();
    assert.match(stdout, /^caught 7$/m, stderr);
    const { trees } = read(stdout.replace(/^[a-z].*\n/gm, ''), stderr);
    const seen = trees.map((call) => [call.function, call.arguments[0]?.value, call.result?.value ?? call.end]);
    // plain() gives the length of what it prints, and its argument.
    assert.deepEqual(seen, [
      ['plain', 1, 9],
      ['plain', 2, 10],
      ['guarded', 5, 'gone'],
      ['plain', 3, 11],
    ]);
  });

  test('numbers are exact when only some calls are shown', { timeout: 120_000 }, async () => {
    const program = build('gcc', 'plain.c', '-O2', '-g');
    const few = ['--json', '--events', '--rate', '20', '--overhead', '100'];
    const { report, trees } = await traced(['tiny'], `${program} ${log} 5000`, few);
    assert.equal(tinyCalls(), 5000);
    assert.equal(report.functions[0]?.calls, 5000);
    assert.equal(report.functions[0]?.ended, 5000);
    // Twenty in each second.
    assert.ok(trees.length >= 20 && trees.length < 5000, `${trees.length} shown`);
    assert.match(
      report.unseen.join('\n'),
      new RegExp(`${(5000 - trees.length).toLocaleString('en-US')} outermost calls`),
    );
    const each = ['--json', '--events', '--rate', '1000000', '--sample', '100', '--overhead', '100'];
    const sampled = await traced(['tiny'], `${program} ${log} 5000`, each);
    assert.deepEqual(
      sampled.trees.map((tree) => tree.arguments[0]?.value),
      Array.from({ length: 50 }, (_, index) => 100 * index),
    );
    assert.equal(sampled.report.functions[0]?.calls, 5000);
  });

  test('a function that is called too often loses its probes, and that is said', { timeout: 120_000 }, async () => {
    const program = build('gcc', 'plain.c', '-O2', '-g');
    const tracer = new Running(['calls', 'tiny', 'leaf', 'main', '--json', '-c', `${program} ${log} 1000000000`], {
      timeout: 110_000,
    });
    const { stdout, stderr } = await tracer.ended();
    // The program has done what it does alone.
    assert.equal(tinyCalls(), 1_000_000_000);
    const { report } = read(stdout, stderr);
    const tiny = report.functions.find(({ name }) => name === 'tiny');
    assert.ok(tiny !== undefined && tiny.calls > 0 && tiny.calls < 1_000_000_000);
    assert.ok((tiny.removed?.rate ?? 0) > 1000);
    assert.match(report.unseen.join('\n'), /tiny, called [\d,]+ times a second, lost its probes after /);
    assert.match(stderr, /WARNING: the probes cost .*: tiny, called [\d,]+ times a second lost theirs/);
    // The others keep theirs, and none of their calls is missed or counted twice meanwhile.
    for (const [name, calls] of [
      ['main', 1],
      ['leaf', 1000],
    ] as const) {
      const row = report.functions.find((one) => one.name === name);
      assert.deepEqual([row?.calls, row?.ended, row?.unwound, row?.removed], [calls, calls, 0, undefined], name);
    }
  });

  test('--depth, --min and --duration', { timeout: 120_000 }, async () => {
    const program = build('g++', 'program.cc', '-O2', '-g', '-pthread');
    const shallow = await traced(logged, `${program} ${log}`, [...whole, '--depth', '1']);
    assert.ok(shallow.trees.every(({ calls }) => calls.length === 0));
    const factorial = shallow.trees.find((tree) => tree.function === 'cases::factorial');
    assert.equal(factorial?.hidden, 1);
    assert.equal(shallow.report.functions.find(({ name }) => name === 'cases::factorial')?.calls, 5 + 1 + 2 + 3 + 4);
    const slow = await traced(logged, `${program} ${log}`, [...whole, '--min', '10s']);
    assert.deepEqual(slow.trees, []);
    assert.equal(slow.report.functions.find(({ name }) => name === 'cases::work')?.calls, 4);
    const started = performance.now();
    const tracer = new Running([
      'calls',
      '_ZN4node*',
      '--json',
      '--duration',
      '300ms',
      '-c',
      `${process.execPath} -e setInterval(()=>{},9)`,
    ]);
    assert.equal((await tracer.ended()).status, 0);
    assert.ok(performance.now() - started >= 300);
  });

  test('values are those that gdb tells', { timeout: 120_000, skip: lacking('gdb') }, async () => {
    const program = build('g++', 'program.cc', '-O0', '-g', '-pthread');
    const names = ['cases::leaf', 'cases::factorial', 'cases::greet', 'cases::wide', 'cases::same', 'cases::catcher'];
    const { trees } = await traced(names, `${program} ${log}`);
    const commands = names.flatMap((name) => [`tbreak ${name}`, 'run', 'info args', 'finish', 'delete']);
    const flags = ['-batch', '-nx', '-ex', 'set confirm off', '-ex', 'set print thread-events off'];
    const output = execFileSync(
      'gdb',
      [...flags, ...commands.flatMap((command) => ['-ex', command]), '--args', program, join(folder, 'gdblog')],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
    );
    const parts = output.split(/^Temporary breakpoint \d+ at .*$/m).slice(1);
    assert.equal(parts.length, names.length, output);
    for (const [index, name] of names.entries()) {
      const part = parts[index] as string;
      const call = trees.find((tree) => tree.function === name);
      const told = /Value returned is \$\d+ = (.*)$/m.exec(part)?.[1];
      // gdb writes the address before a text, and a byte as a character in octal.
      assert.equal(call?.result?.text, told?.replace(/^0x\w+ (?=")/, '').replace(/ '\\\d+'$/, ''), name);
      for (const { name: argument, text } of call?.arguments ?? []) {
        const value = new RegExp(`^${argument} = (.*)$`, 'm').exec(part)?.[1];
        const plain = value
          ?.replace(/^0x\w+ (?=")/, '')
          .replace(/^@0x\w+: /, '')
          .replace(/ '\\\d+'$/, '');
        assert.equal(text, plain, `${name} ${argument}`);
      }
    }
  });

  test('a Rust program: the same calls as in its own log', { timeout: 120_000, skip: noRust }, async () => {
    const program = build('rustc', 'rust.rs', '-g');
    const names = ['double', 'factorial', 'length', 'panics', 'guarded'].map((name) => `rust::${name}`);
    compare(await traced(names, `${program} ${log}`));
  });

  test('a process that is running: node, with requests that are counted', { timeout: 120_000 }, async () => {
    const source = `require('http').createServer((request, answer) => answer.end('hi')).listen(0, '127.0.0.1', function () {
      console.log(this.address().port);
    })`;
    const server = spawn(process.execPath, ['-e', source], { stdio: ['ignore', 'pipe', 'ignore'] });
    try {
      const port = await new Promise<number>((resolve) => {
        server.stdout.once('data', (data) => resolve(Number(data)));
      });
      await request(port);
      const tracer = new Running(['calls', '_ZN4node*', '--json', '--overhead', '100', '-p', String(server.pid)], {
        timeout: 100_000,
      });
      await tracer.attached();
      for (let count = 0; count < 5; count++) await request(port);
      const { stdout, stderr } = await tracer.interrupt();
      const { report } = read(stdout, stderr);
      assert.ok(report.traced > 4000, `${report.traced} functions`);
      const accepted = report.functions.find(({ symbol }) => /ConnectionWrap.*TCPWrap.*OnConnection/.test(symbol));
      assert.deepEqual([accepted?.calls, accepted?.ended], [5, 5], stderr);
      assert.equal(accepted?.name, 'node::ConnectionWrap<node::TCPWrap, uv_tcp_s>::OnConnection');
      // It makes the socket of the connection (src/connection_wrap.cc).
      const tree = report.longest.find((call) => call.function === accepted?.name);
      assert.ok(tree === undefined || tree.calls.some((call) => call.function === 'node::TCPWrap::Instantiate'));
    } finally {
      server.kill('SIGKILL');
    }
  });

  test('workerd: the functions of a request', { timeout: 120_000, skip: lacking('workerd') }, async () => {
    const port = await freePort();
    const configuration = join(folder, 'workerd.capnp');
    writeFileSync(
      configuration,
      `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (
    serviceWorkerScript = "addEventListener('fetch', e => e.respondWith(new Response('hi')))",
    compatibilityDate = "2024-01-01"))],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")]
);
`,
    );
    const server = spawn(workerd, ['serve', configuration], { stdio: 'ignore' });
    try {
      (await client(port, '127.0.0.1')).destroy();
      await request(port);
      const tracer = new Running(
        ['calls', 'workerd::server::*', 'kj::Http*', '--json', '--overhead', '100', '-p', String(server.pid)],
        { timeout: 100_000 },
      );
      await tracer.attached();
      for (let count = 0; count < 4; count++) await request(port);
      const { stdout, stderr } = await tracer.interrupt();
      const { report } = read(stdout, stderr);
      // One for each request, from kj's HTTP server on.
      for (const name of ['worker_start_request', '(anonymous namespace)::createEntrypoint']) {
        const row = report.functions.find((one) => one.name === `workerd::server::${name}`);
        assert.deepEqual([row?.calls, row?.ended], [4, 4], `${name}\n${stderr}`);
      }
      const tree = report.longest.find((call) => call.function === 'workerd::server::worker_start_request');
      assert.equal(tree?.calls[0]?.function, 'workerd::server::(anonymous namespace)::createEntrypoint');
    } finally {
      server.kill('SIGKILL');
    }
  });

  test('the stripped Envoy, by an inferred name', { timeout: 120_000, skip: lacking('envoy') }, async () => {
    const [port, admin] = [await freePort(), await freePort()];
    const path = envoyConfiguration(folder, '127.0.0.1', port, admin);
    const server = spawn(envoy, ['-c', path, '--disable-hot-restart', '--log-level', 'off', '--concurrency', '1'], {
      stdio: 'ignore',
    });
    try {
      (await client(port, '127.0.0.1')).destroy();
      // With its answer all earlier connections have been accepted.
      await request(port);
      const tracer = new Running(
        ['calls', '~Envoy::Network::ConnectionImpl::*', '--json', '--overhead', '100', '-p', String(server.pid)],
        { timeout: 100_000 },
      );
      await tracer.attached();
      for (let count = 0; count < 3; count++) await request(port);
      const { stdout, stderr } = await tracer.interrupt();
      const { report } = read(stdout, stderr);
      const row = report.functions.find(({ name }) => name === '~Envoy::Network::ConnectionImpl::noDelay');
      // Each accepted connection gets TCP_NODELAY.
      assert.deepEqual(
        [row?.calls, row?.ended],
        [3, 3],
        stderr + JSON.stringify(report.functions.map(({ name }) => name)),
      );
    } finally {
      server.kill('SIGKILL');
    }
  });

  test('mistakes', async () => {
    for (const [words, complaint] of [
      [['calls'], /calls of which functions\?/],
      [['calls', 'x'], /calls in which process\?/],
      [['calls', 'x', '-p', '4194303'], /no process 4194303/],
      [['calls', 'no_such_function', '-c', 'true'], /no function of \S+ matches 'no_such_function'/],
      [['calls', 'nolib:x', '-c', 'true'], /nolib/],
      [['calls', 'x', '-c', '/there/is/none'], /\/there\/is\/none/],
      [['calls', 'x', '--min', 'soon', '-c', 'true'], /--min takes a time, not 'soon'/],
      [['calls', 'x', '--sample', '0', '-c', 'true'], /--sample takes a number from 1/],
      [['calls', 'x', '--overhead', '101', '-c', 'true'], /--overhead takes a number from 0\.1 to 100, not '101'/],
      [['--rate', '5', '-e', 'BEGIN { }'], /--rate belongs to: insitu calls/],
    ] as const) {
      const { status, stderr } = await new Running([...words]).ended();
      assert.equal(status, 1, words.join(' '));
      assert.match(stderr, complaint);
    }
  });
});

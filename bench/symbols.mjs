// Symbols in numbers, on the programs of tools/programs.mjs. Every line has its limit; the end
// says which were kept. Times are CPU seconds of the processes (user + system) and, in
// brackets, by the clock; ratios are of CPU time, so that a busy machine says the same.
//
//   npm run bench:symbols [-- --runs N]
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { envoyPath, fetchEnvoy, fetchWorkerd, workerdPath } from '../tools/programs.mjs';
import { executable } from '../tools/setup.mjs';

const runs = Number(process.argv[process.argv.indexOf('--runs') + 1]) || 7;
const cache = mkdtempSync(join(tmpdir(), 'insitu-bench-'));
const environment = { ...process.env, XDG_CACHE_HOME: cache };
const missed = [];

/** Runs a command; gives CPU and clock seconds, peak memory in MB, and its output. */
function measure(command, args) {
  const format = '%e %U %S %M';
  const start = spawnSync('/usr/bin/time', ['-q', '-f', format, '-o', join(cache, 'time'), command, ...args], {
    env: environment,
    encoding: 'utf8',
    maxBuffer: 1 << 30,
  });
  if (start.error) throw start.error;
  const text = spawnSync('cat', [join(cache, 'time')], { encoding: 'utf8' })
    .stdout.trim()
    .split('\n')
    .pop();
  const [clock, user, system, kilobytes] = text.split(' ').map(Number);
  return { clock, cpu: user + system, memory: kilobytes / 1024, output: start.stdout, errors: start.stderr };
}

const middle = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
function median(command, args, times = runs) {
  const all = Array.from({ length: times }, () => measure(command, args));
  return { cpu: middle(all.map((one) => one.cpu)), clock: middle(all.map((one) => one.clock)), output: all[0].output };
}

function report(what, value, limit, unit, more = '') {
  const kept = value <= limit;
  if (!kept) missed.push(what);
  console.log(
    `${kept ? 'ok  ' : 'MISS'} ${what.padEnd(58)} ${value.toFixed(2).padStart(8)} ${unit} (limit ${limit})${more}`,
  );
}

const clock = (one) => `  [${one.clock.toFixed(2)} s by the clock]`;
const symbols = (...args) => [process.execPath, [executable, 'symbols', ...args]];

if (!existsSync('/usr/bin/time')) throw new Error('needs /usr/bin/time (apt-get install time)');
for (const problem of [fetchEnvoy(), fetchWorkerd()]) if (problem !== undefined) console.log(problem);

if (existsSync(envoyPath)) {
  const first = measure(...symbols(envoyPath, 'createListenSocketFactory'));
  report('Envoy, first index', first.cpu, 4, 's', clock(first));
  report('Envoy, first index, memory', first.memory, 500, 'MB');
  const again = median(...symbols(envoyPath, 'createListenSocketFactory'));
  console.log(`     Envoy, names again: ${again.cpu.toFixed(2)} s${clock(again)}`);
  if (process.getuid() === 0) {
    const script = (mode) =>
      `tracepoint:syscalls:sys_enter_write /comm == "envoy"/ { printf("%s", ustack(${mode})); exit(); }`;
    const run = (mode) => [process.execPath, [executable, '-q', '-e', script(mode), '-c', `${envoyPath} --version`]];
    const named = median(...run('bpftrace'));
    const bare = median(...run('raw'));
    if (!/~\S/.test(named.output)) console.log(`     no inferred name in this stack:\n${named.output}`);
    report('Envoy, a run with names over one without', named.cpu - bare.cpu, 0.15, 's', clock(named));
  } else console.log('     without root: no runs');
}

if (existsSync(workerdPath)) {
  for (const regex of [
    'MainCommon.*main',
    'kj::.*TaskSet.*add',
    'workerd::server::Server::.*start',
    'v8::internal::.*Scavenger',
    'sqlite3_.*open',
    'HttpService.*request',
    'JsRpc.*call',
  ]) {
    rmSync(join(cache, 'insitu', 'symbols'), { recursive: true, force: true });
    const nm = median('sh', ['-c', `nm -C ${workerdPath} | grep -E '${regex}'`], 3);
    const cold = measure(...symbols(workerdPath, regex));
    const warm = median(...symbols(workerdPath, regex));
    const found = (text) => text.trim().split('\n').length - (text === '' ? 1 : 0);
    report(`workerd '${regex}' cold : nm -C | grep`, cold.cpu / nm.cpu, 1, '×', `  ${found(nm.output)} lines`);
    report(
      `workerd '${regex}' warm : nm -C | grep`,
      warm.cpu / nm.cpu,
      0.2,
      '×',
      `  ${warm.cpu.toFixed(2)} of ${nm.cpu.toFixed(2)} s`,
    );
  }

  const { HostFile } = await import('../dist/src/kernel/host/file.js');
  const { Symbolizer } = await import('../dist/src/symbolize/symbols/symbolizer.js');
  const { openBinary } = await import('../dist/src/symbolize/symbols/binary.js');
  const { demangleBoth } = await import('../dist/src/symbolize/demangle/index.js');
  process.env.XDG_CACHE_HOME = cache;
  const { symbolTables } = await import('../dist/src/kernel/host/cache.js');
  const options = { demangle: demangleBoth, tables: symbolTables };
  const { elf } = openBinary(workerdPath, HostFile.open(workerdPath).value, options).value;
  const code = elf.segments.find((segment) => segment.type === 1 && (segment.flags & 1) !== 0);
  const base = 0x5555_0000_0000;
  const row = `${(base + code.address).toString(16)}-${(base + code.address + code.memorySize).toString(16)} r-xp ${code.offset.toString(16)} 08:01 77 ${workerdPath}\n`;
  const files = { maps: () => row, open: () => HostFile.open(workerdPath).value, perfMap: () => undefined };
  let state = 12345;
  const random = (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
  const count = 1_000_000;
  // A profile's worth of distinct places, met again and again, in stacks of 50; then places all
  // over the program, each once: nearly all of its functions are met. Their names come as they
  // stand in the symbol table; what it takes to demangle every one of them is told beside.
  for (const [distinct, demangled, limit] of [
    [20_000, true, 1],
    [count, false, 1],
    [count, true, Number.POSITIVE_INFINITY],
  ]) {
    const places = Array.from({ length: distinct }, () => base + code.address + random(code.fileSize));
    let next = 0;
    const place = () => (distinct === count ? places[next++] : places[random(distinct)]);
    const stacks = Array.from({ length: count / 50 }, () => Array.from({ length: 50 }, place));
    const symbolizer = new Symbolizer(files, options);
    const start = process.cpuUsage();
    const began = performance.now();
    let letters = 0;
    let named = 0;
    for (const stack of stacks) {
      for (const frame of symbolizer.symbolizeMany(1, stack)) {
        if (!frame.found) continue;
        named++;
        letters += ((demangled && frame.demangled) || frame.name).length;
      }
    }
    const { user, system } = process.cpuUsage(start);
    const seconds = (user + system) / 1e6;
    const clock = ((performance.now() - began) / 1000).toFixed(2);
    const what = `a million addresses, ${distinct.toLocaleString('en')} distinct${demangled ? ', demangled' : ''}`;
    report(
      what,
      seconds,
      limit,
      's',
      `  [${clock} s by the clock]  ${named} named, ${(letters / 2 ** 20).toFixed(0)} MB of names`,
    );
    symbolizer.close();
  }
}

rmSync(cache, { recursive: true, force: true });
console.log(missed.length === 0 ? 'all limits kept' : `missed: ${missed.join('; ')}`);
process.exit(missed.length === 0 ? 0 : 1);

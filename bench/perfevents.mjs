// npm run bench:perfevents [-- --functions N,N] [--runs N]
// Uprobes as perf events, for kernels without uprobe_multi: opened one after the other, and on
// the four threads of libuv's pool, as src/kernel/attach does it, on functions of a copy of
// node that nobody runs. Each event is opened and linked to a program, as an attached probe is.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { closeFd, linkPerfEvent, progLoad } from '../dist/src/kernel/sys/bpf.js';
import { perfEventOpen } from '../dist/src/kernel/sys/perf.js';
import { median } from './tracers.mjs';

const { values } = parseArgs({
  options: {
    functions: { type: 'string', default: '52,1000,3000' },
    runs: { type: 'string', default: '3' },
  },
});
const folder = mkdtempSync(join(tmpdir(), 'insitu-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const path = join(folder, 'node');
copyFileSync(process.execPath, path);

// The file offset of .text's code from its virtual address, by readelf.
const text = /\.text\s+PROGBITS\s+([0-9a-f]+)\s+([0-9a-f]+)/.exec(
  execFileSync('readelf', ['-SW', path], { encoding: 'utf8' }),
);
const bias = Number(`0x${text[1]}`) - Number(`0x${text[2]}`);
const offsets = execFileSync('nm', [path], { encoding: 'utf8', maxBuffer: 1 << 28 })
  .split('\n')
  .flatMap((line) => /^([0-9a-f]+) [tT] _ZN2v8/.exec(line)?.slice(1) ?? [])
  .map((address) => Number(`0x${address}`) - bias);
const places = [...new Set(offsets)];

const type = Number(readFileSync('/sys/bus/event_source/devices/uprobe/type', 'latin1'));
const code = Uint8Array.of(0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0);
const program = progLoad({ type: 'KPROBE', name: 'bench', code, license: 'GPL', log: { level: 0, size: 0 } }).fd;
const event = (offset) => ({ type, config: 0, text: path, offset, cpu: 0 });

function oneByOne(chosen) {
  return chosen.map((offset) => {
    const fd = perfEventOpen(event(offset), 'bench');
    const link = linkPerfEvent(program, fd, 0);
    closeFd(fd);
    return link;
  });
}

// The same calls with buffers of their own, on pool threads.
const koffi = createRequire(import.meta.url)('koffi');
const syscall = koffi.load(null).func('long syscall(long, long, long, long, long, long, long)');
const numbers = process.arch === 'arm64' ? { bpf: 280, perf: 241 } : { bpf: 321, perf: 298 };
const onThread = (...words) =>
  new Promise((resolve, reject) => {
    syscall.async(...words, 0, (error, result) => (error ? reject(error) : resolve(Number(result))));
  });
const name = new TextEncoder().encode(`${path}\0`);

async function onThreads(chosen, threads) {
  const left = [...chosen];
  const links = [];
  const work = async () => {
    const attr = new DataView(new ArrayBuffer(128));
    attr.setUint32(0, type, true);
    attr.setUint32(4, 128, true);
    attr.setBigUint64(56, koffi.address(name), true);
    const link = new DataView(new ArrayBuffer(24));
    link.setUint32(0, program, true);
    link.setUint32(8, 41, true); // BPF_PERF_EVENT
    for (let offset = left.pop(); offset !== undefined; offset = left.pop()) {
      attr.setBigUint64(64, BigInt(offset), true);
      const fd = await onThread(numbers.perf, koffi.address(attr), -1, 0, -1, 8);
      link.setUint32(4, fd, true);
      links.push(await onThread(numbers.bpf, 28, koffi.address(link), 24, 0, 0));
      closeFd(fd);
    }
  };
  await Promise.all(Array.from({ length: threads }, work));
  return links;
}

const timed = async (make) => {
  const began = performance.now();
  const links = await make();
  const took = performance.now() - began;
  const bad = links.filter((fd) => fd < 0).length;
  if (bad > 0) throw new Error(`${bad} could not be attached`);
  const closing = performance.now();
  for (const fd of links) closeFd(fd);
  return { took, closed: performance.now() - closing };
};

for (const count of values.functions.split(',').map(Number)) {
  const chosen = places.slice(0, count);
  const results = { 'one by one': [], '4 threads': [] };
  for (let run = 0; run < Number(values.runs); run++) {
    results['one by one'].push(await timed(() => oneByOne(chosen)));
    results['4 threads'].push(await timed(() => onThreads(chosen, 4)));
  }
  const base = median(results['one by one'].map(({ took }) => took));
  for (const [how, list] of Object.entries(results)) {
    const took = median(list.map((one) => one.took));
    const closed = median(list.map((one) => one.closed));
    console.log(
      `${String(chosen.length).padStart(5)} events ${how.padEnd(10)} attached in ${took.toFixed(0).padStart(6)} ms (${(took / base).toFixed(2)}×), detached one by one in ${closed.toFixed(0)} ms`,
    );
  }
}

// npm run bench:list [-- --peer PATH] [--runs N] [--insitu PATH]
// All functions of node listed (-l 'uprobe:node:*'), beside Debian's bpftrace and any --peer:
// the time from start to end, in turns, so that all meet the same machine.
import { spawnSync } from 'node:child_process';
import { median, setUp } from './tracers.mjs';

const { values, tracers } = setUp({ runs: { type: 'string', default: '11' } });
const results = new Map(tracers.map(({ name }) => [name, []]));
for (let run = 0; run < Number(values.runs); run++) {
  for (const { name, path } of tracers) {
    const began = performance.now();
    const { stdout, status, stderr } = spawnSync(path, ['-l', `uprobe:${process.execPath}:*`], { maxBuffer: 1 << 28 });
    const wall = performance.now() - began;
    if (status !== 0) throw new Error(`${name}: ${stderr}`);
    results.get(name).push({ wall, functions: stdout.toString('latin1').split('\n').length - 1 });
  }
}
const ours = median(results.get('insitu').map(({ wall }) => wall));
for (const [name, list] of results) {
  const wall = median(list.map((one) => one.wall));
  const ratio = name === 'insitu' ? '' : `   insitu: ${(ours / wall).toFixed(2)}×`;
  console.log(`${name.padEnd(34)} ${list[0].functions} functions, ${wall.toFixed(0).padStart(5)} ms${ratio}`);
}

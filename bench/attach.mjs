// npm run bench:attach [-- --peer PATH] [--runs N] [--limit SECONDS] [--slow N] [--insitu PATH]
// Uprobes on functions of a copy of node (a copy, because a probe is put into every process that
// runs the file, which may be many, and insitu itself among them): the time from the process's start until all are attached,
// the time from SIGINT to its end, and peak memory, beside Debian's bpftrace and any --peer, in turns.
// 0.17 attaches one by one (two minutes for 988): it is asked only for up to --slow functions.
// Goal: 3,000 functions attached in less than 0.3 s, the process's start included.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median, setUp, start } from './tracers.mjs';

const { values, tracers } = setUp({
  runs: { type: 'string', default: '5' },
  limit: { type: 'string', default: '60' },
  slow: { type: 'string', default: '1' },
});
const folder = mkdtempSync(join(tmpdir(), 'insitu-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const node = join(folder, 'node');
copyFileSync(process.execPath, node);
const names = execFileSync('nm', [node], { encoding: 'utf8', maxBuffer: 1 << 28 })
  .split('\n')
  .flatMap((line) => /^[0-9a-f]+ [tTwW] (.*)$/.exec(line)?.[1] ?? []);
const matching = (glob) => {
  const pattern = new RegExp(`^${glob.replaceAll('*', '.*')}$`);
  return names.filter((name) => pattern.test(name)).length;
};
/** Patterns for about 1, 100, 988, 3,000, 6,637 and 30,000 functions. */
const patterns = [
  ['uv_run'],
  ['ENGINE_*'],
  ['_ZN4node6crypto*'],
  ['_ZN2v88internal4wasm*', 'OSSL_*'],
  ['_ZN4node*'],
  ['_ZN2v88internal*'],
];

for (const globs of patterns) {
  const count = globs.reduce((sum, glob) => sum + matching(glob), 0);
  console.log(`uprobe:node:${globs.join(', ')}, ${count} names`);
  const script = `${globs.map((glob) => `uprobe:${node}:${glob}`).join(', ')} { @ = count(); }`;
  const asked = tracers.filter(({ path }) => path !== '/usr/bin/bpftrace' || count <= Number(values.slow));
  const results = new Map(asked.map(({ name }) => [name, []]));
  for (let run = 0; run < Number(values.runs); run++) {
    for (const { name, path } of asked) {
      try {
        const running = await start(path, ['-e', script], { limit: Number(values.limit) * 1000 });
        const ended = await running.stop();
        const probes = Number(/Attach(?:ed|ing) (\d+) probes?/.exec(ended.stderr)?.[1]);
        results.get(name).push({ attached: running.attached, probes, ...ended });
      } catch (error) {
        console.log(`  ${name.padEnd(34)} ${error.message}`);
      }
    }
  }
  const of = (name, key) => median((results.get(name) ?? []).map((one) => one[key]));
  for (const [name, list] of results) {
    if (list.length === 0) continue;
    const ratio = (key) => (of('insitu', key) / of(name, key)).toFixed(2);
    console.log(
      `  ${name.padEnd(24)} ${String(list[0].probes).padStart(6)} probes attached in ${of(name, 'attached').toFixed(0).padStart(6)} ms, detached in ${of(name, 'detached').toFixed(0).padStart(6)} ms, ${of(name, 'memory').toFixed(0).padStart(4)} MB` +
        (name === 'insitu' ? '' : `   insitu: ${ratio('attached')}×, ${ratio('detached')}×, ${ratio('memory')}×`),
    );
  }
}

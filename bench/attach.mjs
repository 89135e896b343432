// npm run bench:attach [-- --peer PATH] [--runs N] [--limit SECONDS] [--insitu PATH]
// Uprobes on functions of a copy of node (a copy, because a probe is put into every process that
// runs the file, which may be many, and insitu itself among them): the time from the process's start until all are attached,
// the time from SIGINT to its end, and peak memory, beside Debian's bpftrace and any --peer.
// 0.17 attaches one by one (two minutes for 988): what takes longer than --limit is told so.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median, setUp, start } from './tracers.mjs';

const { values, tracers } = setUp({ runs: { type: 'string', default: '3' }, limit: { type: 'string', default: '30' } });
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
const globs = ['uv_run', 'uv_fs_*', '_ZN4node6crypto*', '_ZN4node*', '_ZN2v88internal*'];

for (const glob of globs) {
  const results = new Map();
  console.log(`uprobe:node:${glob}, about ${matching(glob)} functions`);
  for (const { name, path } of tracers) {
    const list = [];
    for (let run = 0; run < Number(values.runs); run++) {
      try {
        const running = await start(path, ['-e', `uprobe:${node}:${glob} { @ = count(); }`], {
          limit: Number(values.limit) * 1000,
        });
        list.push({ attached: running.attached, ...(await running.stop()) });
      } catch (error) {
        console.log(`  ${name.padEnd(34)} ${error.message}`);
        break;
      }
    }
    if (list.length === 0) continue;
    const of = (key) => median(list.map((one) => one[key]));
    const result = { attached: of('attached'), detached: of('detached'), memory: of('memory') };
    const ours = results.get('insitu');
    results.set(name, result);
    const ratio =
      ours === undefined
        ? ''
        : `   insitu: ${(ours.attached / result.attached).toFixed(2)}× to attached, ${(ours.memory / result.memory).toFixed(2)}× memory`;
    console.log(
      `  ${name.padEnd(34)} attached ${result.attached.toFixed(0).padStart(6)} ms, detached ${result.detached.toFixed(0).padStart(6)} ms, ${result.memory.toFixed(0).padStart(4)} MB${ratio}`,
    );
  }
}

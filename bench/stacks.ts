// npm run bench:stacks
// How much of Envoy's own code in the stacks of the article's script has a name: runs
// Envoy, which is stripped, under the script until it has answered two requests.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { envoyFrames } from '../test/envoy.ts';
import { root, sharedCases } from '../test/insitu.ts';

const article = join(sharedCases, 'trace-envoy-socket.bt');
const script = existsSync(article) ? article : join(root, 'tools', 'sockets.bt');
const folder = mkdtempSync(join(tmpdir(), 'insitu-stacks-'));
try {
  const frames = await envoyFrames(folder, script);
  const count = (test: (grade: string | undefined) => boolean): number =>
    frames.filter(({ name }) => test(name?.grade)).length;
  const percent = (part: number): string => `${part} (${((100 * part) / frames.length).toFixed(1)} %)`;
  const functions = new Set(frames.map(({ name, address }) => name?.address ?? address)).size;
  console.log(`${script}: ${frames.length} frames of Envoy's own code, ${functions} functions`);
  console.log(`  sure or likely: ${percent(count((grade) => grade === 'sure' || grade === 'likely'))}`);
  console.log(`  with hints:     ${percent(count((grade) => grade !== undefined))}`);
  for (const grade of ['sure', 'likely', 'hint', undefined]) {
    console.log(`\n${grade ?? 'no name'}`);
    const seen = new Map<string, number>();
    for (const { name, shown, address } of frames) {
      if (name?.grade !== grade) continue;
      const text = name === undefined ? `0x${address.toString(16)}` : `${shown}  [${name.rule}]`;
      seen.set(text, (seen.get(text) ?? 0) + 1);
    }
    for (const [text, times] of [...seen].sort(([, a], [, b]) => b - a))
      console.log(`  ${String(times).padStart(4)}  ${text}`);
  }
} finally {
  rmSync(folder, { recursive: true });
}

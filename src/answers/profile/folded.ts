/**
 * Folded stacks, as flamegraph.pl, inferno and speedscope read them: a line a stack, its
 * frames outermost first with `;` between, a blank, the count.
 */
import type { StackProfile } from './stacks.ts';

/** A `;` or a line break in a name would be taken for the format's own. */
const foldedName = (name: string): string => name.replaceAll(';', ':').replace(/[\r\n]+/g, ' ');

/** The lines in the order of their text. Of several maps, each line begins with its map's name. */
export function foldedText(profiles: readonly StackProfile[]): string {
  const counts = new Map<string, bigint>();
  for (const { name, samples } of profiles) {
    for (const { frames, count } of samples) {
      const names = frames.map((frame) => foldedName(frame.name));
      const line = (profiles.length > 1 ? [name, ...names] : names).join(';');
      counts.set(line, (counts.get(line) ?? 0n) + count);
    }
  }
  const lines = [...counts].map(([line, count]) => `${line} ${count}\n`);
  return lines.sort().join('');
}

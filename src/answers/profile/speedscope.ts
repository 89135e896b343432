/** Profiles in speedscope's own file format (https://www.speedscope.app/file-format-schema.json). */
import type { ProfileFrame, StackProfile } from './stacks.ts';

/** The file: frames once for all, a `sampled` profile a map. Counts beyond 2^53 lose their last digits, as JSON's numbers do. */
export function speedscopeText(profiles: readonly StackProfile[], title: string): string {
  const numbers = new Map<string, number>();
  const frames: { readonly name: string; readonly file?: string; readonly line?: number }[] = [];
  const numberOf = ({ name, file, source }: ProfileFrame): number => {
    const place = source ?? (file === undefined ? {} : { file });
    const key = JSON.stringify([name, place]);
    let number = numbers.get(key);
    if (number === undefined) {
      number = frames.push({ name, ...place }) - 1;
      numbers.set(key, number);
    }
    return number;
  };
  const sampled = profiles.map(({ name, samples, total }) => ({
    type: 'sampled',
    name,
    unit: 'none',
    startValue: 0,
    endValue: Number(total),
    samples: samples.map((sample) => sample.frames.map(numberOf)),
    weights: samples.map(({ count }) => Number(count)),
  }));
  return `${JSON.stringify({
    $schema: 'https://www.speedscope.app/file-format-schema.json',
    exporter: 'insitu',
    name: title,
    activeProfileIndex: 0,
    shared: { frames },
    profiles: sampled,
  })}\n`;
}

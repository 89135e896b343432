/** Profiles in pprof's format (https://github.com/google/pprof/blob/main/proto/profile.proto); loaded when asked for. */
import {
  Line,
  Location,
  Mapping,
  Profile,
  Function as ProfileFunction,
  Sample,
  StringTable,
  ValueType,
} from 'pprof-format';
import type { ProfileFrame, StackProfile } from '../../answers/profile/stacks.ts';

/** Numbers from 1 for things that are equal by a key, made when first met. */
class Numbered<Item> {
  readonly items: Item[] = [];
  readonly #numbers: Map<string, number> = new Map();

  of(key: string, make: (id: number) => Item): number {
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#numbers.size + 1;
      this.#numbers.set(key, number);
      this.items.push(make(number));
    }
    return number;
  }
}

/** The message profile.proto calls Profile, not compressed: a type of samples a map, its values those of that map. */
export function pprofBytes(profiles: readonly StackProfile[]): Uint8Array {
  const strings = new StringTable();
  const text = (one: string): number => strings.dedup(one);
  const mappings = new Numbered<Mapping>();
  const functions = new Numbered<ProfileFunction>();
  const locations = new Numbered<Location>();
  const samples = new Map<string, Sample>();

  const mappingOf = (file: string): number =>
    mappings.of(file, (id) => new Mapping({ id, filename: text(file), hasFunctions: true, hasInlineFrames: true }));
  const functionOf = ({ name, source, file = '' }: ProfileFrame): number =>
    functions.of(JSON.stringify([name, source?.file, file]), (id) => {
      const called = text(name);
      return new ProfileFunction({ id, name: called, systemName: called, filename: text(source?.file ?? file) });
    });
  const locationOf = (frame: ProfileFrame): number => {
    const functionId = functionOf(frame);
    const line = frame.source?.line ?? 0;
    const mappingId = frame.file === undefined ? 0 : mappingOf(frame.file);
    return locations.of(
      `${functionId}:${line}`,
      (id) => new Location({ id, mappingId, line: [new Line({ functionId, line })] }),
    );
  };

  // What the profile is of is called by its first mapping: that should be the program, not a library.
  const files = profiles.flatMap(({ samples }) =>
    samples.flatMap(({ frames }) => frames.map(({ file }) => file ?? '')),
  );
  const program = files.find((file) => file.startsWith('/') && !/\.so(\.|$)/.test(file));
  if (program !== undefined) mappingOf(program);

  for (const [index, profile] of profiles.entries()) {
    for (const { frames, count } of profile.samples) {
      const locationId = frames.map(locationOf).reverse();
      const key = locationId.join();
      let sample = samples.get(key);
      if (sample === undefined) {
        sample = new Sample({ locationId, value: profiles.map(() => 0n) });
        samples.set(key, sample);
      }
      sample.value[index] = BigInt(sample.value[index] ?? 0) + count;
    }
  }
  const sampleType = profiles.map(({ name }) => new ValueType({ type: text(name), unit: text('count') }));
  return new Profile({
    sampleType,
    // Else pprof shows the last one.
    defaultSampleType: text(profiles[0]?.name ?? ''),
    sample: [...samples.values()],
    mapping: mappings.items,
    location: locations.items,
    function: functions.items,
    stringTable: strings,
  }).encode();
}

/** What a program file tells of the addresses in its code: functions, imports, variables, texts, source lines. */
import type { Surroundings } from '../../answers/code/listing.ts';
import { lazy } from '../../base/lazy.ts';
import { virtualAddress } from '../../base/numbers.ts';
import { PF_W, PF_X, PT_LOAD } from '../../debuginfo/elf/constants.ts';
import { Image } from '../../debuginfo/elf/image.ts';
import { Pointers } from '../../debuginfo/elf/relocations.ts';
import { demangleBoth } from '../../symbolize/demangle/index.ts';
import { findStubs, type Stub } from '../../symbolize/evidence/startup.ts';
import type { ElfBinary } from '../../symbolize/symbols/binary.ts';

/** Bytes of a text that are shown. */
const mostText = 48;

const shownName = (name: string): string => demangleBoth(name, { verbose: false })?.full ?? name;

export function programSurroundings(binary: ElfBinary): Surroundings {
  const { elf } = binary;
  const image = lazy(() => {
    const made = Image.of(elf);
    return made.ok ? made.value : undefined;
  });
  const pointers = lazy(() => {
    const made = image();
    return made === undefined ? undefined : new Pointers(made);
  });
  const stubs = lazy((): ReadonlyMap<number, Stub> => {
    const [made, words] = [image(), pointers()];
    const found = made === undefined || words === undefined ? [] : findStubs(made, words);
    return new Map(found.map((stub) => [stub.address, stub]));
  });
  const nameAt = (address: number): { readonly name: string; readonly offset: number } | undefined => {
    const symbol = binary.at(virtualAddress(address));
    if (symbol !== undefined) return { name: symbol.demangled || symbol.name, offset: address - symbol.address };
    const stub = stubs().get(address);
    if (stub !== undefined) return { name: `${shownName(stub.name)}@plt`, offset: 0 };
    const inferred = binary.inferredAt(virtualAddress(address));
    return inferred && { name: `~${inferred.name}`, offset: address - inferred.address };
  };
  const segmentAt = (address: number): { readonly flags: number } | undefined =>
    elf.segments.find(
      (one) => one.type === PT_LOAD && address >= one.address && address < one.address + one.memorySize,
    );
  const textAt = (address: number): string | undefined => {
    const offset = elf.toFileOffset(virtualAddress(address), 'any');
    if (!offset.ok) return undefined;
    const bytes = elf.reader.read(offset.value, mostText + 1);
    const end = bytes.indexOf(0);
    const shown = bytes.subarray(0, end < 0 ? mostText : end);
    if (shown.length === 0 || !shown.every((byte) => (byte >= 0x20 && byte < 0x7f) || byte === 9 || byte === 10))
      return undefined;
    return `${JSON.stringify(new TextDecoder().decode(shown))}${end < 0 ? '…' : ''}`;
  };
  return {
    nameAt,
    dataAt(address) {
      const segment = segmentAt(address);
      if (segment === undefined) return undefined;
      const bound = pointers()?.nameAt(address);
      if (bound !== undefined && bound !== '') return `${shownName(bound)}@got`;
      const object = binary.objectAt(virtualAddress(address));
      if (object !== undefined) {
        const offset = address - object.address;
        return `${shownName(object.name)}${offset === 0 ? '' : `+${offset}`}`;
      }
      const copied = pointers()?.copied.get(address);
      if (copied !== undefined) return shownName(copied);
      if ((segment.flags & PF_X) !== 0 && binary.toFileOffset(virtualAddress(address)).ok) {
        const code = nameAt(address);
        if (code !== undefined) return code.offset === 0 ? code.name : undefined;
      }
      if ((segment.flags & PF_W) === 0) return textAt(address);
      // A pointer that the loader fills in: what it points to.
      const value = pointers()?.at(address) ?? 0;
      const pointed = value === 0 ? undefined : nameAt(value);
      return pointed?.offset === 0 ? `pointer to ${pointed.name}` : undefined;
    },
    holds: (address) => segmentAt(address) !== undefined,
    source(address) {
      const place = binary.source(virtualAddress(address));
      return (
        place && {
          frames: place.frames.map((frame) => ({
            ...frame,
            function: frame.function === '' ? '' : shownName(frame.function),
          })),
        }
      );
    },
    fileOffset(address) {
      const offset = binary.toFileOffset(virtualAddress(address));
      return offset.ok ? offset.value : undefined;
    },
  };
}

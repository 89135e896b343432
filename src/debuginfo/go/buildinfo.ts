/**
 * Which Go built a program: .go.buildinfo, which every Go program keeps. Format: the Go
 * sources debug/buildinfo: 14 bytes of magic, the size of a pointer, flags; from Go 1.18
 * on (flag 2) the version follows at byte 32, its length as a varint before it.
 */
import type { ElfFile } from '../elf/elf.ts';

const magic = '\xff Go buildinf:';
const inlineStrings = 2;
const versionAt = 32;

/** Such as `go1.22.1`; undefined for what is no Go program, or one of before 1.18. */
export function goVersion(elf: ElfFile): string | undefined {
  const section = elf.section('.go.buildinfo');
  if (section === undefined) return undefined;
  const bytes = elf.reader.read(section.offset, Math.min(section.size, 256));
  if (bytes.length <= versionAt || String.fromCharCode(...bytes.subarray(0, magic.length)) !== magic) return undefined;
  const length = bytes[versionAt] as number;
  if (((bytes[15] as number) & inlineStrings) === 0 || length > 127) return undefined;
  const version = String.fromCharCode(...bytes.subarray(versionAt + 1, versionAt + 1 + length));
  return /^(go|devel)[\x20-\x7e]*$/.test(version) && version.length === length ? version : undefined;
}

/**
 * What a binary says of its own version, found among the constant strings of .rodata.
 * Nothing standard exists for that; these are the forms of programs that insitu knows
 * and the general one `name version x.y.z`. The answer is a quotation or nothing.
 *
 * Envoy keeps the parts of what `envoy --version` prints
 * (`9e55…/1.40.0/Clean/RELEASE/BoringSSL`) as separate strings: the commit, next to it
 * the state of its work tree, and elsewhere the number. Node has `node.js/v20.20.2`.
 */
import { textPattern } from '../../bytes/search.ts';
import type { ElfFile } from '../../debuginfo/elf/elf.ts';

const chunkSize = 1 << 20;
/** Strings that matter lie in the first part of .rodata; more is not read. */
const mostBytes = 64 << 20;
const reach = 256;

interface Evidence {
  commit?: string;
  state?: string;
  readonly numbers: Set<string>;
  readonly sentences: Set<string>;
}

/** The version, such as `node v20.20.2`; undefined when nothing recognisable is there. `path` gives the program's own name. */
export function findVersion(elf: ElfFile, path: string): string | undefined {
  const section = elf.section('.rodata');
  if (section === undefined) return undefined;
  const program = (path.split('/').pop() ?? '').replace(/(\.so.*|-?[0-9.]+)$/, '');
  const named =
    program.length < 2
      ? undefined
      : new RegExp(
          `(?<![\\w.-])${quoted(program)}(\\.js)?(/| version |, version | )v?\\d+\\.\\d+(\\.\\d+)?[\\w.+~-]*`,
          'i',
        );
  const evidence: Evidence = { numbers: new Set(), sentences: new Set() };
  const size = Math.min(section.size, mostBytes);
  for (let done = 0; done < size; done += chunkSize) {
    // Chunks overlap, so that a string on the border is whole in one of them.
    const from = Math.max(0, done - reach);
    const bytes = elf.reader.read(section.offset + from, Math.min(done + chunkSize, size) - from);
    if (bytes.length === 0) break;
    for (const text of stringsLike(bytes)) {
      const own = named?.exec(text);
      if (own != null) return own[0].replace(/^node\.js\//i, 'node ').replace('/', ' ');
      if (/^GNU C Library .*version \d/.test(text)) return text.replace(/\.$/, '');
      collect(evidence, text);
    }
    findCommit(evidence, bytes);
  }
  if (evidence.commit !== undefined) {
    // Envoy's minor number has had two digits since 1.10 (April 2019); other numbers belong to its libraries.
    const numbers = [...evidence.numbers].filter((number) => /^1\.\d\d\.\d+(-dev)?$/.test(number));
    const number = numbers.length === 1 ? `/${numbers[0]}` : '';
    return `envoy ${evidence.commit}${number}/${evidence.state}`;
  }
  // A sentence of some library inside would mislead: only one that is alone counts.
  return evidence.sentences.size === 1 ? [...evidence.sentences][0] : undefined;
}

function collect(evidence: Evidence, text: string): void {
  if (/^\d+\.\d+\.\d+(-dev)?$/.test(text)) evidence.numbers.add(text);
  else if (/^[\w@()#,. -]*\bversion v?\d+\.\d+(\.\d+)?/i.test(text)) evidence.sentences.add(text.trim());
}

const states = ['Clean', 'Modified'].map((state) => ({ state, pattern: textPattern(`\0${state}\0`) }));

/** A commit's 40 hex digits with the state of the work tree as the next string. */
function findCommit(evidence: Evidence, bytes: Uint8Array): void {
  for (const { state, pattern } of states) {
    for (let at = pattern.indexIn(bytes); at >= 0; at = pattern.indexIn(bytes, at + 1)) {
      if (at < 40) continue;
      const commit = String.fromCharCode(...bytes.subarray(at - 40, at));
      if (!/^[0-9a-f]{40}$/.test(commit)) continue;
      evidence.commit = commit;
      evidence.state = state;
    }
  }
}

/** The zero-terminated ASCII strings of at most `reach` characters that contain a digit, a dot and a digit. */
function* stringsLike(bytes: Uint8Array): Generator<string> {
  let last = -1;
  for (let dot = bytes.indexOf(0x2e); dot >= 0; dot = bytes.indexOf(0x2e, dot + 1)) {
    if (dot <= last || !isDigit(bytes[dot - 1]) || !isDigit(bytes[dot + 1])) continue;
    let start = dot;
    while (start > 0 && dot - start < reach && isPrintable(bytes[start - 1])) start--;
    let end = dot;
    while (end < bytes.length && end - dot < reach && isPrintable(bytes[end])) end++;
    last = end;
    if (bytes[end] === 0 || bytes[end] === 0x0a) yield String.fromCharCode(...bytes.subarray(start, end));
  }
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

function isPrintable(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x20 && byte < 0x7f;
}

function quoted(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

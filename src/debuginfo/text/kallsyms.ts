/**
 * /proc/kallsyms: address, letter as of nm(1), name and, for a module's symbol, the
 * module in brackets, a line each (kernel/kallsyms.c, s_show). The text stays bytes;
 * the index holds positions in it, because a kernel has 120,000 of them and a script
 * asks for a few.
 */

export interface KernelSymbol {
  readonly name: string;
  /** Without the brackets; undefined for the kernel itself. */
  readonly module: string | undefined;
  readonly address: bigint;
}

const NEWLINE = 10;
const SPACE = 32;
const TAB = 9;
const OPEN = 91;
const decoder = new TextDecoder('latin1');
const encoder = new TextEncoder();

export class Kallsyms {
  readonly #bytes: Uint8Array;
  #count = 0;
  /** In the order of the file: halves of the address, position of the name, letter. */
  #high = new Uint32Array(0);
  #low = new Uint32Array(0);
  #name = new Uint32Array(0);
  #letter = new Uint8Array(0);
  /** Indexes by ascending address; file order (symbols of one address keep theirs). */
  #sorted: Uint32Array | undefined;
  #indexed = false;

  /** The whole text of the file; it is read at the first question. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Number of symbols. */
  get size(): number {
    this.#index();
    return this.#count;
  }

  /** True when the kernel hid the addresses (kernel.kptr_restrict): then all are 0. */
  get hidden(): boolean {
    this.#index();
    for (let index = 0; index < this.#count; index++) {
      if (this.#low[index] !== 0 || this.#high[index] !== 0) return false;
    }
    return true;
  }

  /** The symbol that an address lies in: the last one at or below it; undefined below the first. */
  symbolAt(address: bigint): (KernelSymbol & { readonly offset: bigint }) | undefined {
    const sorted = this.#byAddress();
    const high = Number((address >> 32n) & 0xffff_ffffn);
    const low = Number(address & 0xffff_ffffn);
    let from = 0;
    let to = sorted.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      const index = sorted[middle] ?? 0;
      const itsHigh = this.#high[index] ?? 0;
      if (itsHigh < high || (itsHigh === high && (this.#low[index] ?? 0) <= low)) from = middle + 1;
      else to = middle;
    }
    if (from === 0) return undefined;
    // Of several names for one address, the first in the file: the later ones are aliases.
    let first = from - 1;
    while (first > 0 && this.#sameAddress(sorted[first] ?? 0, sorted[first - 1] ?? 0)) first--;
    const symbol = this.#symbol(sorted[first] ?? 0);
    if (symbol.address === 0n) return undefined;
    return { ...symbol, offset: address - symbol.address };
  }

  /** Address of the first symbol of that name, undefined when there is none or the kernel hides it. */
  addressOf(name: string): bigint | undefined {
    this.#index();
    const bytes = this.#bytes;
    const wanted = encoder.encode(name);
    const { length } = wanted;
    if (length === 0) return undefined;
    const initial = wanted[0];
    const names = this.#name;
    const count = this.#count;
    for (let index = 0; index < count; index++) {
      const start = names[index] as number;
      if (bytes[start] !== initial) continue;
      const end = bytes[start + length];
      if (end !== NEWLINE && end !== TAB && end !== SPACE && end !== undefined) continue;
      let same = 1;
      while (same < length && bytes[start + same] === wanted[same]) same++;
      if (same < length) continue;
      const address = this.#address(index);
      return address === 0n ? undefined : address;
    }
    return undefined;
  }

  /** Symbols of code (letters t, T, w, W), in the order of the file. */
  *functions(): Generator<KernelSymbol, void, void> {
    this.#index();
    for (let index = 0; index < this.#count; index++) if (this.#isCode(index)) yield this.#symbol(index);
  }

  /** Names of the symbols of code, in the order of the file, each once. */
  functionNames(): string[] {
    this.#index();
    const names = new Set<string>();
    // One decoding for all; a text that is not ASCII throughout has other positions.
    const text = new TextDecoder().decode(this.#bytes);
    const plain = text.length === this.#bytes.length;
    for (let index = 0; index < this.#count; index++) {
      if (!this.#isCode(index)) continue;
      const start = this.#name[index] as number;
      names.add(plain ? text.slice(start, this.#nameEnd(start)) : this.#nameOf(index));
    }
    return [...names];
  }

  #isCode(index: number): boolean {
    const letter = (this.#letter[index] ?? 0) | 32;
    return letter === 0x74 || letter === 0x77;
  }

  #address(index: number): bigint {
    return (BigInt(this.#high[index] ?? 0) << 32n) | BigInt(this.#low[index] ?? 0);
  }

  #sameAddress(left: number, right: number): boolean {
    return this.#low[left] === this.#low[right] && this.#high[left] === this.#high[right];
  }

  #nameEnd(start: number): number {
    const bytes = this.#bytes;
    let end = start;
    while (end < bytes.length && bytes[end] !== TAB && bytes[end] !== NEWLINE && bytes[end] !== SPACE) end++;
    return end;
  }

  #nameOf(index: number): string {
    const start = this.#name[index] ?? 0;
    return decoder.decode(this.#bytes.subarray(start, this.#nameEnd(start)));
  }

  #symbol(index: number): KernelSymbol {
    const name = this.#nameOf(index);
    let at = (this.#name[index] ?? 0) + name.length;
    const bytes = this.#bytes;
    while (bytes[at] === TAB || bytes[at] === SPACE) at++;
    let module: string | undefined;
    if (bytes[at] === OPEN) {
      let end = at;
      while (end < bytes.length && bytes[end] !== NEWLINE) end++;
      module = decoder.decode(bytes.subarray(at + 1, end)).replace(/\]\s*$/, '');
    }
    return { name, module, address: this.#address(index) };
  }

  #index(): void {
    if (this.#indexed) return;
    this.#indexed = true;
    const bytes = this.#bytes;
    const end = bytes.length;
    // The shortest line is "16 digits, space, letter, space, one letter, newline".
    const room = Math.floor(end / 21) + 1;
    this.#high = new Uint32Array(room);
    this.#low = new Uint32Array(room);
    this.#name = new Uint32Array(room);
    this.#letter = new Uint8Array(room);
    let at = 0;
    while (at < end && this.#count < room) {
      at = this.#line(at);
    }
  }

  /** Takes in the line at that position, if it is one of the format; returns where the next begins. */
  #line(start: number): number {
    const bytes = this.#bytes;
    let high = 0;
    let low = 0;
    let at = start;
    const digits = start + 8;
    for (; at < digits; at++) high = (high << 4) | digit(bytes[at] as number);
    const lastDigit = start + 16;
    for (; at < lastDigit; at++) low = (low << 4) | digit(bytes[at] as number);
    if (bytes[at] === SPACE && bytes[at + 2] === SPACE) {
      const index = this.#count++;
      this.#high[index] = high;
      this.#low[index] = low;
      this.#letter[index] = bytes[at + 1] as number;
      this.#name[index] = at + 3;
      at += 4;
    } else {
      at = start;
    }
    const { length } = bytes;
    while (at < length && bytes[at] !== NEWLINE) at++;
    return at + 1;
  }

  /** The kernel's own symbols come in order; behind them modules, init and BPF programs in an order of their own. */
  #byAddress(): Uint32Array {
    if (this.#sorted !== undefined) return this.#sorted;
    this.#index();
    const count = this.#count;
    const sorted = new Uint32Array(count);
    let ordered = Math.min(1, count);
    while (ordered < count && this.#compare(ordered - 1, ordered) <= 0) ordered++;
    const rest = new Uint32Array(count - ordered);
    for (let index = 0; index < rest.length; index++) rest[index] = ordered + index;
    rest.sort((left, right) => this.#compare(left, right) || left - right);
    let first = 0;
    let second = 0;
    for (let index = 0; index < count; index++) {
      const other = rest[second];
      const takeFirst = first < ordered && (other === undefined || this.#compare(first, other) <= 0);
      sorted[index] = takeFirst ? first++ : (rest[second++] ?? 0);
    }
    this.#sorted = sorted;
    return sorted;
  }

  #compare(left: number, right: number): number {
    const high = (this.#high[left] as number) - (this.#high[right] as number);
    return high !== 0 ? high : (this.#low[left] as number) - (this.#low[right] as number);
  }
}

/** Value of a lower-case hexadecimal digit. */
const digit = (code: number): number => (code & 15) + (code > 57 ? 9 : 0);

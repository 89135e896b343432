/**
 * A script's text under a name, and the way from offsets to lines and columns. What a
 * script imports stands behind its own text, so that one offset names a place in any file.
 */

/** A half-open range of UTF-16 offsets into the source text. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export interface Position {
  /** The file. */
  readonly name: string;
  /** 1-based. */
  readonly line: number;
  /** 1-based, in UTF-16 units. */
  readonly column: number;
}

/** A file that was imported: where in the text it begins. */
export interface SourcePart {
  readonly name: string;
  readonly start: number;
}

export class Source {
  readonly name: string;
  readonly text: string;
  /** In order of their starts; what stands before the first is the script's own. */
  readonly parts: readonly SourcePart[];
  #lineStarts: number[] | undefined;

  constructor(name: string, text: string, parts: readonly SourcePart[] = []) {
    this.name = name;
    this.text = text;
    this.parts = parts;
  }

  get lineStarts(): readonly number[] {
    if (this.#lineStarts === undefined) {
      const starts = [0];
      for (let i = this.text.indexOf('\n'); i >= 0; i = this.text.indexOf('\n', i + 1)) starts.push(i + 1);
      this.#lineStarts = starts;
    }
    return this.#lineStarts;
  }

  /** File, line and column of an offset; offsets past the end give the end. */
  position(offset: number): Position {
    const at = Math.max(0, Math.min(offset, this.text.length));
    const row = this.#row(at);
    const part = this.parts.findLast(({ start }) => start <= at);
    return {
      name: part?.name ?? this.name,
      line: row + 1 - (part === undefined ? 0 : this.#row(part.start)),
      column: at - (this.lineStarts[row] as number) + 1,
    };
  }

  /** The whole lines that a range touches, without their line ends. */
  linesOf({ start, end }: Span): readonly string[] {
    const starts = this.lineStarts;
    const lines: string[] = [];
    const last = this.#row(end);
    for (let row = this.#row(start); row <= last; row++) {
      const next = starts[row + 1];
      lines.push(this.text.slice(starts[row], next === undefined ? undefined : next - 1).replace(/\r$/, ''));
    }
    return lines;
  }

  /** The whole line that an offset lies in. */
  lineAt(offset: number): string {
    return this.linesOf({ start: offset, end: offset })[0] as string;
  }

  /** Index of the line, counted over all parts, that an offset lies in. */
  #row(offset: number): number {
    const starts = this.lineStarts;
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((starts[middle] as number) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

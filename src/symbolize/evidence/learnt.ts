/**
 * What was learnt from programs with symbols, for use on others: the names of virtual
 * functions by class and slot, functions by their instructions, and the texts that one
 * function of a library alone refers to. `learn.ts` makes it; `familiar.ts` uses it.
 *
 * A text file, a line for each class and function, fields apart by tabs:
 *
 *   insitu names 1
 *   from <file> <build-id>
 *   class <typeinfo name> <number of slots> <name;name;…>     '' where it is not known
 *   code <symbol> <shape> <instructions> <calls> <texts>
 *
 * `shape` is 16 hex digits (References.shapes), '' for a function that is only called by
 * others; lines with one come first, in ascending order of it. `calls` are the functions
 * that it calls or jumps to, in the order of the code, as numbers of `code` lines (from 0,
 * base 36), '' for others. `texts` are hashes of texts in hex.
 */
import { MachineError } from '../../base/errors.ts';
import { fail, ok, type Result } from '../../base/result.ts';

const HEAD = 'insitu names 1';

/** One function of a library. */
export interface LearntFunction {
  /** As in the symbol table. */
  readonly name: string;
  /** Sorts and compares as shapeKey() of the two halves; -1 for none. */
  readonly shape: number;
  readonly instructions: number;
  /** For each call the index of the function, -1 for one without a name. */
  readonly calls: readonly number[];
  readonly texts: readonly number[];
}

/** One class. */
export interface LearntClass {
  /** Mangled, as in its typeinfo. */
  readonly mangled: string;
  /** For each slot of its own table the function's own name, '' where it is not known. */
  readonly slots: readonly string[];
}

/** A shape as one number: 53 of its 64 bits, which a double holds exactly. */
export function shapeKey(first: number, second: number): number {
  return (first >>> 0) * 0x200000 + ((second >>> 0) & 0x1fffff);
}

export function encodeLearnt(
  from: string,
  classes: readonly LearntClass[],
  functions: readonly LearntFunction[],
): string {
  const order = functions.map((_, index) => index);
  const keyOf = (index: number): number => (functions[index] as LearntFunction).shape;
  order.sort((a, b) => (keyOf(a) < 0 ? 1 : 0) - (keyOf(b) < 0 ? 1 : 0) || keyOf(a) - keyOf(b));
  const places = new Array<number>(functions.length);
  for (const [place, index] of order.entries()) places[index] = place;
  const lines = [HEAD, `from\t${from}`];
  for (const { mangled, slots } of classes) lines.push(`class\t${mangled}\t${slots.length}\t${slots.join(';')}`);
  for (const index of order) {
    const { name, shape, instructions, calls, texts } = functions[index] as LearntFunction;
    const called = calls.map((one) => (one < 0 ? '' : (places[one] as number).toString(36))).join(',');
    const read = texts.map((text) => text.toString(16)).join(',');
    lines.push(`code\t${name}\t${shape < 0 ? '' : shape.toString(16)}\t${instructions}\t${called}\t${read}`);
  }
  return `${lines.join('\n')}\n`;
}

/** Bits of a filter: what is not in it has not been put in. */
const filterBits = 22;

/** Which of many numbers may be known, at the price of one look. */
export class NumberFilter {
  readonly #bits: Uint8Array = new Uint8Array(1 << (filterBits - 3));

  add(number: number): void {
    const at = number & ((1 << filterBits) - 1);
    this.#bits[at >>> 3] = (this.#bits[at >>> 3] as number) | (1 << (at & 7));
  }

  mayHave(number: number): boolean {
    const at = number & ((1 << filterBits) - 1);
    return (((this.#bits[at >>> 3] as number) >>> (at & 7)) & 1) !== 0;
  }
}

export class Learnt {
  /** Where it comes from: a file's name and build-id. */
  readonly from: string;
  readonly names: readonly string[];
  /** Ascending; one for each of the first functions. */
  readonly shapes: Float64Array;
  readonly instructions: Uint16Array;
  readonly #lines: readonly string[];
  readonly #first: number;
  /** Typeinfo name, a tab, number of slots → line. */
  readonly #classes: ReadonlyMap<string, string>;
  #texts: Map<number, number> | undefined;

  private constructor(
    from: string,
    classes: ReadonlyMap<string, string>,
    lines: readonly string[],
    first: number,
    names: readonly string[],
    shapes: Float64Array,
    instructions: Uint16Array,
  ) {
    this.from = from;
    this.#classes = classes;
    this.#lines = lines;
    this.#first = first;
    this.names = names;
    this.shapes = shapes;
    this.instructions = instructions;
  }

  /** Fails with E_BAD_NAMES, which names the line. */
  static parse(text: string, path: string): Result<Learnt, MachineError> {
    const lines = text.split('\n');
    if (lines.at(-1) === '') lines.pop();
    const bad = (line: number, what: string): Result<Learnt, MachineError> =>
      fail(
        new MachineError(`${path} line ${line + 1}: ${what}`, {
          code: 'E_BAD_NAMES',
          hints: ['a file of names is made by: insitu symbols learn BUILD > FILE'],
        }),
      );
    if (lines[0] !== HEAD) return bad(0, `this is no file of names: it does not begin with '${HEAD}'`);
    let from = '';
    const classes = new Map<string, string>();
    let at = 1;
    for (; at < lines.length; at++) {
      const line = lines[at] as string;
      if (line.startsWith('code\t')) break;
      if (line.startsWith('from\t')) from = line.slice(5);
      else if (line.startsWith('class\t')) {
        const name = line.indexOf('\t', 6);
        const end = line.indexOf('\t', name + 1);
        if (name < 0 || end < 0) return bad(at, 'a class needs a name, a number of slots and their names');
        classes.set(line.slice(6, end), line.slice(end + 1));
      } else return bad(at, `'${line.slice(0, 20)}' is neither a class nor code`);
    }
    const count = lines.length - at;
    const names = new Array<string>(count);
    const shapes = new Float64Array(count);
    const instructions = new Uint16Array(count);
    let shaped = 0;
    for (let index = 0; index < count; index++) {
      const line = lines[at + index] as string;
      const name = line.indexOf('\t', 5);
      const shape = line.indexOf('\t', name + 1);
      const length = line.indexOf('\t', shape + 1);
      if (!line.startsWith('code\t') || name < 0 || shape < 0 || length < 0) {
        return bad(at + index, 'code needs a symbol, a shape and a number of instructions');
      }
      names[index] = line.slice(5, name);
      instructions[index] = Number(line.slice(shape + 1, length));
      if (shape === name + 1) continue;
      const key = Number.parseInt(line.slice(name + 1, shape), 16);
      if (!(key >= 0) || shaped !== index || key < (shapes[shaped - 1] ?? 0)) {
        return bad(at + index, 'shapes must stand in ascending order');
      }
      shapes[shaped++] = key;
    }
    return ok(new Learnt(from, classes, lines, at, names, shapes.subarray(0, shaped), instructions));
  }

  /** The names in a class's slots; undefined when the class, or that number of slots, is not known. */
  slots(mangled: string, count: number): readonly string[] | undefined {
    return this.#classes.get(`${mangled}\t${count}`)?.split(';');
  }

  /** The functions of a shape: from the first, as many as follow with the same shape. */
  withShape(key: number): readonly number[] {
    let low = 0;
    let high = this.shapes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.shapes[middle] as number) < key) low = middle + 1;
      else high = middle;
    }
    const found: number[] = [];
    for (; this.shapes[low] === key; low++) found.push(low);
    return found;
  }

  /** What a function calls, in the order of the code; -1 for what has no name. */
  calls(index: number): readonly number[] {
    const field = this.#field(index, 4);
    if (field === '') return [];
    return field.split(',').map((one) => {
      const line = one === '' ? -1 : Number.parseInt(one, 36);
      return line < this.names.length ? line : -1;
    });
  }

  /** Hash of a text → the one function that refers to it. */
  get texts(): ReadonlyMap<number, number> {
    if (this.#texts === undefined) {
      this.#texts = new Map();
      for (let index = 0; index < this.names.length; index++) {
        const line = this.#lines[this.#first + index] as string;
        if (line.endsWith('\t')) continue;
        for (const text of line.slice(line.lastIndexOf('\t') + 1).split(','))
          this.#texts.set(Number.parseInt(text, 16), index);
      }
    }
    return this.#texts;
  }

  #field(index: number, field: number): string {
    const line = this.#lines[this.#first + index] as string;
    return line.split('\t')[field] ?? '';
  }
}

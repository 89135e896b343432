/**
 * Library types by their content: a table of lines, and how a line is read.
 *
 *   PATTERN  KIND  NAME=VALUE …
 *
 * PATTERN is a type's name as C++, Rust or Go write it, without inline namespaces
 * (`std::__cxx11::`, `std::__1::`); `*` stands for anything. A value is a path of members
 * (`_M_impl._M_start`); members of base classes are found too, `:NAME` goes into the base
 * class whose name starts so; `a|b` takes the first path that there is. `of=` is a type:
 * `#0` the first template argument, `_M_t.#1` the second one of
 * that member's type, a path the type of that member (through pointers too), `*PATH` what it
 * points to, `#0,#1` a pair of two; `a|b` as above. `check=` names a member that has to be there, in lines
 * of any kind. Numbers stand for themselves; behind a path `+N` adds, `>>N` shifts.
 *
 *   text      data= length=           (length= may be data's end with end=)
 *   sequence  first= count= | end=    of= [inside= tag=]  (inside: where the elements lie unless tag's lowest bit is set)
 *   bits      first= count= | end= rest=
 *   list      first= [count=] next= value= of=            (a map: keyed=1, a list with an order: ordered=1)
 *   tree      first= count= left= right= parent= value= of= [keyed=1]
 *   blocks    start= finish= of=      libstdc++'s deque
 *   ring      row= first= count= of=  libc++'s deque
 *   slots     control= slots= capacity= count= of= [inside=] [keyed=1] [down=1]   Abseil's and Rust's hash tables
 *   groups    directory= tables= count=                   Go's maps
 *   buckets   first= old= order= flags= count=            Go's maps before 1.24
 *   optional  engaged= value=
 *   pointer   address= [of=]
 *   variant   index= value=           its cases are the template arguments
 *   plain     value=
 *   tuple     member= …               in the order of the line
 *   invoker   with= target=           a function that calls what is held
 *   callee    with=                   an object of a class that tells what is held
 *   status    value=                  absl::Status
 *   statusor  status= value=          absl::StatusOr
 *
 * The first line whose pattern matches and whose members are all there counts, so that
 * versions of a library with other members get lines of their own. A user's own lines
 * (config printers, a file) come before these.
 */

import { status, statusOr } from './abseil.ts';
import type { Content, Measure } from './content.ts';
import { goBuckets, goGroups, pairType } from './gomaps.ts';
import { alignOf, findField, sizeOf } from './layout.ts';
import { boolType, type CompositeType, type Type, voidType } from './model.ts';
import { printerTable } from './printertable.ts';

/** A line of the table. */
export interface Printer {
  readonly pattern: RegExp;
  readonly kind: string;
  readonly values: ReadonlyMap<string, readonly string[]>;
}

/** Reads lines of the table; `problem` is told of a line that is none. */
export function parsePrinters(text: string, problem: (line: number, message: string) => void): readonly Printer[] {
  const printers: Printer[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const words = /^(.*?)\s{2,}(\w+)\s*(.*)$/.exec(trimmed) ?? /^(\S+)\s+(\w+)\s*(.*)$/.exec(trimmed);
    if (words === null || !((words[2] as string) in makers)) {
      problem(index + 1, `not a printer: ${trimmed} (a line is: TYPE  KIND  name=member …)`);
      continue;
    }
    const [, name = '', kind = '', rest = ''] = words;
    const values = new Map<string, string[]>();
    for (const word of rest.split(/\s+/)) {
      const equals = word.indexOf('=');
      if (equals <= 0) continue;
      const key = word.slice(0, equals);
      values.set(key, [...(values.get(key) ?? []), word.slice(equals + 1)]);
    }
    const source = name.replace(/[\\^$.|+?()[\]{}]/g, '\\$&').replace(/\*/g, '[^]*');
    printers.push({ pattern: new RegExp(`^${source}$`), kind, values });
  }
  return printers;
}

let parsed: readonly Printer[] | undefined;

/** A type's name without the namespaces that a library puts between. */
const plainName = (name: string): string =>
  name.replace(/::(?:__cxx11|__1|__ndk1|_V2|lts_\d+)(?=::)/g, '').replace(/\babsl::(?:debian\d+|head)(?=::)/g, 'absl');

/** What types of libraries hold: a user's own lines, and the table behind them. */
export class Printers {
  readonly #own: readonly Printer[];
  readonly #known: WeakMap<CompositeType, Content | 'none'> = new WeakMap();

  constructor(own: readonly Printer[] = []) {
    this.#own = own;
  }

  /** What an object of a type holds; undefined for types that no printer knows. */
  contentOf(type: CompositeType): Content | undefined {
    if (type.name === '' || type.size === 0) return undefined;
    let content = this.#known.get(type);
    if (content === undefined) {
      content = this.#find(type) ?? 'none';
      this.#known.set(type, content);
    }
    return content === 'none' ? undefined : content;
  }

  /** True for types whose values are more than their bytes. */
  hasContent(type: Type, depth = 0): boolean {
    if (depth > 8) return false;
    switch (type.kind) {
      case 'struct':
      case 'union':
        if (this.contentOf(type) !== undefined) return true;
        return type.fields().some((field) => field.virtualBase !== undefined || this.hasContent(field.type, depth + 1));
      case 'array':
        return this.hasContent(type.of, depth + 1);
      default:
        return false;
    }
  }

  #find(type: CompositeType): Content | undefined {
    if (type.variants !== undefined) {
      const variants = type.variants();
      if (variants !== undefined) return variants;
    }
    const name = plainName(type.name);
    parsed ??= parsePrinters(printerTable, (_line, message) => {
      throw new Error(message);
    });
    for (const printers of [this.#own, parsed]) {
      for (const printer of printers) {
        if (!printer.pattern.test(name)) continue;
        if (printer.kind === 'none') return undefined;
        const paths = new Paths(type, printer.values);
        if (printer.values.has('check') && paths.member('check') === undefined) continue;
        const content = makers[printer.kind]?.(paths);
        if (content !== undefined) return content;
      }
    }
    if (/^\(.*,.*\)$/s.test(name)) return rustTuple(type);
    return name.startsWith('std::tuple<') ? tupleContent(type) : undefined;
  }
}

interface Found {
  readonly offset: number;
  readonly type: Type;
}

/** Looks up the values of one line in one type. */
class Paths {
  readonly type: CompositeType;
  readonly #values: ReadonlyMap<string, readonly string[]>;

  constructor(type: CompositeType, values: ReadonlyMap<string, readonly string[]>) {
    this.type = type;
    this.#values = values;
  }

  all(key: string): readonly string[] {
    return this.#values.get(key) ?? [];
  }

  /** The member that a value names; the first of its alternatives that there is. */
  member(key: string): Found | undefined {
    const [text] = this.all(key);
    return text === undefined ? undefined : follow(this.type, text);
  }

  /** A member that is a number or pointer, or a number of the line itself. */
  measure(key: string): Measure | undefined {
    const [text] = this.all(key);
    if (text === undefined) return undefined;
    // A bare number is an offset of a word.
    if (/^\d+$/.test(text)) return { kind: 'word', offset: Number(text), size: 8, signed: false };
    for (const one of text.split('|')) {
      const [, path = '', plus, shift] = /^(.*?)(?:\+(\d+)|>>(\d+))?$/.exec(one) ?? [];
      const found = follow(this.type, path);
      const value = found === undefined ? undefined : wordAt(found);
      if (value === undefined) continue;
      if (plus !== undefined) return { kind: 'sum', left: value, right: { kind: 'constant', value: Number(plus) } };
      return shift === undefined ? value : { kind: 'shifted', of: value, bits: Number(shift) };
    }
    return undefined;
  }

  /** Whether a line says `key=1`, in the form that contents have. */
  flag<K extends string>(key: K): { readonly [key in K]?: true } {
    return (this.all(key).length > 0 ? { [key]: true } : {}) as { readonly [key in K]?: true };
  }

  number(key: string): number | undefined {
    const [text] = this.all(key);
    return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
  }

  of(): Type | undefined {
    for (const text of this.all('of').flatMap((one) => one.split('|'))) {
      const pair = text.split(',');
      if (pair.length === 2) {
        const [first, second] = pair.map((path) => typeAt(this.type, path.split('.')));
        if (first !== undefined && second !== undefined) return pairType(first, second);
        continue;
      }
      const pointed = text.startsWith('*');
      const found = typeAt(this.type, (pointed ? text.slice(1) : text).split('.'));
      if (!pointed && found !== undefined) return found;
      if (found?.kind === 'pointer') return found.to();
    }
    return undefined;
  }
}

/** A type by a path of members and template arguments (`#1`). */
function typeAt(type: CompositeType, path: readonly string[]): Type | undefined {
  let here: Type | bigint | undefined = type;
  for (const word of path) {
    if (typeof here === 'object' && here.kind === 'pointer') here = here.to();
    if (typeof here !== 'object' || (here.kind !== 'struct' && here.kind !== 'union')) return undefined;
    if (word.startsWith('#')) here = [...(here.templateArguments?.().values() ?? [])][Number(word.slice(1))];
    else here = follow(here, word)?.type;
  }
  return typeof here === 'object' ? here : undefined;
}

function wordAt({ offset, type }: Found): Measure | undefined {
  switch (type.kind) {
    case 'pointer':
      return { kind: 'word', offset, size: 8, signed: false };
    case 'int':
    case 'enum':
      return { kind: 'word', offset, size: type.size, signed: type.signed };
    case 'bool':
      return { kind: 'word', offset, size: 1, signed: false };
    default: {
      // A pointer or number wrapped in a class of its size (an iterator, a NonNull).
      const size = sizeOf(type);
      return size === 8 || size === 4 || size === 2 || size === 1
        ? { kind: 'word', offset, size, signed: false }
        : undefined;
    }
  }
}

function follow(type: CompositeType, alternatives: string): Found | undefined {
  for (const path of alternatives.split('|')) {
    let here: Found | undefined = { offset: 0, type };
    for (const word of path.split('.')) {
      const composite: Type | undefined = here?.type;
      if (here === undefined || (composite?.kind !== 'struct' && composite?.kind !== 'union')) {
        here = undefined;
        break;
      }
      const inner: Found | undefined = word.startsWith(':')
        ? baseNamed(composite, word.slice(1))
        : memberNamed(composite, word);
      here = inner === undefined ? undefined : { offset: here.offset + inner.offset, type: inner.type };
    }
    if (here !== undefined) return here;
  }
  return undefined;
}

function memberNamed(composite: CompositeType, name: string): Found | undefined {
  const found = findField(composite, name);
  return found === undefined || found.through !== undefined
    ? undefined
    : { offset: found.offset, type: found.field.type };
}

function baseNamed(composite: CompositeType, start: string, depth = 0): Found | undefined {
  for (const field of composite.fields()) {
    if (!field.base || field.virtualBase !== undefined || field.type.kind !== 'struct' || depth > 16) continue;
    if (lastWord(field.type.name).startsWith(start)) return { offset: field.offset, type: field.type };
    const inner = baseNamed(field.type, start, depth + 1);
    if (inner !== undefined) return { offset: field.offset + inner.offset, type: inner.type };
  }
  return undefined;
}

function lastWord(name: string): string {
  const before = /^[^<]*/.exec(name)?.[0] ?? '';
  return name.slice(before.lastIndexOf('::') < 0 ? 0 : before.lastIndexOf('::') + 2);
}

type Make = (paths: Paths) => Content | undefined;

const sequence: Make = (paths) => {
  const first = paths.measure('first');
  const of = paths.of();
  if (first === undefined || of === undefined) return undefined;
  const end = paths.measure('end');
  const count: Measure | undefined =
    end === undefined ? paths.measure('count') : { kind: 'distance', first, end, unit: Math.max(1, sizeOf(of)) };
  if (count === undefined) return undefined;
  const inside = paths.member('inside');
  const tag = paths.measure('tag');
  const room = inside && tag && { tag, offset: inside.offset };
  return { kind: 'sequence', first, count, of, ...(room === undefined ? {} : { inside: room }) };
};

/** vector<bool>: the words from `first` on, before the one at `end` whole, of that one `rest` bits. */
const bits: Make = (paths) => {
  const first = paths.measure('first');
  const end = paths.measure('end');
  const rest = paths.measure('rest');
  if (first === undefined) return undefined;
  let count = paths.measure('count');
  if (end !== undefined && rest !== undefined) {
    const whole: Measure = { kind: 'distance', first, end, unit: 1 };
    count = { kind: 'sum', left: { kind: 'product', of: whole, by: 8 }, right: rest };
  }
  return count && { kind: 'bits', first, count, of: boolType };
};

const slots: Make = (paths) => {
  const control = paths.measure('control');
  const first = paths.measure('slots') ?? control;
  const capacity = paths.measure('capacity');
  const count = paths.measure('count');
  const slot = paths.of();
  // Abseil's node_hash_map keeps its elements behind pointers.
  const pointed = paths.all('pointed').length > 0;
  const of = pointed && slot?.kind === 'pointer' ? slot.to() : slot;
  if (control === undefined || first === undefined || capacity === undefined || count === undefined) return undefined;
  if (of === undefined) return undefined;
  const size = pointed ? 8 : sizeOf(of);
  // Rust's slots lie before the control bytes, the first one next to them.
  const down = paths.all('down').length > 0;
  const member = paths.member('inside');
  // A table of one keeps it in itself where there is room for it.
  const inside = member !== undefined && size <= sizeOf(member.type) ? member : undefined;
  return {
    kind: 'slots',
    control,
    slots: first,
    capacity,
    count,
    start: down ? -size : 0,
    stride: down ? -size : size,
    of,
    ...(pointed ? { pointed } : {}),
    ...(inside === undefined ? {} : { inside: inside.offset }),
    ...paths.flag('keyed'),
  };
};

/** Where a value lies in a node, behind the links: where its alignment lets it. */
const valueAt = (after: number, of: Type): number => {
  const alignment = Math.max(1, alignOf(of));
  return Math.ceil(after / alignment) * alignment;
};

const makers: Readonly<Record<string, Make>> = {
  none: () => undefined,
  text: (paths) => {
    const data = paths.measure('data');
    const length = paths.measure('length');
    return data && length && { kind: 'text', data, length, short: false };
  },
  shorttext: (paths) => {
    const data = paths.measure('data');
    const length = paths.measure('length');
    return data && length && { kind: 'text', data, length, short: true };
  },
  sequence,
  bits,
  slots,
  groups: goGroups,
  buckets: goBuckets,
  invoker: (paths) => {
    const held = paths.measure('with');
    const target = paths.measure('target');
    return held && target && { kind: 'callable', by: 'invoker', with: held, target };
  },
  callee: (paths) => {
    const held = paths.measure('with');
    return held && { kind: 'callable', by: 'object', with: held, target: held };
  },
  status,
  statusor: statusOr,
  list: (paths) => {
    const first = paths.measure('first');
    const of = paths.of();
    const next = paths.number('next');
    const value = paths.number('value');
    if (first === undefined || of === undefined || next === undefined || value === undefined) return undefined;
    const counted = paths.all('count').length > 0;
    const count = paths.measure('count');
    if (counted && count === undefined) return undefined;
    const flags = { ...paths.flag('keyed'), ...paths.flag('ordered') };
    return { kind: 'list', first, count, next, value: valueAt(value, of), of, ...flags };
  },
  tree: (paths) => {
    const first = paths.measure('first');
    const count = paths.measure('count');
    const of = paths.of();
    const [left, right, parent, value] = ['left', 'right', 'parent', 'value'].map((key) => paths.number(key));
    if (first === undefined || count === undefined || of === undefined) return undefined;
    if (left === undefined || right === undefined || parent === undefined || value === undefined) return undefined;
    return { kind: 'tree', first, count, left, right, parent, value: valueAt(value, of), of, ...paths.flag('keyed') };
  },
  blocks: (paths) => {
    const start = paths.member('start');
    const finish = paths.member('finish');
    const of = paths.of();
    return start && finish && of && { kind: 'blocks', start: start.offset, finish: finish.offset, of };
  },
  ring: (paths) => {
    const row = paths.measure('row');
    const first = paths.measure('first');
    const count = paths.measure('count');
    const of = paths.of();
    if (row === undefined || first === undefined || count === undefined || of === undefined) return undefined;
    const size = Math.max(1, sizeOf(of));
    return { kind: 'ring', row, first, count, perBlock: size < 256 ? Math.floor(4096 / size) : 16, of };
  },
  optional: (paths) => {
    const engaged = paths.measure('engaged');
    const value = paths.member('value');
    return engaged && value && { kind: 'optional', engaged, offset: value.offset, of: value.type };
  },
  pointer: (paths) => {
    const address = paths.measure('address');
    return address && { kind: 'pointer', address, of: paths.of() ?? voidType };
  },
  variant: (paths) => {
    const index = paths.measure('index');
    const value = paths.member('value');
    const types = [...(paths.type.templateArguments?.().values() ?? [])];
    if (index === undefined || value === undefined) return undefined;
    const cases = types.flatMap((of, at) =>
      typeof of === 'object' ? [{ value: BigInt(at), name: '', offset: value.offset, of }] : [],
    );
    return { kind: 'alternatives', index, cases };
  },
  plain: (paths) => {
    const value = paths.member('value');
    return value && { kind: 'plain', offset: value.offset, of: value.type };
  },
  tuple: (paths) => {
    const members = paths.all('member').map((path) => follow(paths.type, path));
    if (members.some((one) => one === undefined)) return undefined;
    return { kind: 'tuple', members: (members as Found[]).map(({ offset, type }) => ({ offset, of: type })) };
  },
};

/** Rust's tuples: members __0, __1 … in any order in memory. */
function rustTuple(type: CompositeType): Content | undefined {
  const fields = type.fields();
  if (!fields.every(({ name }, index) => name === `__${index}`)) return undefined;
  return { kind: 'tuple', members: fields.map(({ offset, type: of }) => ({ offset, of })) };
}

/** std::tuple: a base class for each element, with its number in its name. */
function tupleContent(type: CompositeType): Content | undefined {
  const members: { offset: number; of: Type }[] = [];
  for (let index = 0; index < 32; index++) {
    const found =
      follow(type, `:_Head_base<${index},._M_head_impl|:_Head_base<${index}UL,._M_head_impl`) ??
      follow(type, `__base_.:__tuple_leaf<${index}UL,.__value_|__base_.:__tuple_leaf<${index},.__value_`);
    if (found === undefined) break;
    members.push({ offset: found.offset, of: found.type });
  }
  return members.length === 0 ? undefined : { kind: 'tuple', members };
}

/**
 * The `format` files of tracefs (kernel Documentation/trace/events.rst, "Event formats")
 * as typed fields. The file gives each field's C declaration, offset, size and sign; size
 * and sign win over the declaration, because a system call's `int fd` lies in 8 bytes.
 * What a declaration's type name means is looked up in `types` when the field is used.
 */
import { MachineError } from '../../base/errors.ts';
import { lazy } from '../../base/lazy.ts';
import { fail, ok, type Result } from '../../base/result.ts';
import type { TracepointFormat } from '../../target/target.ts';
import { baseType, isBaseTypeWord } from '../../types/c.ts';
import { sizeOf } from '../../types/layout.ts';
import {
  type AddressSpace,
  boolType,
  type Field,
  int8,
  intType,
  pointerTo,
  type Type,
  uint8,
  uint64,
  voidType,
} from '../../types/model.ts';
import type { TypeSource } from '../../types/source.ts';

type TypedField = TracepointFormat['fields'][number];
type ByteSize = 1 | 2 | 4 | 8;

/** Words in front of a type or behind a `*` that change nothing here. */
const QUALIFIERS = new Set([
  'const',
  'volatile',
  'restrict',
  '__restrict',
  '__force',
  '__rcu',
  '__percpu',
  '__iomem',
  '__kernel',
]);
/** Clang's and GCC's names of the per-CPU segments, which the kernel's per-CPU pointers carry. */
const SEGMENT = /^__seg_[fg]s$/;
/** Integer typedefs whose fields need no look into the kernel's types: format files tell size and sign. */
const INTEGER_NAMES = new Set(
  (
    'u8 u16 u32 u64 s8 s16 s32 s64 __u8 __u16 __u32 __u64 __s8 __s16 __s32 __s64 uint8_t uint16_t uint32_t uint64_t ' +
    'int8_t int16_t int32_t int64_t __le16 __le32 __le64 __be16 __be32 __be64 size_t ssize_t loff_t off_t pid_t uid_t ' +
    'gid_t dev_t ino_t umode_t mode_t gfp_t sector_t blkcnt_t clockid_t timer_t key_t mqd_t qid_t aio_context_t uint ' +
    'ulong ushort key_serial_t rwf_t'
  ).split(' '),
);
/** Sizes of those that arrays are made of. */
const FIXED_WIDTH = /^(?:__)?([us])(?:int)?(8|16|32|64)(?:_t)?$|^u?int(8|16|32|64)_t$/;

const isByteSize = (size: number): size is ByteSize => size === 1 || size === 2 || size === 4 || size === 8;

interface Declaration {
  readonly name: string;
  readonly location: 'absolute' | 'relative' | undefined;
  readonly pointers: number;
  readonly user: boolean;
  readonly keyword: 'struct' | 'union' | 'enum' | undefined;
  /** The type's words without qualifiers and keyword. */
  readonly words: readonly string[];
  /** One entry for each `[…]`; NaN when it is no number (kernels before 5.x print macro names). */
  readonly dimensions: readonly number[];
}

/** Takes a C declaration without initialiser apart; undefined when it has no name. */
function readDeclaration(text: string): Declaration | undefined {
  const dimensions: number[] = [];
  // A parameter list belongs to a pointer to a function, whose type does not matter here.
  const flat = text.replace(/\(\s*\*\s*(\w+)\s*\)\s*\(.*\)/, '* $1').replace(/\[([^\]]*)\]/g, (_, length: string) => {
    dimensions.push(length.trim() === '' ? 0 : Number(length));
    return ' ';
  });
  const tokens = flat.match(/\w+|\*/g) ?? [];
  const name = tokens.pop();
  if (name === undefined || name === '*') return undefined;
  let location: Declaration['location'];
  let keyword: Declaration['keyword'];
  let pointers = 0;
  let user = false;
  const words: string[] = [];
  for (const token of tokens) {
    if (token === '*') pointers++;
    else if (token === '__user') user = true;
    else if (token === '__data_loc') location = 'absolute';
    else if (token === '__rel_loc') location = 'relative';
    else if (token === 'struct' || token === 'union' || token === 'enum') keyword = token;
    else if (!QUALIFIERS.has(token) && !SEGMENT.test(token)) words.push(token);
  }
  return { name, location, pointers, user, keyword, words, dimensions };
}

/** What the declaration's words mean by themselves, without pointers and dimensions. */
function namedType(declaration: Declaration, types: () => TypeSource | undefined): Type | undefined {
  const { keyword, words } = declaration;
  const name = words.join(' ');
  if (keyword !== undefined) return types()?.find(keyword, name);
  if (words.every(isBaseTypeWord)) {
    // Whether char has a sign is the kernel's build to say.
    if (name === 'char') return types()?.find('typedef', 'char') ?? uint8;
    return baseType(words, false);
  }
  const width = FIXED_WIDTH.exec(name);
  if (width !== null) {
    const size = Number(width[2] ?? width[3]) / 8;
    const signed = width[1] === undefined ? name.startsWith('i') : width[1] === 's';
    if (isByteSize(size)) return intType(size, signed);
  }
  return types()?.find('typedef', name);
}

function pointerType(declaration: Declaration, types: () => TypeSource | undefined, space: AddressSpace): Type {
  const target = lazy((): Type => {
    const type = namedType(declaration, types);
    if (type !== undefined) return type;
    const { keyword, words } = declaration;
    if (keyword !== 'struct' && keyword !== 'union') return voidType;
    return { kind: keyword, name: words.join(' '), size: 0, fields: () => [] };
  });
  let to: () => Type = target;
  for (let level = 1; level < declaration.pointers; level++) {
    const inner = to;
    to = () => pointerTo(inner, space);
  }
  return pointerTo(to, space);
}

/** The element type of an array or of a `__data_loc` field. */
function elementType(declaration: Declaration, types: () => TypeSource | undefined, space: AddressSpace): Type {
  if (declaration.pointers > 0) return pointerType(declaration, types, space);
  const { keyword, words } = declaration;
  if (keyword === undefined && words.length === 1 && words[0] === 'char') return int8;
  return namedType(declaration, types) ?? uint8;
}

function arrayType(of: Type, dimensions: readonly number[], size: number): Type {
  const element = sizeOf(of);
  if (element === 0) return { kind: 'array', of: uint8, length: size };
  const declared = dimensions.reduce((product, length) => product * length, element);
  if (dimensions.length === 1 || declared !== size) return { kind: 'array', of, length: Math.floor(size / element) };
  return dimensions.reduceRight<Type>((inner, length) => ({ kind: 'array', of: inner, length }), of);
}

function fieldType(
  declaration: Declaration,
  size: number,
  signed: boolean,
  types: () => TypeSource | undefined,
  syscall: boolean,
): Type {
  const space: AddressSpace = syscall || declaration.user ? 'user' : 'kernel';
  if (declaration.location !== undefined) {
    // A bitmask is declared as a whole, but recorded as the words that are in use.
    const of = declaration.words[0] === 'cpumask_t' ? uint64 : elementType(declaration, types, space);
    return { kind: 'array', of, length: 0 };
  }
  if (declaration.dimensions.length > 0) {
    return arrayType(elementType(declaration, types, space), declaration.dimensions, size);
  }
  if (declaration.pointers > 0) return pointerType(declaration, types, space);
  const { keyword, words } = declaration;
  if (keyword === undefined && isByteSize(size)) {
    if (words.length === 1 && (words[0] === 'bool' || words[0] === '_Bool') && size === 1) return boolType;
    if (words.every(isBaseTypeWord) || INTEGER_NAMES.has(words.join(' '))) return intType(size, signed);
  }
  const type = namedType(declaration, types);
  if (type !== undefined && type.kind !== 'int' && sizeOf(type) === size) {
    return type.kind === 'pointer' ? { ...type, space } : type;
  }
  return isByteSize(size) ? intType(size, signed) : { kind: 'array', of: uint8, length: size };
}

const FIELD = /^\s*field:(.*?);\s*offset:\s*(\d+);\s*size:\s*(\d+);(?:\s*signed:\s*(\d+);)?/;

/**
 * Reads the text of events/CATEGORY/EVENT/format. `types` gives the kernel's types; it is
 * called only when a field's type is looked at and cannot be told from the text. Fails
 * with code E_TRACEPOINT_FORMAT.
 */
export function parseTracepoint(
  text: string,
  category: string,
  types: () => TypeSource | undefined,
): Result<TracepointFormat, MachineError> {
  let event: string | undefined;
  let id: number | undefined;
  const fields: TypedField[] = [];
  const broken = (what: string): MachineError =>
    new MachineError(`unexpected format of tracepoint ${category}:${event ?? '?'}: ${what}`, {
      code: 'E_TRACEPOINT_FORMAT',
    });
  for (const line of text.split('\n')) {
    if (line.startsWith('print fmt:')) break;
    if (line.startsWith('name:')) event = line.slice(5).trim();
    else if (line.startsWith('ID:')) id = Number(line.slice(3));
    else if (/^\s*field:/.test(line)) {
      const match = FIELD.exec(line);
      const declared = match?.[1]?.trim() ?? '';
      const declaration = readDeclaration(declared);
      if (match === null || declaration === undefined) return fail(broken(line.trim()));
      fields.push(makeField(declaration, declared, match, types, category === 'syscalls'));
    }
  }
  if (event === undefined || id === undefined || !Number.isSafeInteger(id)) return fail(broken('no name or no ID'));
  return ok({ id, category, event, fields });
}

function makeField(
  declaration: Declaration,
  declared: string,
  match: RegExpExecArray,
  types: () => TypeSource | undefined,
  syscall: boolean,
): TypedField {
  const size = Number(match[3]);
  const type = lazy(() => fieldType(declaration, size, match[4] === '1', types, syscall));
  const located: Partial<Field> =
    declaration.location === undefined
      ? {}
      : declaration.location === 'relative'
        ? { dataLoc: true, relative: true }
        : { dataLoc: true };
  return {
    name: declaration.name,
    declaration: declared,
    offset: Number(match[2]),
    get type() {
      return type();
    },
    ...located,
  };
}

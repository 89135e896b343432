/** Declaration specifiers (C11 6.7.1 to 6.7.5) and attributes. */
import { baseType, isBaseTypeWord } from '../../../types/c.ts';
import { type AddressSpace, type Field, intType, pointerTo, type Type, uint64 } from '../../../types/model.ts';
import type { TypeSource } from '../../../types/source.ts';
import { type Attributes, alignmentOf, type CType, noAttributes } from './layout.ts';
import type { Preprocessor } from './preprocess.ts';
import { DeclarationScope } from './scope.ts';
import { Abandon } from './stream.ts';
import { type CToken, isPunct } from './token.ts';

export const QUALIFIERS: ReadonlySet<string> = new Set(
  (
    'const volatile restrict __const __const__ __volatile __volatile__ __restrict __restrict__ _Atomic __extension__ ' +
    'static extern inline __inline __inline__ register auto _Noreturn __thread _Thread_local constexpr ' +
    '__user __kernel __iomem __rcu __percpu __force __bitwise __nocast __must_check __randomize_layout _Nullable _Nonnull'
  ).split(' '),
);
/** GNU spellings of C's own words. */
const SYNONYMS: Readonly<Record<string, string | undefined>> = {
  __signed__: 'signed',
  __signed: 'signed',
  __int128_t: '__int128',
};
/** What headers that are not there would have declared. */
const KNOWN: ReadonlyMap<string, Type> = new Map([
  ...[8, 16, 32, 64].flatMap((bits) => {
    const size = (bits / 8) as 1 | 2 | 4 | 8;
    const unsigned = [
      `u${bits}`,
      `__u${bits}`,
      `__be${bits}`,
      `__le${bits}`,
      `uint${bits}_t`,
      `u_int${bits}_t`,
      `uint${bits}`,
    ];
    const signed = [`s${bits}`, `__s${bits}`, `int${bits}_t`, `int${bits}`];
    return [
      ...unsigned.map((name): [string, Type] => [name, intType(size, false)]),
      ...signed.map((name): [string, Type] => [name, intType(size, true)]),
    ];
  }),
  ...'size_t uintptr_t dev_t ino_t ulong'.split(' ').map((name): [string, Type] => [name, intType(8, false)]),
  ...'ssize_t ptrdiff_t intptr_t loff_t off_t time_t'
    .split(' ')
    .map((name): [string, Type] => [name, intType(8, true)]),
  ...'uid_t gid_t mode_t socklen_t in_addr_t gfp_t uint'
    .split(' ')
    .map((name): [string, Type] => [name, intType(4, false)]),
  ...'umode_t sa_family_t in_port_t ushort'.split(' ').map((name): [string, Type] => [name, intType(2, false)]),
  ['pid_t', intType(4, true)],
]);

/** Machine modes of integers. */
const MODES: Readonly<Record<string, 1 | 2 | 4 | 8 | undefined>> = {
  QI: 1,
  HI: 2,
  SI: 4,
  DI: 8,
  byte: 1,
  word: 8,
  pointer: 8,
};

export interface Specifiers {
  readonly type: CType;
  readonly typedef: boolean;
  readonly attributes: Attributes;
  readonly space: AddressSpace;
}

export interface Declarator {
  readonly name: CToken | undefined;
  readonly type: CType;
  readonly attributes: Attributes;
  readonly isFunction: boolean;
}

export const complete = (type: Type, align: number = alignmentOf(type)): CType => ({
  type: () => type,
  align: () => align,
  incomplete: () => undefined,
});

export abstract class SpecifierReader extends DeclarationScope {
  private readonly charSigned: boolean;

  constructor(source: Preprocessor, outer: TypeSource | undefined, charSigned: boolean) {
    super(source, outer);
    this.charSigned = charSigned;
  }

  protected abstract composite(kind: 'struct' | 'union', isClass: boolean): CType;
  protected abstract enumeration(): CType;
  /** Pointers, the name, and what stands around it; the name may be absent. */
  protected abstract declarator(base: CType, space: AddressSpace): Declarator;

  private isKnownType(name: string): boolean {
    return this.typedefs.has(name) || KNOWN.has(name) || this.outer?.find('typedef', name) !== undefined;
  }

  /** Whether a declaration's or a cast's type begins with this token. */
  protected startsType(token: CToken): boolean {
    if (token.kind !== 'name') return false;
    const { text } = token;
    return (
      isBaseTypeWord(SYNONYMS[text] ?? text) ||
      /^(?:struct|union|enum|__int128|__int128_t|__uint128_t|_Float\w+|__float128|__builtin_va_list|typeof|__typeof__|__typeof|_Complex|__complex__)$/.test(
        text,
      ) ||
      QUALIFIERS.has(text) ||
      this.isKnownType(text)
    );
  }

  protected specifiers(): Specifiers | undefined {
    const attributes: Attributes = noAttributes();
    const words: string[] = [];
    let type: CType | undefined;
    let typedef = false;
    let space: AddressSpace = 'either';
    let seen = false;
    for (;;) {
      const token = this.peek();
      if (token.kind !== 'name') break;
      const { text } = token;
      if (text === 'typedef') {
        typedef = true;
        this.next();
      } else if (QUALIFIERS.has(text)) {
        if (text === '__user') space = 'user';
        else if (text === '__kernel' || text === '__percpu' || text === '__rcu') space = 'kernel';
        this.next();
        if (text === '_Atomic' && this.at('(')) {
          this.next();
          type = this.typeName();
          this.expect(')');
        }
      } else if (this.attribute(attributes)) {
        // Taken.
      } else if (
        text === 'struct' ||
        text === 'union' ||
        text === 'enum' ||
        (text === 'class' && this.peek(1).kind === 'name')
      ) {
        if (type !== undefined || words.length > 0) break;
        this.next();
        type =
          text === 'enum' ? this.enumeration() : this.composite(text === 'class' ? 'struct' : text, text === 'class');
      } else if (text === 'std' && isPunct(this.peek(1), ':') && type === undefined) {
        type = this.library();
      } else if (isBaseTypeWord(SYNONYMS[text] ?? text) && !(text === 'bool' && this.typedefs.has('bool'))) {
        if (type !== undefined) break;
        words.push(SYNONYMS[text] ?? text);
        this.next();
      } else if (/^(?:__int128|__int128_t|__uint128_t|__builtin_va_list|_Float\w+|__float128)$/.test(text)) {
        this.next();
        type = complete(...special(text));
      } else if (/^(?:_Complex|__complex__|_Imaginary)$/.test(text)) {
        this.next();
        words.push('_Complex');
      } else if (/^(?:typeof|__typeof__|__typeof|typeof_unqual)$/.test(text)) {
        this.next();
        type = this.typeOf(token);
      } else if (type === undefined && words.length === 0) {
        // Not yet a type: this name is one, or a macro of a header that is not there.
        if (!this.isKnownType(text) && this.looksLikeAnnotation()) {
          this.next();
          if (this.at('(')) this.skipGroup();
          continue;
        }
        this.next();
        type = this.named(token);
      } else break;
      seen = true;
    }
    if (!seen) return undefined;
    if (type === undefined) type = this.fromWords(words);
    return { type, typedef, attributes, space };
  }

  /** `__attribute_const__ int f(void);`: an unknown name that a type follows is no type itself. */
  private looksLikeAnnotation(): boolean {
    const next = this.peek(1);
    if (/^(?:typedef|static|extern|inline|__inline|__inline__)$/.test(next.text)) return true;
    if (this.startsType(next)) return !QUALIFIERS.has(next.text);
    return next.kind === 'name' && this.peek(2).kind === 'name' && !this.isKnownType(this.peek().text);
  }

  private fromWords(words: readonly string[]): CType {
    if (words.includes('_Complex')) {
      const half = words.includes('float') ? 4 : words.includes('long') ? 16 : 8;
      return complete({ kind: 'array', of: { kind: 'float', size: half }, length: 2 }, half);
    }
    // Only storage words: C's old implicit int.
    const type = words.length === 0 ? intType(4, true) : baseType(words, this.charSigned);
    if (type === undefined) throw new Abandon(this.peek(), 'bad-declaration', `'${words.join(' ')}' is no type`);
    return complete(type);
  }

  private named(token: CToken): CType {
    const { text } = token;
    const own = this.typedefs.get(text);
    if (own !== undefined) return own;
    const outer = this.outer?.find('typedef', text);
    if (outer !== undefined) return complete(outer);
    const known = KNOWN.get(text);
    if (known !== undefined) return complete(known);
    throw new Abandon(token, 'unknown-type', `unknown type '${text}'`);
  }

  /** `std::string` and the like (libstdc++'s; libc++'s as `std::__1::string`): see libraryType. */
  private library(): CType {
    const start = this.next();
    let name = 'std';
    while (this.at(':')) {
      this.next();
      this.expect(':');
      name += `::${this.next().text}`;
    }
    let of: CType | undefined;
    if (this.take('<')) {
      of = this.typeName();
      while (!this.at('>') && this.peek().kind !== 'end') this.next();
      this.expect('>');
    }
    const type = libraryType(name, of?.type);
    if (type === undefined) throw new Abandon(start, 'unknown-type', `unknown type '${name}'`);
    return complete(type);
  }

  private typeOf(token: CToken): CType {
    this.expect('(');
    if (!this.startsType(this.peek())) throw new Abandon(token, 'unsupported', 'typeof of an expression');
    const type = this.typeName();
    this.expect(')');
    return type;
  }

  /** A type without a declared name, as in casts. */
  protected typeName(): CType {
    const specifiers = this.specifiers();
    if (specifiers === undefined) throw new Abandon(this.peek(), 'bad-declaration', 'expected a type');
    return this.declarator(specifiers.type, specifiers.space).type;
  }

  /** Takes __attribute__((…)), _Alignas(…), __declspec(…), [[…]]; false when none stands next. */
  protected attribute(into: Attributes): boolean {
    const token = this.peek();
    if (isPunct(token, '[') && isPunct(this.peek(1), '[')) {
      this.skipGroup();
      return true;
    }
    if (token.kind !== 'name') return false;
    switch (token.text) {
      case '__packed':
        // The kernel's own macro, when its header is not there.
        if (this.isKnownType('__packed')) return false;
        this.next();
        into.packed = true;
        return true;
      case '_Alignas':
      case 'alignas':
        this.next();
        this.expect('(');
        into.aligned = Math.max(
          into.aligned,
          this.alignment(this.startsType(this.peek()) ? this.typeName().align() : undefined),
        );
        this.expect(')');
        return true;
      case 'asm':
      case '__asm__':
      case '__asm':
      case '__declspec':
        this.next();
        if (this.at('(')) this.skipGroup();
        return true;
      case '__attribute__':
      case '__attribute':
        break;
      default:
        return false;
    }
    this.next();
    this.expect('(');
    this.expect('(');
    while (!this.at(')')) {
      const name = this.next();
      if (name.kind === 'end') throw new Abandon(name, 'bad-declaration', 'the attribute has no end');
      const word = name.text.replace(/^__(\w+)__$/, '$1');
      if (word === 'packed') into.packed = true;
      else if (word === 'aligned') {
        // Without a number: the largest alignment of the target.
        let align = 16;
        if (this.take('(')) {
          align = this.alignment(undefined);
          this.expect(')');
        }
        into.aligned = Math.max(into.aligned, align);
        continue;
      } else if (word === 'mode' && isPunct(this.peek(), '(')) {
        this.next();
        into.mode = MODES[this.next().text.replace(/^__(\w+)__$/, '$1')] ?? 0;
        this.expect(')');
        continue;
      } else if (word === 'vector_size') throw new Abandon(name, 'unsupported', `__attribute__((${word}))`);
      if (this.at('(')) this.skipGroup();
    }
    this.expect(')');
    this.expect(')');
    return true;
  }

  private alignment(told: number | undefined): number {
    const token = this.peek();
    const align = told ?? Number(this.constant().value);
    if (align === 0) return 0;
    if (align < 0 || align > 1 << 28 || (align & (align - 1)) !== 0) {
      throw new Abandon(token, 'bad-declaration', `${align} is no alignment`);
    }
    return align;
  }

  protected attributes(into: Attributes): void {
    while (this.attribute(into));
  }
}

/**
 * Types of the C++ libraries whose layout is a part of their ABI, for declarations of
 * stripped programs' classes; undefined for others.
 */
function libraryType(name: string, of: (() => Type) | undefined): Type | undefined {
  const text = pointerTo(intType(1, true), 'user');
  const composite = (full: string, size: number, fields: readonly Field[], argument?: () => Type): Type => ({
    kind: 'struct',
    name: full,
    size,
    fields: () => fields,
    ...(argument === undefined ? {} : { templateArguments: () => new Map([['T', argument()]]) }),
  });
  const libcxx = name.startsWith('std::__1::');
  const word = (field: string, offset: number): Field => ({ name: field, type: uint64, offset });
  switch (name.replace('::__1', '')) {
    case 'std::string':
      return libcxx
        ? composite('std::__1::basic_string<char>', 24, [
            word('__r_', 0),
            word('size', 8),
            { name: 'data', type: text, offset: 16 },
          ])
        : composite(
            'std::basic_string<char>',
            32,
            [
              { name: '_M_dataplus', type: composite('', 8, [{ name: '_M_p', type: text, offset: 0 }]), offset: 0 },
              word('_M_string_length', 8),
              word('', 16),
            ].filter((field) => field.name !== ''),
          );
    case 'std::string_view':
      return libcxx
        ? composite('std::__1::basic_string_view<char>', 16, [
            { name: '__data', type: text, offset: 0 },
            word('__size', 8),
          ])
        : composite('std::basic_string_view<char>', 16, [word('_M_len', 0), { name: '_M_str', type: text, offset: 8 }]);
    case 'std::vector': {
      if (of === undefined) return undefined;
      const pointer = pointerTo(of, 'user');
      const places = libcxx ? ['__begin_', '__end_', '__end_cap_'] : ['_M_start', '_M_finish', '_M_end_of_storage'];
      const fields = places.map((field, index): Field => ({ name: field, type: pointer, offset: 8 * index }));
      if (libcxx) return composite('std::__1::vector<T>', 24, fields, of);
      const parts: readonly Field[] = [{ name: '_M_impl', type: composite('', 24, fields), offset: 0 }];
      return composite('std::vector<T>', 24, parts, of);
    }
    case 'std::unique_ptr':
      return of === undefined ? undefined : pointerTo(of, 'user');
    case 'std::shared_ptr':
      return of === undefined
        ? undefined
        : composite(
            libcxx ? 'std::__1::shared_ptr<T>' : 'std::shared_ptr<T>',
            16,
            [{ name: libcxx ? '__ptr_' : '_M_ptr', type: pointerTo(of, 'user'), offset: 0 }, word('control', 8)],
            of,
          );
    default:
      return undefined;
  }
}

/** Types that the model has no word for, as bytes of the same size. */
function special(name: string): [type: Type, align: number] {
  if (name === '__builtin_va_list') return [{ kind: 'array', of: uint64, length: 3 }, 8];
  if (name.includes('128') && name.includes('int')) return [{ kind: 'array', of: uint64, length: 2 }, 16];
  const bits = Number(/\d+/.exec(name)?.[0] ?? 64);
  const size = bits >= 64 ? (bits === 64 && !name.endsWith('x') ? 8 : 16) : name.endsWith('x') ? 8 : bits / 8;
  return [{ kind: 'float', size }, size];
}

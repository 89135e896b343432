/**
 * C declarations (C11 6.7, with GNU's and clang's extensions) as far as they make types:
 * structs, unions, enums and typedefs. Functions, variables and what cannot be
 * understood are passed over, so that one odd line of a header costs only itself.
 */
import { type AddressSpace, type EnumType, intType, pointerTo, type Type } from '../../../types/model.ts';
import type { Base } from './heritage.ts';
import { type Attributes, type CType, layOutMembers, type Member, noAttributes } from './layout.ts';
import { complete, type Declarator, QUALIFIERS, SpecifierReader } from './specifiers.ts';
import { Abandon, REPORTED } from './stream.ts';
import { type CToken, isPunct } from './token.ts';

/** Words that stand at the end of a type and are no name of a parameter. */
const typeWords = /^(?:const|volatile|void|bool|char|short|int|long|float|double|signed|unsigned)$/;

/** `(int, const char *)`: what parameters are, without their names. */
function parameterTypes(group: readonly CToken[]): string {
  const types: string[][] = [[]];
  for (const { text } of group.slice(1, -1)) {
    if (text === ',') types.push([]);
    else types.at(-1)?.push(text);
  }
  const plain = types.map((words) => {
    const last = words.at(-1) ?? '';
    const before = words.at(-2) ?? '';
    const named =
      words.length > 1 &&
      /^[a-z_]/i.test(last) &&
      !typeWords.test(last) &&
      !/^(?:const|struct|enum|union|::)$/.test(before);
    return (named ? words.slice(0, -1) : words).join(' ');
  });
  return `(${plain.join(', ')})`;
}

const MAX_DEPTH = 64;
/** More is no type of any program, and sums of offsets must stay exact. */
const MAX_SIZE = 2 ** 40;

export class Declarations extends SpecifierReader {
  /** Reads all there is. */
  read(): void {
    for (;;) {
      const token = this.peek();
      if (token.kind === 'end') return;
      this.guarded(() => this.declaration());
    }
  }

  private declaration(): void {
    if (this.take(';')) return;
    if (this.at('extern') && this.peek(1).kind === 'string') {
      // extern "C" { … }: what is in it counts, its closing brace is passed over below.
      this.next();
      this.next();
      this.take('{');
      return;
    }
    if (this.take('}')) {
      this.take(';');
      return;
    }
    if (this.skipStatement()) return;
    const specifiers = this.specifiers();
    if (specifiers === undefined) throw new Abandon(this.peek(), 'bad-declaration', `unexpected '${this.peek().text}'`);
    if (this.take(';')) return;
    for (;;) {
      const declarator = this.declarator(specifiers.type, specifiers.space);
      if (specifiers.typedef && declarator.name !== undefined) {
        this.typedefs.set(declarator.name.text, this.aligned(declarator, specifiers.attributes));
      } else if (this.at('{')) {
        this.skipBody();
        return;
      }
      if (this.take('=')) this.skipInitializer();
      if (this.take(',')) continue;
      this.expect(';');
      return;
    }
  }

  private skipInitializer(): void {
    while (!this.at(',') && !this.at(';') && this.peek().kind !== 'end') {
      if (this.at('{') || this.at('(') || this.at('[')) this.skipGroup();
      else this.next();
    }
  }

  /** _Static_assert(…); and asm(…); are no declarations of types. */
  private skipStatement(): boolean {
    const { text, kind } = this.peek();
    if (kind !== 'name' || !/^(?:_Static_assert|static_assert|asm|__asm__|__asm)$/.test(text)) return false;
    this.next();
    while (this.peek().kind === 'name') this.next();
    if (this.at('(')) this.skipGroup();
    this.take(';');
    return true;
  }

  /** An alignment given to the declarator or with the specifiers becomes the type's. */
  private aligned(declarator: Declarator, attributes: Attributes): CType {
    const moded = this.moded(declarator.type, attributes.mode || declarator.attributes.mode);
    const aligned = Math.max(declarator.attributes.aligned, attributes.aligned);
    return aligned === 0 ? moded : { ...moded, align: () => aligned };
  }

  private moded(type: CType, mode: Attributes['mode']): CType {
    const plain = mode === 0 ? undefined : type.type();
    return mode === 0 || plain?.kind !== 'int' ? type : complete(intType(mode, plain.signed));
  }

  protected composite(kind: 'struct' | 'union', isClass: boolean): CType {
    const attributes: Attributes = noAttributes();
    this.attributes(attributes);
    const tag = this.peek().kind === 'name' ? this.next() : undefined;
    this.attributes(attributes);
    const bases = this.bases();
    if (!this.at('{')) {
      if (tag === undefined) throw new Abandon(this.peek(), 'bad-declaration', `expected a name or '{' behind ${kind}`);
      return this.tagged(kind, tag.text);
    }
    // C++ calls a class by its name alone, also within itself.
    const named = tag !== undefined && (isClass || bases.length > 0);
    if (named) this.typedefs.set(tag.text, this.tagged(kind, tag.text));
    const open = this.next();
    if (++this.depth > MAX_DEPTH) throw new Abandon(open, 'bad-declaration', 'structs are nested too deep');
    const members: Member[] = [];
    let broken = false;
    const functions: string[] = [];
    while (!this.at('}')) {
      const word = this.peek().text;
      if (/^(?:public|private|protected)$/.test(word) && isPunct(this.peek(1), ':')) {
        this.next();
        this.next();
        continue;
      }
      if (
        word === 'virtual' ||
        word === '~' ||
        (tag !== undefined && word === tag.text && isPunct(this.peek(1), '('))
      ) {
        const signature = this.skipFunction();
        if (word === 'virtual') functions.push(signature);
        continue;
      }
      if (this.peek().kind === 'end') throw new Abandon(open, 'bad-declaration', `the '{' of this ${kind} has no '}'`);
      if (!this.guarded(() => this.member(members, named || functions.length > 0))) broken = true;
    }
    this.next();
    const { pack } = this;
    this.depth--;
    this.attributes(attributes);
    if (broken) {
      // Offsets behind a member that is not understood would be wrong.
      throw new Abandon(tag ?? open, REPORTED, '');
    }
    const type = layOutMembers(kind, tag?.text ?? '', members, attributes, pack, { bases, functions });
    if (type.size > MAX_SIZE)
      throw new Abandon(tag ?? open, 'bad-declaration', `${kind} ${tag?.text ?? '{…}'} is too large`);
    if (tag !== undefined) this.tags.set(`${kind} ${tag.text}`, type);
    if (tag !== undefined && (named || functions.length > 0)) this.typedefs.set(tag.text, complete(type));
    return complete(type);
  }

  /** `: public Base, Other` of a C++ class. */
  private bases(): Base[] {
    const bases: Base[] = [];
    if (!this.at(':')) return bases;
    do {
      this.next();
      let virtual = false;
      while (/^(?:public|private|protected|virtual|struct|class)$/.test(this.peek().text)) {
        if (this.next().text === 'virtual') virtual = true;
      }
      const name = this.next();
      const type = this.tags.get(`struct ${name.text}`) ?? this.outer?.find('struct', name.text);
      if (type?.kind !== 'struct')
        throw new Abandon(name, 'unknown-type', `the class '${name.text}' is declared nowhere above`);
      bases.push({ type, virtual });
    } while (this.at(','));
    return bases;
  }

  /** A member function: it takes no room. Gives what tells it from others: name and parameters, `~` for a destructor. */
  private skipFunction(): string {
    let name = '';
    let parameters: string | undefined;
    while (!this.at(';') && !this.at('{') && this.peek().kind !== 'end') {
      if (this.at('(')) {
        const group = this.skipGroup();
        parameters ??= parameterTypes(group);
      } else {
        const { text } = this.next();
        if (parameters === undefined) name = name === '~' ? name : text;
        else if (text === 'const') parameters += ' const';
      }
    }
    if (this.at('{')) this.skipGroup();
    this.take(';');
    return name === '~' ? name : `${name}${parameters ?? ''}`;
  }

  private member(members: Member[], ofClass: boolean): void {
    if (this.take(';')) return;
    if (this.skipStatement()) return;
    const specifiers = this.specifiers();
    if (specifiers === undefined) throw new Abandon(this.peek(), 'bad-declaration', `unexpected '${this.peek().text}'`);
    const start = this.peek();
    if (this.take(';')) {
      // An anonymous struct or union; a tag alone declares no member.
      const type = specifiers.type.type();
      if ((type.kind === 'struct' || type.kind === 'union') && type.name === '') {
        members.push({ name: '', type: specifiers.type, bits: undefined, attributes: specifiers.attributes });
      }
      return;
    }
    for (;;) {
      const declarator = isPunct(this.peek(), ':')
        ? { name: undefined, type: specifiers.type, attributes: noAttributes(), isFunction: false }
        : this.declarator(specifiers.type, specifiers.space);
      let bits: number | undefined;
      if (this.take(':')) bits = this.width(declarator.type);
      this.attributes(declarator.attributes);
      const missing = declarator.type.incomplete();
      if (missing !== undefined) {
        throw new Abandon(declarator.name ?? start, 'incomplete-type', `${missing} is declared nowhere`);
      }
      if (declarator.isFunction) {
        if (!ofClass) throw new Abandon(declarator.name ?? start, 'bad-declaration', 'a member cannot be a function');
        this.skipFunction();
        return;
      }
      if (declarator.name === undefined && bits === undefined) {
        throw new Abandon(this.peek(), 'bad-declaration', 'a member has no name');
      }
      members.push({
        name: declarator.name?.text ?? '',
        type: this.moded(declarator.type, specifiers.attributes.mode || declarator.attributes.mode),
        bits,
        attributes: {
          packed: declarator.attributes.packed || specifiers.attributes.packed,
          aligned: Math.max(declarator.attributes.aligned, specifiers.attributes.aligned),
          mode: 0,
        },
      });
      if (this.take(',')) {
        this.attributes(noAttributes());
        continue;
      }
      if (this.at('}')) return;
      this.expect(';');
      return;
    }
  }

  private width(of: CType): number {
    const token = this.peek();
    const width = Number(this.constant().value);
    const type = of.type();
    const limit = type.kind === 'int' || type.kind === 'enum' ? type.size * 8 : type.kind === 'bool' ? 1 : 0;
    if (limit === 0) throw new Abandon(token, 'bad-declaration', 'a bit-field of a type that is no integer');
    if (width < 0 || width > limit) throw new Abandon(token, 'bad-declaration', `a bit-field of ${width} bits`);
    return width;
  }

  protected enumeration(): CType {
    const attributes: Attributes = noAttributes();
    this.attributes(attributes);
    const tag = this.peek().kind === 'name' ? this.next() : undefined;
    let underlying: Type | undefined;
    if (isPunct(this.peek(), ':') && this.startsType(this.peek(1))) {
      this.next();
      underlying = this.specifiers()?.type.type();
    }
    if (!this.at('{')) {
      if (tag === undefined) throw new Abandon(this.peek(), 'bad-declaration', "expected a name or '{' behind enum");
      return this.tagged('enum', tag.text);
    }
    this.next();
    const members: { readonly name: string; readonly value: bigint }[] = [];
    // Enumerators may use those before them.
    const local = new Map<string, bigint>();
    let following = 0n;
    while (!this.at('}')) {
      const name = this.next();
      if (name.kind !== 'name') throw new Abandon(name, 'bad-declaration', `unexpected '${name.text}' in an enum`);
      this.attributes(noAttributes());
      if (this.take('=')) following = this.constant(local).value;
      members.push({ name: name.text, value: following });
      local.set(name.text, following);
      following++;
      if (!this.take(',') && !this.at('}')) this.expect('}');
    }
    this.next();
    this.attributes(attributes);
    const type = enumType(tag?.text ?? '', members, attributes.packed, underlying);
    if (tag !== undefined) this.tags.set(`enum ${tag.text}`, type);
    for (const { name, value } of members) this.enumerators.set(name, { value, type });
    return complete(type);
  }

  /** Pointers, the name, and what stands around it; the name may be absent. */
  protected declarator(base: CType, space: AddressSpace): Declarator {
    if (++this.depth > MAX_DEPTH) throw new Abandon(this.peek(), 'bad-declaration', 'a declarator is nested too deep');
    const attributes: Attributes = noAttributes();
    let type = base;
    this.attributes(attributes);
    while (this.at('*') || this.at('^')) {
      this.next();
      let own = space;
      for (;;) {
        const { text, kind } = this.peek();
        if (kind === 'name' && QUALIFIERS.has(text)) {
          if (text === '__user') own = 'user';
          this.next();
        } else if (!this.attribute(attributes)) break;
      }
      type = this.pointer(type, own);
    }
    const declared = this.directDeclarator(type, attributes, space);
    this.attributes(declared.attributes);
    this.depth--;
    return declared;
  }

  private pointer(to: CType, space: AddressSpace): CType {
    const type = pointerTo(to.type, space);
    return { type: () => type, align: () => 8, incomplete: () => undefined };
  }

  private directDeclarator(base: CType, attributes: Attributes, space: AddressSpace): Declarator {
    const token = this.peek();
    if (token.kind === 'name' && !QUALIFIERS.has(token.text)) {
      this.next();
      const { type, isFunction } = this.suffixes(base);
      return { name: token, type, attributes, isFunction };
    }
    if (this.at('(') && this.isNested()) {
      this.next();
      // What stands inside applies to what the suffixes behind make of the base.
      let target: CType = base;
      const through: CType = {
        type: () => target.type(),
        align: () => target.align(),
        incomplete: () => target.incomplete(),
      };
      const inner = this.declarator(through, space);
      this.expect(')');
      const outer = this.suffixes(base);
      target = outer.type;
      const isFunction = inner.isFunction || (outer.isFunction && inner.type === through);
      return { ...inner, isFunction };
    }
    const { type, isFunction } = this.suffixes(base);
    return { name: undefined, type, attributes, isFunction };
  }

  /** Whether a '(' opens a declarator and not a list of parameters. */
  private isNested(): boolean {
    const next = this.peek(1);
    return (
      isPunct(next, '*') || isPunct(next, '^') || isPunct(next, '(') || (next.kind === 'name' && !this.startsType(next))
    );
  }

  /** […] and (…) behind a name, the innermost first. */
  private suffixes(base: CType): { readonly type: CType; readonly isFunction: boolean } {
    if (this.at('(')) {
      this.skipGroup();
      this.suffixes(base);
      return { type: functionOf(base), isFunction: true };
    }
    if (!this.at('[') || isPunct(this.peek(1), '[')) return { type: base, isFunction: false };
    const open = this.next();
    while (this.peek().kind === 'name' && QUALIFIERS.has(this.peek().text)) this.next();
    let length = 0;
    if (!this.at(']')) {
      const { value } = this.constant();
      if (value < 0n || value > BigInt(MAX_SIZE)) throw new Abandon(open, 'bad-declaration', `an array of ${value}`);
      length = Number(value);
    }
    this.expect(']');
    const { type: element } = this.suffixes(base);
    return { type: arrayOf(element, length), isFunction: false };
  }
}

/** GCC takes unsigned int, int, then the 64-bit types, whichever holds all values. */
function enumType(name: string, members: EnumType['members'], packed: boolean, underlying: Type | undefined): EnumType {
  if (underlying?.kind === 'int')
    return { kind: 'enum', name, size: underlying.size, signed: underlying.signed, members };
  let least = 0n;
  let greatest = 0n;
  for (const { value } of members) {
    if (value < least) least = value;
    if (value > greatest) greatest = value;
  }
  const signed = least < 0n;
  for (const size of packed ? ([1, 2, 4, 8] as const) : ([4, 8] as const)) {
    const bits = BigInt(size * 8);
    const fits = signed ? least >= -(1n << (bits - 1n)) && greatest < 1n << (bits - 1n) : greatest < 1n << bits;
    if (fits || size === 8) return { kind: 'enum', name, size, signed, members };
  }
  return { kind: 'enum', name, size: 8, signed, members };
}

function arrayOf(element: CType, length: number): CType {
  let type: Type | undefined;
  return {
    type: () => {
      type ??= { kind: 'array', of: element.type(), length };
      return type;
    },
    align: element.align,
    incomplete: element.incomplete,
  };
}

function functionOf(returns: CType): CType {
  const type: Type = { kind: 'function', name: '', parameters: () => [], returns: returns.type };
  return { type: () => type, align: () => 1, incomplete: () => undefined };
}

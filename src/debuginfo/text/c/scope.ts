/** What names mean in declarations: tags, typedefs, enumerators, and constant expressions of them. */
import { sizeOf } from '../../../types/layout.ts';
import { type CompositeType, type EnumType, intType, type Type } from '../../../types/model.ts';
import type { TypeSource } from '../../../types/source.ts';
import {
  type CTypeSize,
  type CValue,
  ExpressionReader,
  intValue,
  makeValue,
  NotConstant,
  sizeValue,
} from './expression.ts';
import { alignmentOf, type CType } from './layout.ts';
import { TokenList } from './macro.ts';
import type { Preprocessor } from './preprocess.ts';
import { Abandon, DeclarationStream } from './stream.ts';
import type { CToken } from './token.ts';

export type TagKeyword = 'struct' | 'union' | 'enum';

export abstract class DeclarationScope extends DeclarationStream {
  readonly tags: Map<string, CompositeType | EnumType> = new Map();
  readonly typedefs: Map<string, CType> = new Map();
  readonly enumerators: Map<string, { readonly value: bigint; readonly type: EnumType }> = new Map();
  protected readonly outer: TypeSource | undefined;

  constructor(source: Preprocessor, outer: TypeSource | undefined) {
    super(source);
    this.outer = outer;
  }

  /** Whether a declaration's or a cast's type begins with this token. */
  protected abstract startsType(token: CToken): boolean;
  /** A type without a declared name, as in casts. */
  protected abstract typeName(): CType;

  /** A tag that is or will be defined here, or is known to the kernel. */
  protected tagged(kind: TagKeyword, name: string): CType {
    const find = (): CompositeType | EnumType | undefined => {
      const own = this.tags.get(`${kind} ${name}`);
      if (own !== undefined) return own;
      const outer = this.outer?.find(kind, name);
      return outer?.kind === 'struct' || outer?.kind === 'union' || outer?.kind === 'enum' ? outer : undefined;
    };
    const none: Type = kind === 'enum' ? intType(4, false) : { kind, name, size: 0, fields: () => [] };
    return {
      type: () => find() ?? none,
      align: () => alignmentOf(find() ?? none),
      incomplete: () => (kind === 'enum' || find() !== undefined ? undefined : `${kind} ${name}`),
    };
  }

  /** The constant expression that stands next. Throws NotConstant. */
  protected constant(local?: ReadonlyMap<string, bigint>): CValue {
    return new ExpressionReader(this, {
      preprocessor: false,
      name: (token) => {
        const value = local?.get(token.text) ?? this.enumerators.get(token.text)?.value;
        if (value !== undefined) return enumeratorValue(value);
        const outer = this.outer?.findEnumerator(token.text);
        return outer === undefined ? undefined : enumeratorValue(outer.value);
      },
      typeName: () => (this.startsType(this.peek()) ? this.sizes(this.peek(), this.typeName()) : undefined),
      builtin: (token) => this.offsetOf(token),
    }).read();
  }

  /** The value of a list of tokens; undefined when they are no integer constant expression. */
  evaluate(tokens: readonly CToken[]): bigint | undefined {
    const list = new TokenList(tokens);
    this.list = list;
    try {
      const { value } = this.constant();
      return list.peek().kind === 'end' ? value : undefined;
    } catch (error) {
      if (error instanceof NotConstant || error instanceof Abandon) return undefined;
      throw error;
    } finally {
      this.list = undefined;
      this.depth = 0;
    }
  }

  private sizes(token: CToken, named: CType): CTypeSize {
    const missing = named.incomplete();
    if (missing !== undefined) throw new Abandon(token, 'incomplete-type', `${missing} is declared nowhere`);
    const type = named.type();
    const integer =
      type.kind === 'int' || type.kind === 'enum'
        ? { size: type.size, unsigned: !type.signed }
        : type.kind === 'pointer'
          ? { size: 8, unsigned: true }
          : type.kind === 'bool'
            ? { size: 1, unsigned: true }
            : undefined;
    return { size: type.kind === 'void' ? 1 : sizeOf(type), align: named.align(), integer };
  }

  /** offsetof(type, member[.member]) */
  private offsetOf(token: CToken): CValue | undefined {
    if (!/^(?:offsetof|__builtin_offsetof|__offsetof)$/.test(token.text)) return undefined;
    this.expect('(');
    let type = this.typeName().type();
    this.expect(',');
    let offset = 0;
    do {
      const name = this.next();
      const found = member(type, name.text);
      if (found === undefined) throw new Abandon(name, 'bad-declaration', `no member '${name.text}'`);
      offset += found.offset;
      type = found.type;
      while (this.take('[')) {
        const index = Number(this.constant().value);
        this.expect(']');
        if (type.kind !== 'array') throw new Abandon(name, 'bad-declaration', `'${name.text}' is no array`);
        offset += index * sizeOf(type.of);
        type = type.of;
      }
    } while (this.take('.'));
    this.expect(')');
    return sizeValue(offset);
  }
}

/** An enumerator is an int where it fits into one. */
function enumeratorValue(value: bigint): CValue {
  if (BigInt.asIntN(32, value) === value) return intValue(value);
  if (BigInt.asUintN(32, value) === value) return makeValue(value, 32, true);
  return makeValue(value, 64, value > 0x7fffffffffffffffn);
}

function member(type: Type, name: string): { readonly offset: number; readonly type: Type } | undefined {
  if (type.kind !== 'struct' && type.kind !== 'union') return undefined;
  for (const field of type.fields()) {
    if (field.name === name) return { offset: field.offset, type: field.type };
    if (field.name !== '') continue;
    const inner = member(field.type, name);
    if (inner !== undefined) return { offset: field.offset + inner.offset, type: inner.type };
  }
  return undefined;
}

/** Types and template arguments (Itanium C++ ABI 5.1.5 and 5.1.6). */
import {
  ARGUMENT_PACK,
  ARRAY,
  COMPLEX,
  CONST,
  CONST_THIS,
  DECLTYPE,
  FUNCTION,
  HEAD_PACK,
  HEAD_TEMPLATE,
  HEAD_TYPE,
  HEAD_VALUE,
  IMAGINARY,
  listed,
  MEMBER_POINTER,
  NOEXCEPT,
  Node,
  named,
  numbered,
  PACK_EXPANSION,
  POINTER,
  PREFIXED,
  pair,
  REFERENCE,
  REFERENCE_THIS,
  RESTRICT,
  RESTRICT_THIS,
  RVALUE_REFERENCE,
  RVALUE_REFERENCE_THIS,
  SUFFIXED,
  TEMPLATE,
  TEMPLATE_HEAD,
  TEMPLATE_PARAM,
  THROW,
  TRANSACTION_SAFE,
  texted,
  VECTOR,
  VENDOR_QUALIFIER,
  VENDOR_TYPE,
  VOLATILE,
  VOLATILE_THIS,
  wrap,
} from './node.ts';
import { Reader } from './reader.ts';
import { BUILTINS, D_BUILTINS, LITERAL_FLOAT, makeBuiltin, VOID } from './tables.ts';

export const NO_NODES: readonly Node[] = [];

/** One cv or function qualifier before what it applies to is known. */
interface Qualifier {
  readonly kind: number;
  readonly operand: Node | null;
  readonly list: readonly Node[] | null;
}

const asMember = (kind: number): number =>
  kind === CONST ? CONST_THIS : kind === VOLATILE ? VOLATILE_THIS : kind === RESTRICT ? RESTRICT_THIS : kind;

export abstract class TypeReader extends Reader {
  abstract name(): Node;
  abstract unqualified(): Node;
  abstract expression(): Node;
  abstract primary(): Node;

  type(): Node {
    this.enter();
    const own = this.ownName;
    this.ownName = false;
    const node = this.readType();
    this.ownName = own;
    this.depth--;
    return node;
  }

  private readType(): Node {
    const code = this.peek();
    const builtin = BUILTINS[code];
    if (builtin !== undefined) {
      this.pos++;
      return builtin;
    }
    switch (code) {
      case 0x4b: // K
      case 0x56: // V
      case 0x72: // r
        return this.qualified();
      case 0x50: // P
        this.pos++;
        return this.remember(wrap(POINTER, this.type()));
      case 0x52: // R
        this.pos++;
        return this.remember(wrap(REFERENCE, this.type()));
      case 0x4f: // O
        this.pos++;
        return this.remember(wrap(RVALUE_REFERENCE, this.type()));
      case 0x53: // S
        return this.substituted();
      case 0x54: // T
        return this.parameterOrElaborated();
      case 0x46: // F
        return this.remember(this.functionType());
      case 0x41: // A
        return this.remember(this.array());
      case 0x4d: {
        // M
        this.pos++;
        const owner = this.type();
        return this.remember(pair(MEMBER_POINTER, owner, this.type()));
      }
      case 0x43: // C
        this.pos++;
        return this.remember(wrap(COMPLEX, this.type()));
      case 0x47: // G
        this.pos++;
        return this.remember(wrap(IMAGINARY, this.type()));
      case 0x44: // D
        return this.extended();
      case 0x55: {
        // U
        const next = this.peekNext();
        if (next === 0x6c || next === 0x74) return this.remember(this.unqualified());
        return this.vendorQualified();
      }
      case 0x75: {
        // u
        this.pos++;
        const name = this.sourceName();
        const type = wrap(VENDOR_TYPE, name);
        return this.remember(this.peek() === 0x49 ? listed(TEMPLATE, type, this.templateArguments()) : type);
      }
      case 0x4e: // N
      case 0x5a: // Z
        return this.remember(this.name());
      default:
        if (code >= 48 && code <= 57) return this.remember(this.name());
        return this.fail();
    }
  }

  private substituted(): Node {
    const next = this.peekNext();
    const numbered = next === 0x5f || (next >= 48 && next <= 57) || (next >= 65 && next <= 90);
    if (numbered) {
      const node = this.substitution(false);
      if (this.peek() !== 0x49) return node;
      return this.remember(listed(TEMPLATE, node, this.templateArguments()));
    }
    if (next !== 0x74) {
      // An abbreviation for a whole type is no new candidate, one with arguments or tags is.
      const node = this.abbreviation(false);
      if (this.peek() !== 0x49) return node;
      return this.remember(listed(TEMPLATE, node, this.templateArguments()));
    }
    return this.remember(this.name());
  }

  /** A standard abbreviation with the ABI tags behind it. */
  abstract abbreviation(prefix: boolean): Node;

  private parameterOrElaborated(): Node {
    const next = this.peekNext();
    if (next === 0x73 || next === 0x75 || next === 0x65) {
      // Ts, Tu, Te: struct, union, enum told explicitly.
      this.pos += 2;
      return this.remember(this.name());
    }
    const parameter = this.remember(this.templateParameter());
    if (this.peek() !== 0x49) return parameter;
    if (!this.inConversion) return this.remember(listed(TEMPLATE, parameter, this.templateArguments()));
    // operator T<…>: the arguments are the parameter's only when others follow, else the operator's.
    const { pos, lastName } = this;
    const candidates = this.substitutions.length;
    const list = this.templateArguments();
    if (this.peek() === 0x49) return this.remember(listed(TEMPLATE, parameter, list));
    this.pos = pos;
    this.lastName = lastName;
    this.substitutions.length = candidates;
    return parameter;
  }

  /** T_, T<n>_, TL<level>_<n>_. */
  templateParameter(): Node {
    this.expect(0x54);
    if (this.take(0x4c)) {
      const level = this.number() + 1;
      this.expect(0x5f);
      return new Node(TEMPLATE_PARAM, null, null, String(level), this.compactNumber(), null);
    }
    const index = this.compactNumber();
    const node = numbered(TEMPLATE_PARAM, null, index);
    if (this.inConversion) this.forward.push(node);
    else node.left = this.scope?.[index] ?? null;
    return node;
  }

  isQualifier(): boolean {
    const code = this.peek();
    if (code === 0x4b || code === 0x56 || code === 0x72) return true;
    if (code !== 0x44) return false;
    const next = this.peekNext();
    return next === 0x78 || next === 0x6f || next === 0x4f || next === 0x77;
  }

  private qualifier(): Qualifier {
    const code = this.peek();
    this.pos++;
    if (code === 0x4b) return { kind: CONST, operand: null, list: null };
    if (code === 0x56) return { kind: VOLATILE, operand: null, list: null };
    if (code === 0x72) return { kind: RESTRICT, operand: null, list: null };
    const next = this.peek();
    this.pos++;
    if (next === 0x78) return { kind: TRANSACTION_SAFE, operand: null, list: null };
    if (next === 0x6f) return { kind: NOEXCEPT, operand: null, list: null };
    if (next === 0x4f) {
      const operand = this.expression();
      this.expect(0x45);
      return { kind: NOEXCEPT, operand, list: null };
    }
    const list: Node[] = [];
    while (!this.take(0x45)) list.push(this.type());
    return { kind: THROW, operand: null, list };
  }

  /** Qualifiers of a member function: those read first end up outermost. */
  memberQualifiers(): number[] | null {
    let kinds: number[] | null = null;
    for (;;) {
      const code = this.peek();
      const kind = code === 0x4b ? CONST_THIS : code === 0x56 ? VOLATILE_THIS : code === 0x72 ? RESTRICT_THIS : -1;
      if (kind < 0) return kinds;
      this.pos++;
      if (kinds === null) kinds = [kind];
      else kinds.push(kind);
    }
  }

  private qualified(): Node {
    if (this.peek() === 0x4b) {
      // `K` alone, by far the most frequent.
      const next = this.peekNext();
      if (next !== 0x46 && next !== 0x44 && next !== 0x4b && next !== 0x56 && next !== 0x72) {
        this.pos++;
        return this.remember(wrap(CONST, this.type()));
      }
    }
    const qualifiers: Qualifier[] = [];
    while (this.isQualifier()) qualifiers.push(this.qualifier());
    const ofFunction = this.peek() === 0x46;
    let inner = ofFunction ? this.functionType() : this.type();
    let refQualifier = -1;
    if (ofFunction && inner.left !== null && inner.kind !== FUNCTION) {
      // The & or && of a function type prints behind const and volatile.
      refQualifier = inner.kind;
      inner = inner.left;
    }
    for (let i = qualifiers.length - 1; i >= 0; i--) {
      const { kind, operand, list } = qualifiers[i] as Qualifier;
      inner = new Node(ofFunction ? asMember(kind) : kind, inner, operand, '', 0, list);
    }
    if (refQualifier >= 0) inner = wrap(refQualifier, inner);
    return this.remember(inner);
  }

  /** F [Y] <return type> <parameter>+ [R|O] E. */
  private functionType(): Node {
    this.expect(0x46);
    this.take(0x59);
    let node = this.signature(true);
    const code = this.peek();
    if (code === 0x52 || code === 0x4f) {
      this.pos++;
      node = wrap(code === 0x52 ? REFERENCE_THIS : RVALUE_REFERENCE_THIS, node);
    }
    this.expect(0x45);
    return node;
  }

  /** <bare-function-type>. */
  signature(returns: boolean): Node {
    const result = this.take(0x4a) || returns ? this.type() : null;
    return new Node(FUNCTION, result, null, '', 0, this.parameters());
  }

  parameters(): readonly Node[] {
    let list: Node[] | null = null;
    for (;;) {
      const code = this.peek();
      // E ends it, so do the end of the name, a clone suffix, a version and a constraint.
      if (code === 0x45 || code === 0 || code === 0x2e || code === 0x40 || code === 0x51) break;
      if ((code === 0x52 || code === 0x4f) && this.peekNext() === 0x45) break;
      const type = this.type();
      if (list === null) list = [type];
      else list.push(type);
    }
    if (list === null) return this.fail();
    return list.length === 1 && list[0] === VOID ? NO_NODES : list;
  }

  /** A<number>_<type> or A[<expression>]_<type>. */
  private array(): Node {
    this.expect(0x41);
    let bound: Node | null = null;
    if (this.isDigit()) {
      const start = this.pos;
      while (this.isDigit()) this.pos++;
      bound = named(this.text.slice(start, this.pos));
    } else if (this.peek() !== 0x5f) bound = this.expression();
    this.expect(0x5f);
    return pair(ARRAY, bound, this.type());
  }

  private vendorQualified(): Node {
    this.expect(0x55);
    let qualifier = this.sourceName();
    if (this.peek() === 0x49) qualifier = listed(TEMPLATE, qualifier, this.templateArguments());
    return this.remember(pair(VENDOR_QUALIFIER, this.type(), qualifier));
  }

  decltype(): Node {
    this.pos += 2;
    const expression = this.expression();
    this.expect(0x45);
    return wrap(DECLTYPE, expression);
  }

  private extended(): Node {
    const next = this.peekNext();
    const builtin = D_BUILTINS[next];
    if (builtin !== undefined) {
      this.pos += 2;
      return builtin;
    }
    switch (next) {
      case 0x54: // DT
      case 0x74: // Dt
        return this.remember(this.decltype());
      case 0x70: // Dp
        this.pos += 2;
        return this.remember(wrap(PACK_EXPANSION, this.type()));
      case 0x76: {
        // Dv <number> _ <type>, Dv [<expression>] _ <type>
        this.pos += 2;
        let length: Node;
        if (this.take(0x5f)) length = this.expression();
        else length = named(String(this.number()));
        this.expect(0x5f);
        return this.remember(pair(VECTOR, length, this.type()));
      }
      case 0x46: {
        // DF <bits> _ | x | b
        this.pos += 2;
        const bits = this.number();
        if (this.take(0x62)) return makeBuiltin('std::bfloat16_t', LITERAL_FLOAT);
        if (this.take(0x78)) return makeBuiltin(`_Float${bits}x`, LITERAL_FLOAT);
        this.expect(0x5f);
        return makeBuiltin(`_Float${bits}`, LITERAL_FLOAT);
      }
      case 0x42: // DB
      case 0x55: {
        // DU: _BitInt
        this.pos += 2;
        const bits = this.isDigit() ? named(String(this.number())) : this.expression();
        this.expect(0x5f);
        const word = next === 0x42 ? '_BitInt(' : 'unsigned _BitInt(';
        return texted(SUFFIXED, texted(PREFIXED, bits, word), ')');
      }
      case 0x6b: // Dk
      case 0x4b: {
        // DK: constrained placeholder
        this.pos += 2;
        const concept = this.name();
        return this.remember(texted(SUFFIXED, concept, next === 0x6b ? ' auto' : ' decltype(auto)'));
      }
      default:
        if (this.isQualifier()) return this.qualified();
        return this.fail();
    }
  }

  /** I <argument>* E, also J … E. */
  templateArguments(): readonly Node[] {
    this.enter();
    const { lastName, ownName } = this;
    this.ownName = false;
    this.pos++;
    const list: Node[] = [];
    let requirement: Node | null = null;
    for (;;) {
      const code = this.peek();
      if (code === 0x45) break;
      if (code === 0x51) {
        requirement = this.constraint();
        break;
      }
      list.push(this.templateArgument());
    }
    this.expect(0x45);
    this.demanded = requirement;
    this.lastName = lastName;
    this.ownName = ownName;
    if (ownName) this.scope = list;
    this.depth--;
    return list;
  }

  /** Q <expression>: read, and given back for those who print it. */
  constraint(): Node {
    this.expect(0x51);
    return this.expression();
  }

  templateArgument(): Node {
    switch (this.peek()) {
      case 0x58: {
        // X
        this.pos++;
        const expression = this.expression();
        this.expect(0x45);
        return expression;
      }
      case 0x4c: // L
        return this.primary();
      case 0x49: // I
      case 0x4a: // J
        return listed(ARGUMENT_PACK, null, this.templateArguments());
      case 0x54:
        if (this.isHead()) {
          // How the parameter was declared, told where the argument does not show it.
          this.head();
          return this.templateArgument();
        }
        return this.type();
      default:
        return this.type();
    }
  }

  isHead(): boolean {
    if (this.peek() !== 0x54) return false;
    const next = this.peekNext();
    return next === 0x79 || next === 0x6e || next === 0x74 || next === 0x70 || next === 0x6b;
  }

  /** <template-param-decl>: Ty, Tk <concept>, Tn <type>, Tt <decl>* E, Tp <decl>. */
  head(): Node {
    this.enter();
    this.pos++;
    const code = this.peek();
    this.pos++;
    let node: Node;
    if (code === 0x79) node = wrap(HEAD_TYPE, null);
    else if (code === 0x6b) node = wrap(HEAD_TYPE, this.name());
    else if (code === 0x6e) node = wrap(HEAD_VALUE, this.type());
    else if (code === 0x74) {
      const list: Node[] = [];
      while (this.isHead()) list.push(this.head());
      if (this.peek() === 0x51) this.constraint();
      this.expect(0x45);
      node = wrap(HEAD_TEMPLATE, listed(TEMPLATE_HEAD, null, list));
    } else if (code === 0x70) node = wrap(HEAD_PACK, this.head());
    else this.fail();
    this.depth--;
    return node;
  }
}

/** Expressions and literals (Itanium C++ ABI 5.1.6). */
import {
  BINARY,
  CAST,
  CONVERSION,
  EXPRESSION_LIST,
  FUNCTION_PARAM,
  INITIALIZER_LIST,
  LITERAL,
  listed,
  NEW,
  Node,
  NULLARY,
  numbered,
  OPERATOR,
  PACK_EXPANSION,
  PREFIXED,
  pair,
  QUALIFIED,
  REQUIREMENT,
  REQUIRES,
  SUBOBJECT,
  TEMPLATE,
  TRINARY,
  texted,
  UNARY,
  wrap,
} from './node.ts';
import { NULLPTR, OPERATORS, type Operator, operatorIndex } from './tables.ts';
import { TypeReader } from './types.ts';

const PLUS_PLUS = operatorIndex('pp');
const MINUS_MINUS = operatorIndex('mm');
const SIZE_OF_PACK_ARGUMENTS = operatorIndex('sP');

export abstract class ExpressionReader extends TypeReader {
  /** <operator-name>: OPERATOR, VENDOR_OPERATOR, CONVERSION or, in an expression, CAST. */
  abstract operatorName(): Node;
  abstract encoding(): Node;

  expression(): Node {
    this.enter();
    const { ownName, inExpression } = this;
    this.ownName = false;
    this.inExpression = true;
    const node = this.readExpression();
    this.ownName = ownName;
    this.inExpression = inExpression;
    this.depth--;
    return node;
  }

  private readExpression(): Node {
    const code = this.peek();
    const next = this.peekNext();
    switch (code) {
      case 0x4c: // L
        return this.primary();
      case 0x54: // T
        return this.templateParameter();
      case 0x73: // s
        if (next === 0x72) return this.unresolved();
        if (next === 0x70) {
          this.pos += 2;
          return wrap(PACK_EXPANSION, this.expression());
        }
        if (next === 0x6f) return this.subobject();
        break;
      case 0x66: // f
        if (next === 0x70) {
          // fp [cv] [n] _, fpT
          this.pos += 2;
          if (this.take(0x54)) return numbered(FUNCTION_PARAM, null, 0);
          this.memberQualifiers();
          return numbered(FUNCTION_PARAM, null, this.compactNumber() + 1);
        }
        if (next === 0x4c && (this.bytes[this.pos + 2] as number) >= 48 && (this.bytes[this.pos + 2] as number) <= 57) {
          // fL <level> p [cv] [n] _
          this.pos += 2;
          this.number();
          this.expect(0x70);
          this.memberQualifiers();
          return numbered(FUNCTION_PARAM, null, this.compactNumber() + 1);
        }
        break;
      case 0x6f: // on: the name of an operator
        if (next === 0x6e) return this.simpleName();
        break;
      case 0x69: // il
        if (next === 0x6c) {
          this.pos += 2;
          return listed(INITIALIZER_LIST, null, this.expressions(0x45));
        }
        break;
      case 0x74: // t
        if (next === 0x6c) {
          this.pos += 2;
          const type = this.type();
          return listed(INITIALIZER_LIST, type, this.expressions(0x45));
        }
        if (next === 0x69) {
          // ti <type>: typeid; te <expression> is an ordinary operator.
          this.pos += 2;
          return pair(UNARY, this.operator(operatorIndex('ti')), this.type());
        }
        break;
      case 0x75: {
        // u <source-name> <template-arg>* E: a vendor's expression
        this.pos++;
        const name = this.sourceName();
        const list: Node[] = [];
        while (!this.take(0x45)) list.push(this.templateArgument());
        return new Node(BINARY, this.operator(operatorIndex('cl')), null, '', 0, [
          name,
          listed(EXPRESSION_LIST, null, list),
        ]);
      }
      case 0x72: // rq, rQ: a requires-expression
        if (next === 0x71 || next === 0x51) return this.requirement();
        break;
      default:
        if (code >= 48 && code <= 57) return this.simpleName();
    }
    return this.operation();
  }

  private operator(index: number): Node {
    return new Node(OPERATOR, null, null, (OPERATORS[index] as Operator).text, index, null);
  }

  /** A name with its template arguments. */
  private simpleName(): Node {
    // on <operator-name>; early GCC wrote it before identifiers, too.
    if (this.peek() === 0x6f && this.peekNext() === 0x6e) this.pos += 2;
    const name = this.unqualified();
    return this.peek() === 0x49 ? listed(TEMPLATE, name, this.templateArguments()) : name;
  }

  /**
   * sr <type> <name>, srN <type> <level>+ E <name>, sr <level>+ E <name>. Old compilers
   * write a class's plain name for the type, and no E behind it: the same text may be
   * both, so that a name which fails one way is read again the other way.
   */
  private unresolved(): Node {
    this.pos += 2;
    let scope: Node;
    if (this.isDigit() && !this.oldUnresolved) {
      this.sawUnresolved = true;
      scope = this.simpleName();
      while (this.isDigit()) {
        const name = this.unqualified();
        scope = pair(QUALIFIED, scope, name);
        if (this.peek() === 0x49) scope = listed(TEMPLATE, scope, this.templateArguments());
      }
      this.expect(0x45);
    } else scope = this.type();
    const name = pair(QUALIFIED, scope, this.baseName());
    return this.peek() === 0x49 ? listed(TEMPLATE, name, this.templateArguments()) : name;
  }

  private baseName(): Node {
    if (this.peek() !== 0x64 || this.peekNext() !== 0x6e) return this.unqualified();
    // dn <type>: a destructor
    this.pos += 2;
    const type = this.isDigit() ? this.simpleName() : this.type();
    return texted(PREFIXED, type, '~');
  }

  private memberName(): Node {
    const name = this.baseName();
    return this.peek() === 0x49 ? listed(TEMPLATE, name, this.templateArguments()) : name;
  }

  /** Expressions up to the ending character. */
  private expressions(stop: number): readonly Node[] {
    const list: Node[] = [];
    while (!this.take(stop)) list.push(this.expression());
    return list;
  }

  private operation(): Node {
    const operator = this.operatorName();
    if (operator.kind === CAST) {
      const operand = this.take(0x5f) ? listed(EXPRESSION_LIST, null, this.expressions(0x45)) : this.expression();
      return pair(UNARY, operator, operand);
    }
    if (operator.kind === CONVERSION) return this.fail();
    if (operator.kind !== OPERATOR) {
      // A vendor's operator tells its number of operands.
      const list: Node[] = [];
      for (let i = operator.num; i > 0; i--) list.push(this.expression());
      if (list.length === 0) return wrap(NULLARY, operator);
      if (list.length === 1) return pair(UNARY, operator, list[0] as Node);
      return listed(list.length === 2 ? BINARY : TRINARY, operator, list);
    }
    const { code, operands } = OPERATORS[operator.num] as Operator;
    switch (operands) {
      case 0:
        return wrap(NULLARY, operator);
      case 1:
        return this.unary(operator);
      case 2:
        return listed(BINARY, operator, this.binary(code));
      default:
        return this.trinary(operator, code);
    }
  }

  private unary(operator: Node): Node {
    const code = (OPERATORS[operator.num] as Operator).code;
    if (operator.num === PLUS_PLUS || operator.num === MINUS_MINUS) {
      const prefix = this.take(0x5f);
      return new Node(UNARY, operator, this.expression(), '', prefix ? 0 : 1, null);
    }
    if (operator.num === SIZE_OF_PACK_ARGUMENTS) {
      const list: Node[] = [];
      while (!this.take(0x45)) list.push(this.templateArgument());
      return pair(UNARY, operator, listed(EXPRESSION_LIST, null, list));
    }
    // sizeof, alignof of a type; everything else takes an expression.
    if (code === 'st' || code === 'at') return pair(UNARY, operator, this.type());
    return pair(UNARY, operator, this.expression());
  }

  private binary(code: string): readonly Node[] {
    switch (code) {
      case 'cc':
      case 'dc':
      case 'rc':
      case 'sc': {
        const type = this.type();
        return [type, this.expression()];
      }
      case 'cl': {
        const callee = this.expression();
        return [callee, listed(EXPRESSION_LIST, null, this.expressions(0x45))];
      }
      case 'dt':
      case 'pt': {
        const object = this.expression();
        if (this.peek() === 0x73 && this.peekNext() === 0x72) return [object, this.unresolved()];
        if (this.peek() === 0x67 && this.peekNext() === 0x73) return [object, this.expression()];
        if (this.peek() === 0x54) return [object, this.expression()];
        return [object, this.memberName()];
      }
      case 'fl':
      case 'fr': {
        const inner = this.operatorName();
        return [inner, this.expression()];
      }
      case 'di': {
        const field = this.unqualified();
        return [field, this.expression()];
      }
      default: {
        const left = this.expression();
        return [left, this.expression()];
      }
    }
  }

  private trinary(operator: Node, code: string): Node {
    if (code === 'nw' || code === 'na') {
      const placement = this.expressions(0x5f);
      const type = this.type();
      let initializer: Node | null = null;
      if (this.peek() === 0x70 && this.peekNext() === 0x69) {
        this.pos += 2;
        initializer = listed(EXPRESSION_LIST, null, this.expressions(0x45));
      } else if (this.peek() === 0x69 && this.peekNext() === 0x6c) initializer = this.expression();
      else this.expect(0x45);
      return new Node(NEW, initializer, type, code === 'na' ? '[]' : '', 0, placement);
    }
    const first = code === 'fL' || code === 'fR' ? this.operatorName() : this.expression();
    const second = this.expression();
    return listed(TRINARY, operator, [first, second, this.expression()]);
  }

  /** so <type> <expression> [<offset>] <union selector>* [p] E. */
  private subobject(): Node {
    this.pos += 2;
    const type = this.type();
    const whole = this.expression();
    const offset = this.signedNumber();
    // Which member of a union it is, counted.
    while (this.take(0x5f)) this.number();
    this.take(0x70);
    this.expect(0x45);
    return new Node(SUBOBJECT, whole, type, '', offset, null);
  }

  /** rq <requirement>+ E, rQ <parameters> _ <requirement>+ E. */
  private requirement(): Node {
    this.pos++;
    let parameters: Node | null = null;
    if (this.take(0x51)) {
      const list: Node[] = [];
      while (!this.take(0x5f)) list.push(this.type());
      parameters = listed(EXPRESSION_LIST, null, list);
    } else this.pos++;
    const parts: Node[] = [];
    while (!this.take(0x45)) {
      const code = this.peek();
      this.pos++;
      if (code === 0x54) parts.push(texted(REQUIREMENT, this.type(), 'typename '));
      else if (code === 0x51) parts.push(texted(REQUIREMENT, this.expression(), 'requires '));
      else if (code === 0x58) {
        const expression = this.expression();
        const noexcept = this.take(0x4e) ? 1 : 0;
        const concept = this.take(0x52) ? this.name() : null;
        parts.push(new Node(REQUIREMENT, expression, concept, '', noexcept, null));
      } else this.fail();
    }
    return new Node(REQUIRES, parameters, null, '', 0, parts);
  }

  /** L <type> <value> E, L_Z <encoding> E. */
  primary(): Node {
    this.expect(0x4c);
    if (this.peek() === 0x5f || this.peek() === 0x5a) {
      this.take(0x5f);
      this.expect(0x5a);
      const { scope, forward, inConversion, lastName, ownName } = this;
      const node = this.encoding();
      this.scope = scope;
      this.forward = forward;
      this.inConversion = inConversion;
      this.lastName = lastName;
      this.ownName = ownName;
      this.expect(0x45);
      return node;
    }
    const type = this.type();
    if (type === NULLPTR && this.peek() === 0x45) {
      this.pos++;
      return type;
    }
    const negative = this.take(0x6e);
    const start = this.pos;
    while (this.peek() !== 0x45) {
      if (this.peek() === 0) return this.fail();
      this.pos++;
    }
    const text = this.text.slice(start, this.pos);
    this.pos++;
    return new Node(LITERAL, type, null, text, negative ? 1 : 0, null);
  }
}

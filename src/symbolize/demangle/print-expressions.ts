/** Expressions and literals as text, with c++filt's parentheses. */
import {
  BINARY,
  BUILTIN,
  CAST,
  EXPRESSION_LIST,
  FUNCTION,
  FUNCTION_PARAM,
  INITIALIZER_LIST,
  LITERAL,
  NAME,
  NEW,
  type Node,
  NULLARY,
  OPERATOR,
  PACK_EXPANSION,
  QUALIFIED,
  REQUIREMENT,
  REQUIRES,
  SUBOBJECT,
  TRINARY,
  TYPED,
  UNARY,
} from './node.ts';
import { TypePrinter } from './print.ts';
import { MALFORMED } from './reader.ts';
import {
  LITERAL_BOOL,
  LITERAL_FLOAT,
  LITERAL_INT,
  LITERAL_SUFFIX,
  LITERAL_UNSIGNED_LONG_LONG,
  OPERATORS,
  type Operator,
} from './tables.ts';

const codeOf = (operator: Node): string =>
  operator.kind === OPERATOR ? (OPERATORS[operator.num] as Operator).code : '';

export class Printer extends TypePrinter {
  protected expression(node: Node): void {
    switch (node.kind) {
      case UNARY:
        this.unary(node);
        break;
      case BINARY:
        this.binary(node);
        break;
      case TRINARY:
        this.trinary(node);
        break;
      case NULLARY:
        this.operator(node.left as Node);
        break;
      case CAST:
        this.print(node.left as Node);
        break;
      case LITERAL:
        this.literal(node);
        break;
      case INITIALIZER_LIST:
        if (node.left !== null) this.print(node.left);
        this.append('{');
        this.list(node.list as readonly Node[]);
        this.append('}');
        break;
      case EXPRESSION_LIST:
        this.list(node.list as readonly Node[]);
        break;
      case FUNCTION_PARAM:
        this.append(node.num === 0 ? 'this' : `{parm#${node.num}}`);
        break;
      case NEW: {
        const placement = node.list as readonly Node[];
        this.append('new ');
        if (placement.length > 0) {
          this.append('(');
          this.list(placement);
          this.append(') ');
        }
        this.print(node.right as Node);
        if (node.left !== null) this.subexpression(node.left);
        break;
      }
      case REQUIRES:
        this.append('requires ');
        if (node.left !== null) {
          this.append('(');
          this.print(node.left);
          this.append(') ');
        }
        this.append('{ ');
        for (const part of node.list as readonly Node[]) {
          this.print(part);
          this.append('; ');
        }
        this.append('}');
        break;
      case REQUIREMENT: {
        const compound = node.num === 1 || node.right !== null;
        this.append(node.text);
        if (compound) this.append('{');
        this.print(node.left as Node);
        if (compound) this.append('}');
        if (node.num === 1) this.append(' noexcept');
        if (node.right !== null) {
          this.append(' -> ');
          this.print(node.right);
        }
        break;
      }
      case SUBOBJECT:
        this.print(node.left as Node);
        this.append('.<');
        this.print(node.right as Node);
        this.append(` at offset ${node.num}>`);
        break;
      default:
        throw MALFORMED;
    }
  }

  protected subexpression(node: Node): void {
    const simple =
      node.kind === NAME || node.kind === QUALIFIED || node.kind === INITIALIZER_LIST || node.kind === FUNCTION_PARAM;
    if (!simple) this.append('(');
    this.print(node);
    if (!simple) this.append(')');
  }

  /** An operator within an expression, without the word `operator`. */
  private operator(node: Node): void {
    if (node.kind === OPERATOR) this.append(node.text);
    else this.print(node);
  }

  private unary(node: Node): void {
    const operator = node.left as Node;
    let operand = node.right as Node;
    const code = codeOf(operator);
    if (node.num === 1) {
      this.subexpression(operand);
      this.operator(operator);
      return;
    }
    if (code === 'sZ') {
      const pack = this.findPack(operand);
      this.append(String(pack === null ? 0 : (pack.list as readonly Node[]).length));
      return;
    }
    if (code === 'sP') {
      this.append(String(this.countArguments(operand.list as readonly Node[])));
      return;
    }
    if (operator.kind === CAST) {
      this.append('(');
      this.print(operator.left as Node);
      this.append(')');
    } else this.operator(operator);
    // The address of a function: its name is enough.
    if (
      code === 'ad' &&
      operand.kind === TYPED &&
      (operand.left as Node).kind === QUALIFIED &&
      (operand.right as Node).kind === FUNCTION
    ) {
      operand = operand.left as Node;
    }
    if (code === 'gs') this.print(operand);
    else if (code === 'st' || code === 'nx') {
      this.append('(');
      this.print(operand);
      this.append(')');
    } else this.subexpression(operand);
  }

  private countArguments(list: readonly Node[]): number {
    let count = 0;
    for (const item of list) {
      if (item.kind === PACK_EXPANSION) {
        const pack = this.findPack(item.left);
        count += pack === null ? 0 : (pack.list as readonly Node[]).length;
      } else count++;
    }
    return count;
  }

  private binary(node: Node): void {
    const operator = node.left as Node;
    const [left, right] = node.list as readonly [Node, Node];
    const code = codeOf(operator);
    switch (code) {
      case 'cc':
      case 'dc':
      case 'rc':
      case 'sc':
        this.operator(operator);
        this.append('<');
        this.print(left);
        this.append('>(');
        this.print(right);
        this.append(')');
        return;
      case 'fl':
      case 'fr':
        this.fold(code, left, right, null);
        return;
      case 'di':
      case 'dx':
        this.designated(node);
        return;
      case 'cl':
        // The types of a called function say nothing that its arguments don't.
        this.subexpression(left.kind === TYPED ? (left.left as Node) : left);
        this.subexpression(right);
        return;
      case 'ix':
        this.subexpression(left);
        this.append('[');
        this.print(right);
        this.append(']');
        return;
      default: {
        // `>` within template arguments needs parentheses of its own.
        const guard = code === 'gt';
        if (guard) this.append('(');
        this.subexpression(left);
        this.operator(operator);
        this.subexpression(right);
        if (guard) this.append(')');
      }
    }
  }

  private trinary(node: Node): void {
    const operator = node.left as Node;
    const [first, second, third] = node.list as readonly [Node, Node, Node];
    const code = codeOf(operator);
    if (code === 'fL' || code === 'fR') this.fold(code, first, second, third);
    else if (code === 'dX') this.designated(node);
    else {
      this.subexpression(first);
      this.operator(operator);
      this.subexpression(second);
      this.append(' : ');
      this.subexpression(third);
    }
  }

  private fold(code: string, operator: Node, first: Node, second: Node | null): void {
    const { packIndex } = this;
    // The pack stands as a whole.
    this.packIndex = -1;
    if (code === 'fl') {
      this.append('(...');
      this.operator(operator);
      this.subexpression(first);
      this.append(')');
    } else if (code === 'fr') {
      this.append('(');
      this.subexpression(first);
      this.operator(operator);
      this.append('...)');
    } else {
      this.append('(');
      this.subexpression(first);
      this.operator(operator);
      this.append('...');
      this.operator(operator);
      this.subexpression(second as Node);
      this.append(')');
    }
    this.packIndex = packIndex;
  }

  private designated(node: Node): void {
    const list = node.list as readonly Node[];
    const code = codeOf(node.left as Node);
    this.append(code === 'di' ? '.' : '[');
    this.print(list[0] as Node);
    if (code === 'dX') {
      this.append(' ... ');
      this.print(list[1] as Node);
    }
    if (code !== 'di') this.append(']');
    const value = list[list.length - 1] as Node;
    const inner = value.kind === BINARY || value.kind === TRINARY ? codeOf(value.left as Node) : '';
    if (inner === 'di' || inner === 'dx' || inner === 'dX') this.print(value);
    else {
      this.append('=');
      this.subexpression(value);
    }
  }

  private literal(node: Node): void {
    const type = node.left as Node;
    const { text } = node;
    const style = type.kind === BUILTIN ? type.num : 0;
    if (style >= LITERAL_INT && style <= LITERAL_UNSIGNED_LONG_LONG) {
      if (node.num === 1) this.append('-');
      this.append(text);
      this.append(LITERAL_SUFFIX[style] as string);
      return;
    }
    if (style === LITERAL_BOOL && node.num === 0 && (text === '0' || text === '1')) {
      this.append(text === '0' ? 'false' : 'true');
      return;
    }
    this.append('(');
    this.print(type);
    this.append(')');
    if (node.num === 1) this.append('-');
    if (style === LITERAL_FLOAT) this.append('[');
    this.append(text);
    if (style === LITERAL_FLOAT) this.append(']');
  }
}

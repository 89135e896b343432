/**
 * C's declarators wrap around the name they declare: what stands outside is handed
 * inward as a list of modifiers and printed by whichever type finds its place for it.
 */
import {
  ARRAY,
  COMPLEX,
  CONST,
  CONST_THIS,
  DEFAULT_ARGUMENT,
  EXPLICIT_OBJECT,
  FUNCTION,
  IMAGINARY,
  isFunctionQualifier,
  LOCAL,
  MEMBER_POINTER,
  NOEXCEPT,
  type Node,
  POINTER,
  REFERENCE,
  REFERENCE_THIS,
  RESTRICT,
  RESTRICT_THIS,
  RVALUE_REFERENCE,
  RVALUE_REFERENCE_THIS,
  THROW,
  TRANSACTION_SAFE,
  TYPED,
  VECTOR,
  VENDOR_QUALIFIER,
  VOLATILE,
  VOLATILE_THIS,
} from './node.ts';
import { type Modifier, Output } from './output.ts';

const SPACE = 0x20;

export abstract class DeclaratorPrinter extends Output {
  protected push(node: Node): Modifier {
    const modifier: Modifier = { next: this.modifiers, node, printed: false, scope: this.scopes };
    this.modifiers = modifier;
    return modifier;
  }

  protected modified(node: Node, inner: Node): void {
    const modifier = this.push(node);
    this.print(inner);
    if (!modifier.printed) this.modifier(node);
    this.modifiers = modifier.next;
  }

  /** An array hands its element's qualifiers on, so that the same one can be there twice. */
  protected isRepeated(node: Node): boolean {
    for (let at = this.modifiers; at !== null; at = at.next) {
      if (at.printed) continue;
      const { kind } = at.node;
      if (kind !== CONST && kind !== VOLATILE && kind !== RESTRICT) return false;
      if (kind === node.kind) return true;
    }
    return false;
  }

  protected enterDefaultArgument(node: Node): Node {
    if (node.kind !== DEFAULT_ARGUMENT) return node;
    this.append('{default arg#');
    this.append(String(node.num + 1));
    this.append('}::');
    return node.left as Node;
  }

  protected functionType(node: Node): void {
    if (node.left !== null) {
      const modifier = this.push(node);
      this.print(node.left);
      this.modifiers = modifier.next;
      if (modifier.printed) return;
      this.append(' ');
    }
    this.declarator(node, this.modifiers);
  }

  /** The part of a function type behind its return type: (modifiers)(parameters) qualifiers. */
  protected declarator(node: Node, modifiers: Modifier | null): void {
    let paren = false;
    let space = false;
    let explicit = false;
    for (let at = modifiers; at !== null && !at.printed; at = at.next) {
      const { kind } = at.node;
      if (kind === POINTER || kind === REFERENCE || kind === RVALUE_REFERENCE) paren = true;
      else if (
        kind === RESTRICT ||
        kind === VOLATILE ||
        kind === CONST ||
        kind === VENDOR_QUALIFIER ||
        kind === COMPLEX ||
        kind === IMAGINARY ||
        kind === MEMBER_POINTER
      ) {
        paren = true;
        space = true;
      } else if (kind === EXPLICIT_OBJECT) explicit = true;
      if (paren) break;
    }
    if (paren) {
      if (!space && this.last !== 0x28 && this.last !== 0x2a) space = true;
      if (space && this.last !== SPACE) this.append(' ');
      this.append('(');
    }
    const held = this.modifiers;
    this.modifiers = null;
    this.modifierList(modifiers, false);
    this.append(paren ? ')(' : '(');
    if (explicit) this.append('this ');
    this.list(node.list as readonly Node[]);
    this.append(')');
    this.modifierList(modifiers, true);
    this.modifiers = held;
  }

  protected array(node: Node): void {
    const held = this.modifiers;
    const own: Modifier = { next: held, node, printed: false, scope: this.scopes };
    this.modifiers = own;
    // Qualifiers of an array are its element's.
    let moved: Modifier[] | null = null;
    for (let at = held; at !== null; at = at.next) {
      const { kind } = at.node;
      if (kind !== CONST && kind !== VOLATILE && kind !== RESTRICT) break;
      if (at.printed) continue;
      const copy: Modifier = { next: this.modifiers, node: at.node, printed: false, scope: at.scope };
      this.modifiers = copy;
      at.printed = true;
      moved ??= [];
      moved.push(copy);
    }
    this.print(node.right as Node);
    this.modifiers = held;
    if (own.printed) return;
    if (moved !== null) {
      for (let i = moved.length - 1; i >= 0; i--) this.modifier((moved[i] as Modifier).node);
    }
    this.bounds(node, this.modifiers);
  }

  /** The part of an array type behind its element's: (modifiers) [bound]. */
  protected bounds(node: Node, modifiers: Modifier | null): void {
    let space = true;
    if (modifiers !== null) {
      let paren = false;
      for (let at: Modifier | null = modifiers; at !== null; at = at.next) {
        if (at.printed) continue;
        if (at.node.kind === ARRAY) space = false;
        else paren = true;
        break;
      }
      if (paren) this.append(' (');
      this.modifierList(modifiers, false);
      if (paren) this.append(')');
    }
    this.append(space ? ' [' : '[');
    if (node.left !== null) this.print(node.left);
    this.append(']');
  }

  /** Prints what no inner type has printed yet; function qualifiers only as a suffix. */
  protected modifierList(modifiers: Modifier | null, suffix: boolean): void {
    for (let at = modifiers; at !== null; at = at.next) {
      if (at.printed || (!suffix && isFunctionQualifier(at.node))) continue;
      at.printed = true;
      this.step();
      const held = this.scopes;
      this.scopes = at.scope;
      const { node } = at;
      if (node.kind === FUNCTION) {
        this.declarator(node, at.next);
        this.scopes = held;
        return;
      }
      if (node.kind === ARRAY) {
        this.bounds(node, at.next);
        this.scopes = held;
        return;
      }
      if (node.kind === LOCAL) {
        const heldModifiers = this.modifiers;
        this.modifiers = null;
        this.print(node.left as Node);
        this.modifiers = heldModifiers;
        this.append('::');
        // Qualifiers on the right part are in the list themselves.
        let name = this.enterDefaultArgument(node.right as Node);
        while (isFunctionQualifier(name)) name = name.left as Node;
        this.print(name);
        this.scopes = held;
        return;
      }
      this.modifier(node);
      this.scopes = held;
    }
  }

  protected modifier(node: Node): void {
    switch (node.kind) {
      case CONST:
      case CONST_THIS:
        this.append(' const');
        break;
      case VOLATILE:
      case VOLATILE_THIS:
        this.append(' volatile');
        break;
      case RESTRICT:
      case RESTRICT_THIS:
        this.append(' restrict');
        break;
      case TRANSACTION_SAFE:
        this.append(' transaction_safe');
        break;
      case NOEXCEPT:
        this.append(' noexcept');
        if (node.right !== null) {
          this.append('(');
          this.print(node.right);
          this.append(')');
        }
        break;
      case THROW:
        this.append(' throw(');
        this.list(node.list as readonly Node[]);
        this.append(')');
        break;
      case EXPLICIT_OBJECT:
        break;
      case VENDOR_QUALIFIER:
        this.append(' ');
        this.print(node.right as Node);
        break;
      case POINTER:
        this.append('*');
        break;
      case REFERENCE_THIS:
        this.append(' &');
        break;
      case REFERENCE:
        this.append('&');
        break;
      case RVALUE_REFERENCE_THIS:
        this.append(' &&');
        break;
      case RVALUE_REFERENCE:
        this.append('&&');
        break;
      case COMPLEX:
        this.append(' _Complex');
        break;
      case IMAGINARY:
        this.append(' _Imaginary');
        break;
      case MEMBER_POINTER:
        if (this.last !== 0x28) this.append(' ');
        this.print(node.left as Node);
        this.append('::*');
        break;
      case TYPED:
        this.print(node.left as Node);
        break;
      case VECTOR:
        this.append(' __vector(');
        this.print(node.left as Node);
        this.append(')');
        break;
      default:
        this.print(node);
    }
  }
}

/**
 * Turns the tree of a C++ name into text, spelled as GNU c++filt spells it.
 *
 * C's declarators wrap around the name they declare, so that what stands outside is
 * handed inward as a list of modifiers and printed by whichever type finds its place
 * for it. Template parameters are looked up while printing, in the templates that
 * enclose the place being printed.
 */
import {
  ARGUMENT_PACK,
  ARRAY,
  BUILTIN,
  CLONE,
  COMPLEX,
  CONST,
  CONST_THIS,
  CONSTRAINED,
  CONSTRUCTION_VTABLE,
  CONSTRUCTOR,
  CONVERSION,
  DECLTYPE,
  DEFAULT_ARGUMENT,
  DESTRUCTOR,
  EXPLICIT_OBJECT,
  FUNCTION,
  FUNCTION_PARAM,
  HEAD_PACK,
  HEAD_TEMPLATE,
  HEAD_TYPE,
  HEAD_VALUE,
  IMAGINARY,
  isFunctionQualifier,
  LAMBDA,
  LITERAL_OPERATOR,
  LOCAL,
  MEMBER_POINTER,
  MODULE,
  MODULE_ENTITY,
  NAME,
  NOEXCEPT,
  type Node,
  OPERATOR,
  PACK_EXPANSION,
  POINTER,
  PREFIXED,
  QUALIFIED,
  REFERENCE,
  REFERENCE_TEMPORARY,
  REFERENCE_THIS,
  RESTRICT,
  RESTRICT_THIS,
  RVALUE_REFERENCE,
  RVALUE_REFERENCE_THIS,
  STRUCTURED_BINDING,
  SUFFIXED,
  TAGGED,
  TEMPLATE,
  TEMPLATE_PARAM,
  THROW,
  TRANSACTION_SAFE,
  TYPED,
  UNNAMED_TYPE,
  VECTOR,
  VENDOR_OPERATOR,
  VENDOR_QUALIFIER,
  VENDOR_TYPE,
  VOLATILE,
  VOLATILE_THIS,
} from './node.ts';
import { MALFORMED } from './reader.ts';

/** Most characters of a demangled name; the longest in workerd has 19,134. */
export const MAX_OUTPUT: number = 1 << 18;
/** Most nodes visited for one name. */
export const MAX_STEPS: number = 1 << 19;
const MAX_PRINT_DEPTH = 1200;

/** The templates around the place being printed, innermost first. */
interface Scope {
  readonly next: Scope | null;
  readonly template: Node;
}

/** A type constructor handed inward; `printed` once a type has found its place. */
interface Modifier {
  next: Modifier | null;
  node: Node;
  printed: boolean;
  scope: Scope | null;
}

const EMPTY: readonly Node[] = [];
const LESS = 0x3c;
const GREATER = 0x3e;
const SPACE = 0x20;

export abstract class TypePrinter {
  protected out = '';
  /** Character code of what was last printed, 0 at the start. */
  protected last = 0;
  protected packIndex = 0;
  private steps = 0;
  private depth = 0;
  private modifiers: Modifier | null = null;
  private scopes: Scope | null = null;
  private currentTemplate: Node | null = null;
  /** Within the parameters of a lambda, where T_ is one of its own. */
  private lambdaDepth = 0;
  /** Declared parameters of that lambda, as far as they are printed. */
  private lambdaHead: readonly Node[] = EMPTY;
  private lambdaHeadCount = 0;
  /** Scopes in which a reference to a template parameter was first printed. */
  private savedScopes: Map<Node, Scope | null> | null = null;

  /** The text of a tree. Throws MALFORMED when it breaks a limit or refers to nothing. */
  text(node: Node): string {
    this.out = '';
    this.last = 0;
    this.packIndex = 0;
    this.steps = 0;
    this.depth = 0;
    this.modifiers = null;
    this.scopes = null;
    this.currentTemplate = null;
    this.lambdaDepth = 0;
    this.lambdaHead = EMPTY;
    this.lambdaHeadCount = 0;
    this.savedScopes = null;
    this.print(node);
    return this.out;
  }

  protected abstract expression(node: Node): void;
  protected abstract subexpression(node: Node): void;

  protected append(text: string): void {
    const length = text.length;
    if (length === 0) return;
    this.out += text;
    this.last = text.charCodeAt(length - 1);
    if (this.out.length > MAX_OUTPUT) throw MALFORMED;
  }

  protected step(): void {
    if (++this.steps > MAX_STEPS) throw MALFORMED;
  }

  /** Items with commas between; those at the end that print nothing get none. */
  protected list(list: readonly Node[]): void {
    const { length } = list;
    if (length === 0) return;
    this.print(list[0] as Node);
    if (length === 1) return;
    let kept = this.out;
    for (let i = 1; i < length; i++) {
      this.append(', ');
      const before = this.out.length;
      this.print(list[i] as Node);
      if (this.out.length !== before) kept = this.out;
    }
    // As c++filt does, `last` stays the space of a comma taken back.
    if (kept.length !== this.out.length) this.out = kept;
  }

  /** The argument a template parameter stands for where it is printed. */
  protected argument(parameter: Node): Node {
    const { scopes } = this;
    const found = scopes === null ? undefined : (scopes.template.list as readonly Node[])[parameter.num];
    const argument = found ?? parameter.left;
    if (argument === null) throw MALFORMED;
    return argument;
  }

  /** The same, one of them where it is a pack. */
  private element(parameter: Node): Node {
    const argument = this.argument(parameter);
    if (argument.kind !== ARGUMENT_PACK || this.packIndex < 0) return argument;
    const element = (argument.list as readonly Node[])[this.packIndex];
    if (element === undefined) throw MALFORMED;
    return element;
  }

  /** The first argument pack that a pattern refers to. */
  protected findPack(node: Node | null): Node | null {
    if (node === null) return null;
    this.step();
    switch (node.kind) {
      case TEMPLATE_PARAM: {
        const argument = this.argument(node);
        return argument.kind === ARGUMENT_PACK ? argument : null;
      }
      case PACK_EXPANSION:
      case LAMBDA:
      case NAME:
      case OPERATOR:
      case BUILTIN:
      case FUNCTION_PARAM:
      case UNNAMED_TYPE:
      case DEFAULT_ARGUMENT:
      case CONSTRUCTOR:
      case DESTRUCTOR:
        return null;
      default: {
        if (++this.depth > MAX_PRINT_DEPTH) throw MALFORMED;
        let found = this.findPack(node.left) ?? this.findPack(node.right);
        if (found === null && node.list !== null) {
          for (const item of node.list) {
            found = this.findPack(item);
            if (found !== null) break;
          }
        }
        this.depth--;
        return found;
      }
    }
  }

  protected print(node: Node): void {
    if (++this.steps > MAX_STEPS || ++this.depth > MAX_PRINT_DEPTH) throw MALFORMED;
    switch (node.kind) {
      case NAME:
      case BUILTIN:
      case MODULE:
      case CONSTRUCTOR:
        this.append(node.text);
        break;
      case QUALIFIED:
        this.print(node.left as Node);
        this.append('::');
        this.print(node.right as Node);
        break;
      case LOCAL:
        this.print(node.left as Node);
        this.append('::');
        this.print(this.enterDefaultArgument(node.right as Node));
        break;
      case TYPED:
        this.typed(node);
        break;
      case TEMPLATE:
        this.template(node);
        break;
      case TEMPLATE_PARAM:
        this.templateParameter(node);
        break;
      case DESTRUCTOR:
        this.append('~');
        this.append(node.text);
        break;
      case OPERATOR: {
        const { text } = node;
        this.append('operator');
        const first = text.charCodeAt(0);
        if (first >= 97 && first <= 122) this.append(' ');
        this.append(text.charCodeAt(text.length - 1) === SPACE ? text.slice(0, -1) : text);
        break;
      }
      case VENDOR_OPERATOR:
        this.append('operator ');
        this.append(node.text);
        break;
      case LITERAL_OPERATOR:
        this.append((node.left as Node).text);
        this.append(node.text);
        break;
      case CONVERSION:
        this.append('operator ');
        this.conversion(node);
        break;
      case TAGGED:
        this.print(node.left as Node);
        this.append('[abi:');
        this.append(node.text);
        this.append(']');
        break;
      case LAMBDA:
        this.lambda(node);
        break;
      case UNNAMED_TYPE:
        this.append('{unnamed type#');
        this.append(String(node.num + 1));
        this.append('}');
        break;
      case DEFAULT_ARGUMENT:
        this.print(this.enterDefaultArgument(node));
        break;
      case STRUCTURED_BINDING:
        this.append('[');
        this.list(node.list as readonly Node[]);
        this.append(']');
        break;
      case CLONE:
        this.print(node.left as Node);
        this.append(' [clone ');
        this.append(node.text);
        this.append(']');
        break;
      case MODULE_ENTITY:
      case SUFFIXED:
        this.print(node.left as Node);
        this.append(node.text);
        break;
      case PREFIXED:
        this.append(node.text);
        this.print(node.left as Node);
        break;
      case CONSTRUCTION_VTABLE:
        this.append('construction vtable for ');
        this.print(node.left as Node);
        this.append('-in-');
        this.print(node.right as Node);
        break;
      case REFERENCE_TEMPORARY:
        this.append('reference temporary #');
        this.append(String(node.num));
        this.append(' for ');
        this.print(node.left as Node);
        break;
      case CONSTRAINED:
        this.constrained(node);
        break;

      case CONST:
      case VOLATILE:
      case RESTRICT:
        if (this.isRepeated(node)) this.print(node.left as Node);
        else this.modified(node, node.left as Node);
        break;
      case REFERENCE:
      case RVALUE_REFERENCE:
        this.reference(node);
        break;
      case POINTER:
      case COMPLEX:
      case IMAGINARY:
      case VENDOR_QUALIFIER:
      case CONST_THIS:
      case VOLATILE_THIS:
      case RESTRICT_THIS:
      case REFERENCE_THIS:
      case RVALUE_REFERENCE_THIS:
      case TRANSACTION_SAFE:
      case NOEXCEPT:
      case THROW:
      case EXPLICIT_OBJECT:
        this.modified(node, node.left as Node);
        break;
      case MEMBER_POINTER:
      case VECTOR:
        this.modified(node, node.right as Node);
        break;
      case VENDOR_TYPE:
        this.print(node.left as Node);
        break;
      case FUNCTION:
        this.functionType(node);
        break;
      case ARRAY:
        this.array(node);
        break;
      case PACK_EXPANSION:
        this.packExpansion(node);
        break;
      case DECLTYPE:
        this.append('decltype (');
        this.print(node.left as Node);
        this.append(')');
        break;
      case ARGUMENT_PACK:
        this.list(node.list as readonly Node[]);
        break;
      case HEAD_TYPE:
      case HEAD_VALUE:
      case HEAD_TEMPLATE:
      case HEAD_PACK:
        this.head(node, '');
        break;
      default:
        this.expression(node);
    }
    this.depth--;
  }

  private enterDefaultArgument(node: Node): Node {
    if (node.kind !== DEFAULT_ARGUMENT) return node;
    this.append('{default arg#');
    this.append(String(node.num + 1));
    this.append('}::');
    return node.left as Node;
  }

  private push(node: Node): Modifier {
    const modifier: Modifier = { next: this.modifiers, node, printed: false, scope: this.scopes };
    this.modifiers = modifier;
    return modifier;
  }

  private modified(node: Node, inner: Node): void {
    const modifier = this.push(node);
    this.print(inner);
    if (!modifier.printed) this.modifier(node);
    this.modifiers = modifier.next;
  }

  /** An array hands its element's qualifiers on, so that the same one can be there twice. */
  private isRepeated(node: Node): boolean {
    for (let at = this.modifiers; at !== null; at = at.next) {
      if (at.printed) continue;
      const { kind } = at.node;
      if (kind !== CONST && kind !== VOLATILE && kind !== RESTRICT) return false;
      if (kind === node.kind) return true;
    }
    return false;
  }

  private typed(node: Node): void {
    const held = this.modifiers;
    const heldScopes = this.scopes;
    this.modifiers = null;
    const pushed: Modifier[] = [];
    let name = node.left as Node;
    for (;;) {
      pushed.push(this.push(name));
      if (!isFunctionQualifier(name)) break;
      name = name.left as Node;
    }
    // The qualifiers of a function within a function stand on its own name, the right part.
    if (name.kind === LOCAL) {
      name = name.right as Node;
      if (name.kind === DEFAULT_ARGUMENT) name = name.left as Node;
      while (isFunctionQualifier(name)) {
        const local = pushed[pushed.length - 1] as Modifier;
        const below: Modifier = { next: local.next, node: name, printed: false, scope: this.scopes };
        local.next = below;
        pushed.splice(pushed.length - 1, 0, below);
        name = name.left as Node;
      }
    }
    if (name.kind === TEMPLATE) this.scopes = { next: this.scopes, template: name };
    this.print(node.right as Node);
    this.scopes = heldScopes;
    for (let i = pushed.length - 1; i >= 0; i--) {
      const modifier = pushed[i] as Modifier;
      if (modifier.printed) continue;
      this.append(' ');
      this.modifier(modifier.node);
    }
    this.modifiers = held;
  }

  private constrained(node: Node): void {
    const inner = node.left as Node;
    this.print(inner);
    this.append(' requires ');
    const held = this.scopes;
    let name = inner.kind === TYPED ? (inner.left as Node) : inner;
    while (isFunctionQualifier(name)) name = name.left as Node;
    if (name.kind === TEMPLATE) this.scopes = { next: held, template: name };
    this.print(node.right as Node);
    this.scopes = held;
  }

  private template(node: Node): void {
    const held = this.modifiers;
    const heldTemplate = this.currentTemplate;
    this.modifiers = null;
    this.currentTemplate = node;
    this.print(node.left as Node);
    this.arguments(node.list as readonly Node[]);
    this.modifiers = held;
    this.currentTemplate = heldTemplate;
  }

  private arguments(list: readonly Node[]): void {
    this.append(this.last === LESS ? ' <' : '<');
    this.list(list);
    this.append(this.last === GREATER ? ' >' : '>');
  }

  private templateParameter(node: Node): void {
    if (this.lambdaDepth > 0) {
      if (node.num < this.lambdaHeadCount) this.append(headName(this.lambdaHead[node.num] as Node, node.num));
      else {
        this.append('auto:');
        this.append(String(node.num + 1));
      }
      return;
    }
    const element = this.element(node);
    // The argument may itself be a parameter, of an outer template.
    const held = this.scopes;
    if (held !== null) this.scopes = held.next;
    node.active++;
    this.print(element);
    node.active--;
    this.scopes = held;
  }

  private conversion(node: Node): void {
    const held = this.scopes;
    if (this.currentTemplate !== null) this.scopes = { next: held, template: this.currentTemplate };
    const type = node.left as Node;
    if (type.kind !== TEMPLATE) {
      this.print(type);
      this.scopes = held;
      return;
    }
    this.print(type.left as Node);
    this.scopes = held;
    this.arguments(type.list as readonly Node[]);
  }

  private lambda(node: Node): void {
    const { lambdaHead, lambdaHeadCount } = this;
    this.append('{lambda');
    this.lambdaDepth++;
    this.lambdaHead = EMPTY;
    this.lambdaHeadCount = 0;
    if (node.right !== null) {
      const heads = node.right.list as readonly Node[];
      this.lambdaHead = heads;
      this.append('<');
      heads.forEach((head, index) => {
        if (index > 0) this.append(', ');
        this.head(head, headName(head, index));
        this.lambdaHeadCount = index + 1;
      });
      this.append('>');
    }
    this.append('(');
    this.list(node.list as readonly Node[]);
    this.lambdaDepth--;
    this.lambdaHead = lambdaHead;
    this.lambdaHeadCount = lambdaHeadCount;
    this.append(')#');
    this.append(String(node.num + 1));
    this.append('}');
  }

  /** How a lambda declares a template parameter. */
  private head(node: Node, name: string): void {
    let inner = node;
    let dots = '';
    while (inner.kind === HEAD_PACK) {
      inner = inner.left as Node;
      dots = '...';
    }
    if (inner.kind === HEAD_TYPE) {
      if (inner.left === null) this.append('typename');
      else this.print(inner.left);
    } else if (inner.kind === HEAD_VALUE) this.print(inner.left as Node);
    else {
      this.append('template<');
      this.list((inner.left as Node).list as readonly Node[]);
      this.append('> class');
    }
    this.append(dots);
    if (name !== '') {
      this.append(' ');
      this.append(name);
    }
  }

  private packExpansion(node: Node): void {
    const pattern = node.left as Node;
    const pack = this.lambdaDepth > 0 ? null : this.findPack(pattern);
    if (pack === null) {
      // Only function parameters are expanded, whose number is not told.
      this.subexpression(pattern);
      this.append('...');
      return;
    }
    const held = this.packIndex;
    const { length } = pack.list as readonly Node[];
    for (let i = 0; i < length; i++) {
      if (i > 0) this.append(', ');
      this.packIndex = i;
      this.print(pattern);
    }
    this.packIndex = held;
  }

  /** References to references collapse, also where the inner one is a template argument. */
  private reference(node: Node): void {
    const heldScopes = this.scopes;
    let shown = node;
    let inner: Node | null = null;
    let target = node.left as Node;
    node.active++;
    if (this.lambdaDepth === 0 && target.kind === TEMPLATE_PARAM) {
      this.savedScopes ??= new Map();
      const saved = this.savedScopes.get(target);
      if (saved === undefined) this.savedScopes.set(target, this.scopes);
      else if (target.active === 0 && node.active === 1) this.scopes = saved;
      target = this.element(target);
    }
    if (target.kind === REFERENCE || target.kind === node.kind) shown = target;
    else if (target.kind === RVALUE_REFERENCE) inner = target.left;
    this.modified(shown, inner ?? (shown.left as Node));
    node.active--;
    this.scopes = heldScopes;
  }

  private functionType(node: Node): void {
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
  private declarator(node: Node, modifiers: Modifier | null): void {
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

  private array(node: Node): void {
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
  private bounds(node: Node, modifiers: Modifier | null): void {
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
  private modifierList(modifiers: Modifier | null, suffix: boolean): void {
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

  private modifier(node: Node): void {
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

/** c++filt's made-up name for the template parameter of a lambda. */
function headName(head: Node, index: number): string {
  let inner = head;
  while (inner.kind === HEAD_PACK) inner = inner.left as Node;
  const letter = inner.kind === HEAD_TYPE ? '$T' : inner.kind === HEAD_VALUE ? '$N' : '$TT';
  return letter + index;
}

/** Names and types as text, spelled as GNU c++filt spells them. */

import { DeclaratorPrinter } from './declarators.ts';
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
import { EMPTY, MAX_PRINT_DEPTH, MAX_STEPS, type Modifier } from './output.ts';
import { MALFORMED } from './reader.ts';

const LESS = 0x3c;
const GREATER = 0x3e;
const SPACE = 0x20;

export abstract class TypePrinter extends DeclaratorPrinter {
  protected abstract expression(node: Node): void;

  protected abstract subexpression(node: Node): void;

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
    const { out, last, depth, scopes, modifiers } = this;
    const [own] = node.list ?? [];
    try {
      if (own === undefined) this.levels = levelsOf(inner);
      else this.scopes = { next: scopes, template: own };
      this.append(' requires ');
      this.print(node.right as Node);
      this.scopes = scopes;
    } catch (error) {
      // A constraint whose parameters cannot be told: the name is whole without it.
      if (error !== MALFORMED || this.steps > MAX_STEPS) throw error;
      this.out = out;
      this.last = last;
      this.depth = depth;
      this.scopes = scopes;
      this.modifiers = modifiers;
    }
    this.levels = null;
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
    const { scopes, levels } = this;
    if (scopes !== null) this.scopes = scopes.next;
    this.levels = null;
    node.active++;
    this.print(element);
    node.active--;
    this.levels = levels;
    this.scopes = scopes;
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
}

/** The templates around a constrained function, outermost first, and it. */
function levelsOf(constrained: Node): Node[] {
  const levels: Node[] = [];
  let name: Node | null = constrained;
  while (name?.kind === CONSTRAINED || name?.kind === TYPED) name = name.left;
  while (name !== null) {
    if (name.kind === TEMPLATE) levels.unshift(name);
    name = name.kind === LOCAL ? name.right : name.left;
  }
  return levels;
}

/** c++filt's made-up name for the template parameter of a lambda. */
function headName(head: Node, index: number): string {
  let inner = head;
  while (inner.kind === HEAD_PACK) inner = inner.left as Node;
  const letter = inner.kind === HEAD_TYPE ? '$T' : inner.kind === HEAD_VALUE ? '$N' : '$TT';
  return letter + index;
}

/**
 * The text being made of a tree, with the limits on its length and on the work for it,
 * and what template parameters stand for at the place being printed.
 */
import {
  ARGUMENT_PACK,
  BUILTIN,
  CONSTRUCTOR,
  DEFAULT_ARGUMENT,
  DESTRUCTOR,
  FUNCTION_PARAM,
  LAMBDA,
  NAME,
  type Node,
  OPERATOR,
  PACK_EXPANSION,
  TEMPLATE_PARAM,
  UNNAMED_TYPE,
} from './node.ts';
import { MALFORMED } from './reader.ts';

/** Most characters of a demangled name; the longest in workerd has 19,134. */
export const MAX_OUTPUT: number = 1 << 18;
/** Most nodes visited for one name. */
export const MAX_STEPS: number = 1 << 19;
export const MAX_PRINT_DEPTH = 1200;

/** The templates around the place being printed, innermost first. */
export interface Scope {
  readonly next: Scope | null;
  readonly template: Node;
}

/** A type constructor handed inward; `printed` once a type has found its place. */
export interface Modifier {
  next: Modifier | null;
  node: Node;
  printed: boolean;
  scope: Scope | null;
}

export const EMPTY: readonly Node[] = [];

export abstract class Output {
  protected out = '';
  /** Character code of what was last printed, 0 at the start. */
  protected last = 0;
  protected packIndex = 0;
  protected steps = 0;
  protected depth = 0;
  protected modifiers: Modifier | null = null;
  protected scopes: Scope | null = null;
  protected currentTemplate: Node | null = null;
  /** Within the parameters of a lambda, where T_ is one of its own. */
  protected lambdaDepth = 0;
  /** Declared parameters of that lambda, as far as they are printed. */
  protected lambdaHead: readonly Node[] = EMPTY;
  protected lambdaHeadCount = 0;
  /** Within a constraint: the templates around the function, outermost first, and it. */
  protected levels: readonly Node[] | null = null;
  /** Scopes in which a reference to a template parameter was first printed. */
  protected savedScopes: Map<Node, Scope | null> | null = null;

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
    this.levels = null;
    this.savedScopes = null;
    this.print(node);
    // Looking into it makes one string of the pieces, a fraction of their size in memory.
    this.out.charCodeAt(0);
    return this.out;
  }

  protected abstract print(node: Node): void;

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
    if (this.levels !== null) {
      const level = this.levels[parameter.text === '' ? 0 : Number(parameter.text)];
      const argument = level?.list?.[parameter.num];
      if (argument === undefined) throw MALFORMED;
      return argument;
    }
    const found = scopes === null ? undefined : (scopes.template.list as readonly Node[])[parameter.num];
    const argument = found ?? parameter.left;
    if (argument === null) throw MALFORMED;
    return argument;
  }

  /** The same, one of them where it is a pack. */
  protected element(parameter: Node): Node {
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
}

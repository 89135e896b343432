/** Encodings and names (Itanium C++ ABI 5.1.2 to 5.1.4, 5.1.7). */
import { ExpressionReader } from './expressions.ts';
import {
  CAST,
  CLONE,
  CONSTRAINED,
  CONSTRUCTION_VTABLE,
  CONSTRUCTOR,
  CONVERSION,
  DEFAULT_ARGUMENT,
  DESTRUCTOR,
  EXPLICIT_OBJECT,
  FUNCTION,
  isFunctionQualifier,
  LAMBDA,
  LITERAL_OPERATOR,
  LOCAL,
  listed,
  MODULE,
  MODULE_ENTITY,
  Node,
  named,
  numbered,
  OPERATOR,
  PREFIXED,
  pair,
  QUALIFIED,
  REFERENCE_TEMPORARY,
  REFERENCE_THIS,
  RVALUE_REFERENCE_THIS,
  STRUCTURED_BINDING,
  SUFFIXED,
  TAGGED,
  TEMPLATE,
  TEMPLATE_HEAD,
  TYPED,
  texted,
  UNNAMED_TYPE,
  VENDOR_OPERATOR,
  wrap,
} from './node.ts';
import { OPERATOR_INDEX, OPERATORS, type Operator, operatorIndex } from './tables.ts';

const LITERAL_OPERATOR_INDEX = operatorIndex('li');
const STD: Node = named('std');

/** A function's return type is mangled only for templates, and not where it follows from the name. */
function tellsReturnType(name: Node): boolean {
  let node: Node = name;
  for (;;) {
    if (node.kind === TEMPLATE) return !isConstructorOrConversion(node.left as Node);
    if (node.kind === LOCAL) node = node.right as Node;
    else if (isFunctionQualifier(node)) node = node.left as Node;
    else return false;
  }
}

function isConstructorOrConversion(name: Node): boolean {
  let node: Node = name;
  while (node.kind === QUALIFIED || node.kind === LOCAL || node.kind === TAGGED) {
    node = (node.kind === TAGGED ? node.left : node.right) as Node;
  }
  return node.kind === CONSTRUCTOR || node.kind === DESTRUCTOR || node.kind === CONVERSION;
}

export class NameReader extends ExpressionReader {
  /** The whole of a symbol behind `_Z`, with what compilers hang on the end. */
  symbol(): Node {
    let node = this.encoding(true);
    // GCC's clones (.part.0, .cold) and LLVM's (.llvm.123), one node for each.
    while (this.peek() === 0x2e) node = texted(CLONE, node, this.cloneSuffix());
    if (this.peek() === 0x40) {
      // A symbol version of .dynsym.
      node = texted(SUFFIXED, node, this.text.slice(this.pos, this.end));
      this.pos = this.end;
    }
    if (this.pos !== this.end) this.fail();
    return node;
  }

  private cloneSuffix(): string {
    const start = this.pos;
    let at = start;
    const code = this.bytes[at + 1] as number;
    const isWord = (c: number): boolean => (c >= 97 && c <= 122) || (c >= 48 && c <= 57) || c === 0x5f;
    const isDigit = (c: number): boolean => c >= 48 && c <= 57;
    if (isWord(code)) {
      at += 2;
      while (isWord(this.bytes[at] as number)) at++;
      while (this.bytes[at] === 0x2e && isDigit(this.bytes[at + 1] as number)) {
        at += 2;
        while (isDigit(this.bytes[at] as number)) at++;
      }
    } else at = this.end;
    this.pos = at;
    return this.text.slice(start, at);
  }

  encoding(top = false): Node {
    this.enter();
    const { scope, forward, inConversion, inExpression, ownName } = this;
    this.inExpression = false;
    this.inConversion = false;
    this.forward = [];
    const node = this.readEncoding(top);
    this.scope = scope;
    this.forward = forward;
    this.inConversion = inConversion;
    this.inExpression = inExpression;
    this.ownName = ownName;
    this.depth--;
    return node;
  }

  private readEncoding(top: boolean): Node {
    const code = this.peek();
    if (code === 0x54) return this.special();
    if (code === 0x47) return this.guarded();
    this.ownName = true;
    const name = this.name();
    this.ownName = false;
    for (const parameter of this.forward) parameter.left = this.scope?.[parameter.num] ?? null;
    this.forward = [];
    const next = this.peek();
    let node = name;
    if (next !== 0 && next !== 0x45 && next !== 0x2e && next !== 0x40 && next !== 0x51) {
      const type = this.signature(tellsReturnType(name));
      // Told of a nested function, the return type would be taken for that of what it holds.
      if (!top && name.kind === LOCAL) type.left = null;
      node = pair(TYPED, name, type);
    }
    const template = ownTemplate(name);
    if (template?.right) node = new Node(CONSTRAINED, node, template.right, '', 0, [template]);
    return this.peek() === 0x51 ? pair(CONSTRAINED, node, this.constraint()) : node;
  }

  name(): Node {
    this.enter();
    const node = this.readName();
    this.depth--;
    return node;
  }

  private readName(): Node {
    const code = this.peek();
    let node: Node;
    let candidate = true;
    switch (code) {
      case 0x4e: // N
        return this.nested();
      case 0x5a: // Z
        return this.local();
      case 0x53: {
        // S
        if (this.peekNext() === 0x74) {
          this.pos += 2;
          node = pair(QUALIFIED, STD, this.moduled());
        } else {
          node = this.abbreviation(false);
          if (node.kind === MODULE) node = this.moduled(node);
          else candidate = false;
        }
        break;
      }
      default:
        node = this.moduled();
    }
    if (this.peek() !== 0x49) return node;
    if (candidate) this.remember(node);
    return this.templated(node);
  }

  abbreviation(prefix: boolean): Node {
    const letter = this.peekNext();
    const node = this.substitution(prefix);
    if (letter < 97 || this.peek() !== 0x42) return node;
    return this.remember(this.tags(node));
  }

  /** N [H] [cv] [ref] <prefix> E. */
  private nested(): Node {
    this.expect(0x4e);
    const explicit = this.take(0x48);
    const qualifiers = this.memberQualifiers();
    const ref = this.peek();
    if (ref === 0x52 || ref === 0x4f) this.pos++;
    let node = this.prefix();
    this.expect(0x45);
    if (qualifiers !== null) {
      for (let i = qualifiers.length - 1; i >= 0; i--) node = wrap(qualifiers[i] as number, node);
    }
    if (ref === 0x52) node = wrap(REFERENCE_THIS, node);
    else if (ref === 0x4f) node = wrap(RVALUE_REFERENCE_THIS, node);
    return explicit ? wrap(EXPLICIT_OBJECT, node) : node;
  }

  /** A name with the template arguments that follow. */
  private templated(name: Node): Node {
    const node = listed(TEMPLATE, name, this.templateArguments());
    node.right = this.demanded;
    return node;
  }

  private prefix(): Node {
    let node: Node | null = null;
    for (;;) {
      const code = this.peek();
      let part: Node;
      let candidate = true;
      switch (code) {
        case 0x45: // E
          return node ?? this.fail();
        case 0x49: // I
          if (node === null) return this.fail();
          node = this.templated(node);
          if (this.peek() !== 0x45) this.remember(node);
          continue;
        case 0x53: // S
          if (this.peekNext() === 0x74) {
            this.pos += 2;
            part = STD;
          } else part = this.abbreviation(true);
          candidate = false;
          if (part.kind === MODULE) {
            part = this.moduled(part);
            candidate = true;
          }
          break;
        case 0x54: // T
          part = this.templateParameter();
          break;
        case 0x44: {
          // D
          const next = this.peekNext();
          part = next === 0x74 || next === 0x54 ? this.decltype() : this.unqualified();
          break;
        }
        case 0x4d: // M: the lambda that follows initialises this member
          if (node === null) return this.fail();
          this.pos++;
          continue;
        default:
          part = this.moduled();
      }
      node = node === null ? part : pair(QUALIFIED, node, part);
      if (candidate && this.peek() !== 0x45) this.remember(node);
    }
  }

  /** Z <encoding> E s, Z <encoding> E [d <number>] <name>. */
  private local(): Node {
    this.expect(0x5a);
    let around = this.encoding();
    this.expect(0x45);
    // What the function around requires says nothing of what it holds.
    while (around.kind === CONSTRAINED) around = around.left as Node;
    if (around.kind === TYPED && (around.right as Node).kind === FUNCTION) (around.right as Node).left = null;
    if (this.take(0x73)) {
      this.discriminator();
      return pair(LOCAL, around, named('string literal'));
    }
    let argument = -1;
    if (this.take(0x64)) argument = this.compactNumber();
    let name = this.name();
    if (name.kind !== LAMBDA && name.kind !== UNNAMED_TYPE) this.discriminator();
    if (argument >= 0) name = numbered(DEFAULT_ARGUMENT, name, argument);
    return pair(LOCAL, around, name);
  }

  /** _ <digit>, __ <number> _. */
  private discriminator(): void {
    if (this.peek() !== 0x5f) return;
    const next = this.peekNext();
    // `_` alone ends a reference temporary.
    if (next !== 0x5f && (next < 48 || next > 57)) return;
    this.pos++;
    const long = this.take(0x5f);
    if (!this.isDigit()) this.fail();
    const value = this.number();
    if (long && value >= 10) this.expect(0x5f);
  }

  /** W [P] <source-name>, and then the name that the module owns. */
  private moduled(owner: Node | null = null): Node {
    let module = owner;
    while (this.peek() === 0x57) {
      this.pos++;
      const partition = this.take(0x50);
      const own = this.identifier();
      const text: string =
        module === null ? (partition ? `:${own}` : own) : module.text + (partition ? ':' : '.') + own;
      module = this.remember(texted(MODULE, null, text));
    }
    return module === null ? this.unqualified() : this.unqualified(module);
  }

  unqualified(module: Node | null = null): Node {
    this.take(0x46); // F: a friend told with its class
    const code = this.peek();
    let node: Node;
    if (code >= 48 && code <= 57) node = this.sourceName();
    else if (code >= 97 && code <= 122) {
      if (code === 0x6f && this.peekNext() === 0x6e) this.pos += 2;
      node = this.operatorName();
      if (node.kind === OPERATOR && node.num === LITERAL_OPERATOR_INDEX) {
        node = texted(LITERAL_OPERATOR, node, this.identifier());
      }
    } else {
      switch (code) {
        case 0x43: // C
          node = this.constructorName();
          break;
        case 0x44: // D
          node = this.peekNext() === 0x43 ? this.binding() : this.destructorName();
          break;
        case 0x4c: // L
          this.pos++;
          node = this.unqualified();
          this.discriminator();
          break;
        case 0x55: // U
          node = this.unnamed();
          break;
        default:
          return this.fail();
      }
    }
    if (module !== null) node = texted(MODULE_ENTITY, node, `@${module.text}`);
    return this.peek() === 0x42 ? this.tags(node) : node;
  }

  private tags(name: Node): Node {
    let node = name;
    const { lastName } = this;
    while (this.take(0x42)) node = texted(TAGGED, node, this.identifier());
    this.lastName = lastName;
    return node;
  }

  private constructorName(): Node {
    this.expect(0x43);
    const inheriting = this.take(0x49);
    const variant = this.peek();
    if (variant < 0x31 || variant > 0x35) return this.fail();
    this.pos++;
    if (inheriting) this.type();
    if (this.lastName === '') return this.fail();
    return texted(CONSTRUCTOR, null, this.lastName);
  }

  private destructorName(): Node {
    this.expect(0x44);
    const variant = this.peek();
    if (variant < 0x30 || variant > 0x35 || variant === 0x33) return this.fail();
    this.pos++;
    if (this.lastName === '') return this.fail();
    return texted(DESTRUCTOR, null, this.lastName);
  }

  /** DC <source-name>+ E. */
  private binding(): Node {
    this.pos += 2;
    const list: Node[] = [];
    while (!this.take(0x45)) list.push(this.sourceName());
    return listed(STRUCTURED_BINDING, null, list);
  }

  /** Ul <head>* <parameters> E [n] _, Ut [n] _. */
  private unnamed(): Node {
    this.expect(0x55);
    // As in c++filt, the last class named in a lambda's parameters stays the last one named.
    const { ownName } = this;
    this.ownName = false;
    let node: Node;
    if (this.take(0x74)) {
      node = numbered(UNNAMED_TYPE, null, this.compactNumber());
      this.remember(node);
    } else {
      this.expect(0x6c);
      const heads: Node[] = [];
      while (this.isHead()) heads.push(this.head());
      if (this.peek() === 0x51) this.constraint();
      const parameters = this.parameters();
      if (this.peek() === 0x51) this.constraint();
      this.expect(0x45);
      const head = heads.length === 0 ? null : listed(TEMPLATE_HEAD, null, heads);
      node = new Node(LAMBDA, null, head, '', this.compactNumber(), parameters);
    }
    this.ownName = ownName;
    return node;
  }

  operatorName(): Node {
    const first = this.peek();
    const second = this.peekNext();
    this.pos += 2;
    if (first === 0x76 && second >= 48 && second <= 57) {
      return new Node(VENDOR_OPERATOR, null, null, this.identifier(), second - 48, null);
    }
    if (first === 0x63 && second === 0x76) {
      const { inConversion, ownName } = this;
      this.inConversion = !this.inExpression;
      const kind = this.inExpression ? CAST : CONVERSION;
      const type = this.type();
      this.inConversion = inConversion;
      this.ownName = ownName;
      return wrap(kind, type);
    }
    const index = first < 128 && second < 128 ? (OPERATOR_INDEX[(first << 7) | second] as number) : -1;
    if (index < 0) return this.fail();
    return new Node(OPERATOR, null, null, (OPERATORS[index] as Operator).text, index, null);
  }

  /** T…: virtual tables, type information, thunks, thread-local storage. */
  private special(): Node {
    this.expect(0x54);
    const code = this.peek();
    this.pos++;
    switch (code) {
      case 0x56:
        return texted(PREFIXED, this.type(), 'vtable for ');
      case 0x54:
        return texted(PREFIXED, this.type(), 'VTT for ');
      case 0x49:
        return texted(PREFIXED, this.type(), 'typeinfo for ');
      case 0x53:
        return texted(PREFIXED, this.type(), 'typeinfo name for ');
      case 0x46:
        return texted(PREFIXED, this.type(), 'typeinfo fn for ');
      case 0x4a:
        return texted(PREFIXED, this.type(), 'java Class for ');
      case 0x68:
        this.callOffset(0x68);
        return texted(PREFIXED, this.encoding(), 'non-virtual thunk to ');
      case 0x76:
        this.callOffset(0x76);
        return texted(PREFIXED, this.encoding(), 'virtual thunk to ');
      case 0x63:
        this.callOffset(-1);
        this.callOffset(-1);
        return texted(PREFIXED, this.encoding(), 'covariant return thunk to ');
      case 0x43: {
        const derived = this.type();
        this.number();
        this.expect(0x5f);
        return pair(CONSTRUCTION_VTABLE, this.type(), derived);
      }
      case 0x48:
        return texted(PREFIXED, this.name(), 'TLS init function for ');
      case 0x57:
        return texted(PREFIXED, this.name(), 'TLS wrapper function for ');
      case 0x41:
        return texted(PREFIXED, this.templateArgument(), 'template parameter object for ');
      default:
        return this.fail();
    }
  }

  private callOffset(told: number): void {
    let code = told;
    if (code < 0) {
      code = this.peek();
      this.pos++;
    }
    if (code !== 0x68 && code !== 0x76) this.fail();
    this.signedNumber();
    this.expect(0x5f);
    if (code === 0x76) {
      this.signedNumber();
      this.expect(0x5f);
    }
  }

  /** G…: guards, temporaries, aliases, transactions, modules. */
  private guarded(): Node {
    this.expect(0x47);
    const code = this.peek();
    this.pos++;
    switch (code) {
      case 0x56:
        return texted(PREFIXED, this.name(), 'guard variable for ');
      case 0x52: {
        const name = this.name();
        return numbered(REFERENCE_TEMPORARY, name, this.peek() === 0 ? 0 : this.sequence());
      }
      case 0x41:
        return texted(PREFIXED, this.encoding(), 'hidden alias for ');
      case 0x49: {
        let text = '';
        while (this.take(0x57)) text += (this.take(0x50) ? ':' : text === '' ? '' : '.') + this.identifier();
        if (text === '') this.fail();
        return texted(PREFIXED, named(text), 'initializer for module ');
      }
      case 0x54: {
        const kind = this.peek();
        this.pos++;
        const what = kind === 0x6e ? 'non-transaction clone for ' : 'transaction clone for ';
        return texted(PREFIXED, this.encoding(), what);
      }
      default:
        return this.fail();
    }
  }
}

/** The template that a function is an instance of, whose parameters its constraint means. */
function ownTemplate(name: Node): Node | null {
  let node = name;
  while (node.left !== null && isFunctionQualifier(node)) node = node.left;
  return node.kind === TEMPLATE ? node : null;
}

/**
 * What a mangled C++ name says, as a tree: one class for every kind of node, so that
 * the engine sees one shape. Kinds follow the productions of the Itanium C++ ABI.
 */

/** Plain text: an identifier, `std`, an expanded standard abbreviation. */
export const NAME = 0;
/** left::right. */
export const QUALIFIED = 1;
/** left (a function)::right (what is declared in it). */
export const LOCAL = 2;
/** left: a name, right: its FUNCTION type. */
export const TYPED = 3;
/** left: a name, list: its arguments, right: what these require, or null. */
export const TEMPLATE = 4;
/** num: index; text: level of templates, '' for the outermost; left: the argument, as far as reading could tell. */
export const TEMPLATE_PARAM = 5;
/** text: the class's own name. */
export const CONSTRUCTOR = 6;
export const DESTRUCTOR = 7;
/** text: as printed after `operator`; num: index in the operator table. */
export const OPERATOR = 8;
/** text: the vendor's name for it. */
export const VENDOR_OPERATOR = 9;
/** left: the type converted to. */
export const CONVERSION = 10;
/** left: a name, text: its ABI tag. */
export const TAGGED = 11;
/** list: parameters; num: 0-based; right: a TEMPLATE_HEAD or null. */
export const LAMBDA = 12;
/** num: 0-based. */
export const UNNAMED_TYPE = 13;
/** left: what stands in the default argument number `num` (0-based, from the right). */
export const DEFAULT_ARGUMENT = 14;
/** list: names. */
export const STRUCTURED_BINDING = 15;
/** left: a name, text: the suffix with its dot. */
export const CLONE = 16;
/** left: a name, text: `@module` to print after it. */
export const MODULE_ENTITY = 17;
/** text, then left. */
export const PREFIXED = 18;
/** left-in-right. */
export const CONSTRUCTION_VTABLE = 19;
/** num, left. */
export const REFERENCE_TEMPORARY = 20;
/** left: an operator, text: the identifier of a literal operator. */
export const LITERAL_OPERATOR = 21;
/** left: encoding, right: the expression it requires; list: the template whose parameters that means, if it is not the whole encoding. */
export const CONSTRAINED = 22;
/** left, then text. */
export const SUFFIXED = 23;
/** text: the name of a C++20 module; only stands in the table of substitutions. */
export const MODULE = 24;

/** Qualifiers of a member function, printed after its parameters. */
export const CONST_THIS = 30;
export const VOLATILE_THIS = 31;
export const RESTRICT_THIS = 32;
export const REFERENCE_THIS = 33;
export const RVALUE_REFERENCE_THIS = 34;
export const TRANSACTION_SAFE = 35;
/** right: the operand or null. */
export const NOEXCEPT = 36;
/** list: types. */
export const THROW = 37;
/** The member function declares its object as a parameter (`this T`). */
export const EXPLICIT_OBJECT = 38;
export const FIRST_FUNCTION_QUALIFIER: number = CONST_THIS;
export const LAST_FUNCTION_QUALIFIER: number = EXPLICIT_OBJECT;

/** num: a LITERAL_* style. */
export const BUILTIN = 50;
export const VENDOR_TYPE = 51;
export const CONST = 52;
export const VOLATILE = 53;
export const RESTRICT = 54;
/** left: type, right: the qualifier's name. */
export const VENDOR_QUALIFIER = 55;
export const POINTER = 56;
export const REFERENCE = 57;
export const RVALUE_REFERENCE = 58;
export const COMPLEX = 59;
export const IMAGINARY = 60;
/** left: return type or null; list: parameters. */
export const FUNCTION = 61;
/** left: bound or null; right: element. */
export const ARRAY = 62;
/** left: class; right: member type. */
export const MEMBER_POINTER = 63;
/** left: length; right: element. */
export const VECTOR = 64;
/** left: pattern. */
export const PACK_EXPANSION = 65;
/** left: expression. */
export const DECLTYPE = 66;
/** list: arguments that a template parameter pack stands for. */
export const ARGUMENT_PACK = 67;
/** list: HEAD_* parameters of a lambda. */
export const TEMPLATE_HEAD = 68;
export const HEAD_TYPE = 69;
/** left: type. */
export const HEAD_VALUE = 70;
/** left: TEMPLATE_HEAD. */
export const HEAD_TEMPLATE = 71;
/** left: one of the three above. */
export const HEAD_PACK = 72;

/** left: an operator, right: operand; num 1: the operator stands behind. */
export const UNARY = 80;
/** left: an operator, list: two operands. */
export const BINARY = 81;
/** left: an operator, list: three operands. */
export const TRINARY = 82;
export const NULLARY = 83;
/** left: type, text: value, num 1: negative. */
export const LITERAL = 84;
/** left: type or null, list: elements. */
export const INITIALIZER_LIST = 85;
/** num: 0 is `this`, else counted from 1. */
export const FUNCTION_PARAM = 86;
/** list: arguments of a call and the like. */
export const EXPRESSION_LIST = 87;
/** left: type. */
export const CAST = 88;
/** list: placement; right: type; left: initializer or null; text: `[]` for an array. */
export const NEW = 89;
/** left: parameters or null; list: REQUIREMENTs. */
export const REQUIRES = 90;
/** text: keyword; left: what is required; num 1: noexcept; right: concept of its type or null. */
export const REQUIREMENT = 91;
/** left: the object, right: type of the part, num: its offset in bytes. */
export const SUBOBJECT = 92;

export class Node {
  readonly kind: number;
  left: Node | null;
  right: Node | null;
  readonly text: string;
  readonly num: number;
  readonly list: readonly Node[] | null;
  /** How often this node is being printed right now; see Printer. */
  active = 0;

  constructor(
    kind: number,
    left: Node | null,
    right: Node | null,
    text: string,
    num: number,
    list: readonly Node[] | null,
  ) {
    this.kind = kind;
    this.left = left;
    this.right = right;
    this.text = text;
    this.num = num;
    this.list = list;
  }
}

export const named = (text: string): Node => new Node(NAME, null, null, text, 0, null);
export const wrap = (kind: number, left: Node | null): Node => new Node(kind, left, null, '', 0, null);
export const pair = (kind: number, left: Node | null, right: Node | null): Node =>
  new Node(kind, left, right, '', 0, null);
export const listed = (kind: number, left: Node | null, list: readonly Node[]): Node =>
  new Node(kind, left, null, '', 0, list);
export const numbered = (kind: number, left: Node | null, num: number): Node =>
  new Node(kind, left, null, '', num, null);
export const texted = (kind: number, left: Node | null, text: string): Node =>
  new Node(kind, left, null, text, 0, null);

export const isFunctionQualifier = (node: Node): boolean =>
  node.kind >= FIRST_FUNCTION_QUALIFIER && node.kind <= LAST_FUNCTION_QUALIFIER;

/**
 * The syntax tree: what the user wrote, nothing inferred. Nodes are plain, frozen
 * after parsing, and identified by object identity, so that later passes keep what
 * they find out in side tables (Map<Node, …>). Spans are offsets into the source.
 */
import type { Span } from '../../diag/source.ts';

interface Base {
  readonly span: Span;
}

/** A type as written; resolved by sema. */
export interface TypeExpr extends Base {
  readonly node: 'type';
  /**
   * `struct`, `union`, `enum`: the tag follows in `name`; undefined: a plain name such
   * as `uint32`, `unsigned long` (words joined by one space), `string`, `pid_t`.
   */
  readonly keyword: 'struct' | 'union' | 'enum' | undefined;
  readonly name: string;
  /** Number of `*` after the name. */
  readonly pointers: number;
  /** `[4][2]` → [4, 2]; for string[N], buffer[N] → [N]; null for `[]`. */
  readonly dimensions: readonly (number | null)[];
  /** `typeof(expr)`: then name is 'typeof'. */
  readonly typeOf?: Expr | TypeExpr;
}

// ------------------------------------------------------------------ expressions

export interface IntegerLiteral extends Base {
  readonly node: 'integer';
  readonly value: bigint;
  /** True for U/UL/ULL suffixes. */
  readonly unsigned: boolean;
  /** As written, for printing: `0x10`, `1e6`, `5ms`. */
  readonly text: string;
}
export interface StringLiteral extends Base {
  readonly node: 'string';
  /**
   * Escapes resolved, adjacent literals joined. A byte that is no part of valid UTF-8
   * (`"\\xff"`) is the lone surrogate U+DC00 + byte: stringBytes of literals.ts gives the bytes.
   */
  readonly value: string;
}
export interface BoolLiteral extends Base {
  readonly node: 'bool';
  readonly value: boolean;
}
/** `$1` (index 1…) and `$#` (index 'count'). */
export interface PositionalParameter extends Base {
  readonly node: 'positional';
  readonly index: number | 'count';
}
/** A bare word: a builtin variable (`pid`), an enumerator, a macro constant (`AF_INET`). */
export interface Identifier extends Base {
  readonly node: 'identifier';
  readonly name: string;
}
/** `$name`, without the `$`. */
export interface Variable extends Base {
  readonly node: 'variable';
  readonly name: string;
}
/** `@name` or `@name[key, …]`; name without the `@`, '' for the anonymous map `@`. */
export interface MapAccess extends Base {
  readonly node: 'map';
  readonly name: string;
  /** Empty when no brackets are there. */
  readonly keys: readonly Expr[];
  readonly nameSpan: Span;
}
export interface Call extends Base {
  readonly node: 'call';
  readonly name: string;
  readonly nameSpan: Span;
  /** Type arguments occur for sizeof(struct x), offsetof(struct x, f), typeof … */
  readonly args: readonly (Expr | TypeExpr)[];
}
export type UnaryOperator = '!' | '~' | '-' | '+' | '*' | '&' | '++pre' | '--pre' | 'post++' | 'post--';
export interface Unary extends Base {
  readonly node: 'unary';
  readonly operator: UnaryOperator;
  readonly operand: Expr;
}
export type BinaryOperator =
  | '+'
  | '-'
  | '*'
  | '/'
  | '%'
  | '<<'
  | '>>'
  | '&'
  | '|'
  | '^'
  | '=='
  | '!='
  | '<'
  | '<='
  | '>'
  | '>='
  | '&&'
  | '||';
export interface Binary extends Base {
  readonly node: 'binary';
  readonly operator: BinaryOperator;
  readonly left: Expr;
  readonly right: Expr;
}
/** `a ? b : c`; `a ?: c` has no middle. */
export interface Ternary extends Base {
  readonly node: 'ternary';
  readonly condition: Expr;
  readonly then: Expr | undefined;
  readonly otherwise: Expr;
}
/** `e.name`, `e->name`, and tuple elements `e.0` (then name is the digits). */
export interface FieldAccess extends Base {
  readonly node: 'field';
  readonly object: Expr;
  readonly name: string;
  readonly nameSpan: Span;
  readonly arrow: boolean;
}
export interface Index extends Base {
  readonly node: 'index';
  readonly object: Expr;
  readonly index: Expr;
}
export interface Cast extends Base {
  readonly node: 'cast';
  readonly type: TypeExpr;
  readonly operand: Expr;
}
export interface TupleExpr extends Base {
  readonly node: 'tuple';
  readonly elements: readonly Expr[];
}
/** `(name = value, …)` records. */
export interface RecordExpr extends Base {
  readonly node: 'record';
  readonly fields: readonly { readonly name: string; readonly value: Expr }[];
}
/** `{ statements; expression }`. */
export interface BlockExpr extends Base {
  readonly node: 'block_expr';
  readonly body: readonly Statement[];
  readonly value: Expr;
}

export type Expr =
  | IntegerLiteral
  | StringLiteral
  | BoolLiteral
  | PositionalParameter
  | Identifier
  | Variable
  | MapAccess
  | Call
  | Unary
  | Binary
  | Ternary
  | FieldAccess
  | Index
  | Cast
  | TupleExpr
  | RecordExpr
  | BlockExpr;

// ------------------------------------------------------------------ statements

export interface ExprStatement extends Base {
  readonly node: 'expr';
  readonly expr: Expr;
}
export type AssignOperator = '=' | '+=' | '-=' | '*=' | '/=' | '%=' | '<<=' | '>>=' | '&=' | '|=' | '^=';
export interface Assign extends Base {
  readonly node: 'assign';
  readonly operator: AssignOperator;
  /** `_ = expr` has a discard target. */
  readonly target: Variable | MapAccess | FieldAccess | Index | { readonly node: 'discard'; readonly span: Span };
  readonly value: Expr;
}
/** `let $x`, `let $x: type`, `let $x = value`, `let $x: type = value`. */
export interface Let extends Base {
  readonly node: 'let';
  readonly variable: Variable;
  readonly type: TypeExpr | undefined;
  readonly value: Expr | undefined;
}
export interface If extends Base {
  readonly node: 'if';
  readonly condition: Expr;
  readonly then: readonly Statement[];
  /** An else-if is an else whose only statement is an If. */
  readonly otherwise: readonly Statement[] | undefined;
}
export interface While extends Base {
  readonly node: 'while';
  readonly condition: Expr;
  readonly body: readonly Statement[];
}
export interface Unroll extends Base {
  readonly node: 'unroll';
  readonly count: Expr;
  readonly body: readonly Statement[];
}
/** `for ($kv : @map) { … }` */
export interface ForMap extends Base {
  readonly node: 'for_map';
  readonly variable: Variable;
  readonly map: MapAccess;
  readonly body: readonly Statement[];
}
/** `for ($i : start..end) { … }` */
export interface ForRange extends Base {
  readonly node: 'for_range';
  readonly variable: Variable;
  readonly start: Expr;
  readonly end: Expr;
  readonly body: readonly Statement[];
}
/** `for ($x : args.items) { … }`: over a container of the program. */
export interface ForElements extends Base {
  readonly node: 'for_elements';
  readonly variable: Variable;
  readonly container: Expr;
  readonly body: readonly Statement[];
}
export interface Jump extends Base {
  readonly node: 'break' | 'continue';
}
export interface Return extends Base {
  readonly node: 'return';
  readonly value: Expr | undefined;
}
export interface Block extends Base {
  readonly node: 'block';
  readonly body: readonly Statement[];
}
export type Statement =
  | ExprStatement
  | Assign
  | Let
  | If
  | While
  | Unroll
  | ForMap
  | ForRange
  | ForElements
  | Jump
  | Return
  | Block;

// ------------------------------------------------------------------ top level

/**
 * One attach point as written. `text` has `$1` substituted by nothing yet: positional
 * parameters in attach points stay in the parts as `$N` and are replaced by the
 * `probes` pass, which owns the meaning of the parts of each provider.
 */
export interface AttachPointSyntax extends Base {
  /** `name=` prefix. */
  readonly label: string | undefined;
  /** Provider as written: `tracepoint`, `t`, `BEGIN`, `uprobe`. */
  readonly provider: string;
  readonly providerSpan: Span;
  /** The raw text after `provider:`, '' if none; quotes kept. */
  readonly rest: string;
  readonly restSpan: Span;
}
export interface ProbeBlock extends Base {
  readonly node: 'probe';
  readonly attachPoints: readonly AttachPointSyntax[];
  readonly predicate: Expr | undefined;
  readonly body: readonly Statement[];
}
export interface ConfigAssign extends Base {
  readonly name: string;
  readonly nameSpan: Span;
  readonly value: string | bigint;
  readonly valueSpan: Span;
}
/** C text (`struct …;`, `enum …;`, `#include`, typedefs) handed on verbatim to the C reader. */
export interface CDefinitions extends Base {
  readonly node: 'c';
  readonly text: string;
}
/** `#define NAME tokens`; function-like macros keep their parameters. */
export interface Define extends Base {
  readonly node: 'define';
  readonly name: string;
  readonly parameters: readonly string[] | undefined;
  readonly body: string;
}
export interface Include extends Base {
  readonly node: 'include';
  readonly path: string;
  /** `<…>` or `"…"`. */
  readonly system: boolean;
}
/** `let @m = lruhash(100);` */
export interface MapDeclaration extends Base {
  readonly node: 'map_declaration';
  readonly name: string;
  readonly kind: string;
  readonly kindSpan: Span;
  readonly maxEntries: bigint;
}
/** `macro name($a, @b, c) { … }` */
export interface MacroDefinition extends Base {
  readonly node: 'macro';
  readonly name: string;
  readonly parameters: readonly (Variable | MapAccess | Identifier)[];
  readonly body: readonly Statement[];
  readonly value: Expr | undefined;
}
export interface ImportStatement extends Base {
  readonly node: 'import';
  readonly path: string;
}
export type Preamble = CDefinitions | Define | Include | MapDeclaration | MacroDefinition | ImportStatement;

export interface Script extends Base {
  readonly node: 'script';
  readonly shebang: string | undefined;
  readonly preamble: readonly Preamble[];
  readonly config: readonly ConfigAssign[];
  readonly probes: readonly ProbeBlock[];
  /** In order of appearance, text with delimiters; for --fmt. */
  readonly comments: readonly { readonly span: Span; readonly text: string }[];
  /** Preprocessor lines other than #include and #define, with what a false #if skips; for --fmt. */
  readonly directives: readonly { readonly span: Span; readonly text: string }[];
}

export type Node = Expr | Statement | ProbeBlock | Preamble | Script | TypeExpr;

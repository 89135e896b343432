/**
 * The rules that give names, in the order of trust: where several name one function, the
 * first wins. A rule's grade is what its precision was measured to be (`npm run
 * bench:evidence`, on programs whose symbols are known), never a guess: sure from 98 % on,
 * likely from 85 %, else a hint, which is worded as one.
 */

export type Grade = 'sure' | 'likely' | 'hint';

export type RuleId =
  | 'start'
  | 'plt'
  | 'method'
  | 'destructor'
  | 'signature'
  | 'virtual-literal'
  | 'virtual'
  | 'message'
  | 'initializer'
  | 'late-constructor'
  | 'finalizer'
  | 'member-literal'
  | 'literal'
  | 'constructor'
  | 'base-constructor'
  | 'constructor-literal'
  | 'base-destructor'
  | 'encloser'
  | 'member'
  | 'enclosed'
  | 'constructs'
  | 'mentions'
  | 'thread'
  | 'callers'
  | 'file'
  | 'slot'
  | 'virtual-code'
  | 'code'
  | 'code-called'
  | 'called'
  | 'texts'
  | 'text';

export interface Rule {
  readonly id: RuleId;
  readonly grade: Grade;
  /** What the rule goes by, for people. */
  readonly reason: string;
}

/** All rules, the most trusted first. */
export const rules: readonly Rule[] = [
  {
    id: 'start',
    grade: 'sure',
    reason: 'the entry point of the file, and the function that it hands to the C library',
  },
  { id: 'plt', grade: 'sure', reason: 'a stub that jumps through a word that the loader binds to this symbol' },
  { id: 'method', grade: 'sure', reason: "a fixed slot in the table of one of the C++ library's classes" },
  {
    id: 'destructor',
    grade: 'sure',
    reason: 'the two destructor slots of a table, of which the second frees the object',
  },
  { id: 'signature', grade: 'likely', reason: 'its whole signature, left by an assertion' },
  {
    id: 'slot',
    grade: 'sure',
    reason: 'the slot in the table of this class that has this name in a program with symbols',
  },
  {
    id: 'virtual-code',
    grade: 'likely',
    reason:
      'a slot in the table of this class, and the instructions of its function of this name in a program with symbols',
  },
  {
    id: 'virtual-literal',
    grade: 'likely',
    reason: 'a slot in the table of this class, and its own name left by a logging macro',
  },
  { id: 'virtual', grade: 'sure', reason: 'a slot in the table of this class' },
  { id: 'message', grade: 'sure', reason: "listed in the table of a protocol buffers' class" },
  { id: 'initializer', grade: 'sure', reason: 'listed in .init_array' },
  { id: 'constructor', grade: 'sure', reason: 'stores the table of this class into the object that it was given' },
  { id: 'finalizer', grade: 'sure', reason: 'handed to __cxa_atexit together with an object' },
  {
    id: 'code-called',
    grade: 'likely',
    reason: 'the instructions of a function of this name in a program with symbols, and called at the same places',
  },
  {
    id: 'code',
    grade: 'likely',
    reason: 'the instructions of a function of this name in a program with symbols, the only one there and here',
  },
  {
    id: 'member-literal',
    grade: 'likely',
    reason: 'its own name left by a logging macro; only functions of this class call it, with their object',
  },
  {
    id: 'constructor-literal',
    grade: 'likely',
    reason:
      'its own name left by a logging macro is that of a class, whose table it stores into the object that it was given',
  },
  { id: 'literal', grade: 'likely', reason: 'its file and its own name, left side by side by a logging macro' },
  {
    id: 'late-constructor',
    grade: 'likely',
    reason:
      "stores the table of this class into the object that it was given, and nothing else or only after a base's constructor",
  },
  {
    id: 'called',
    grade: 'likely',
    reason: 'called by a known function where a function of this name is called in a program with symbols',
  },
  {
    id: 'texts',
    grade: 'likely',
    reason: 'refers to texts that only the function of this name refers to in a program with symbols',
  },
  {
    id: 'text',
    grade: 'likely',
    reason: 'refers to a text that only the function of this name refers to in a program with symbols',
  },
  {
    id: 'base-constructor',
    grade: 'likely',
    reason: "constructors hand it their object's part of this base before they store their own table",
  },
  {
    id: 'base-destructor',
    grade: 'likely',
    reason: "destructors hand it their object's part of this base at their end",
  },
  { id: 'encloser', grade: 'likely', reason: 'makes the function objects of lambdas that stand in this function' },
  { id: 'member', grade: 'likely', reason: 'only functions of this class call it, with their object' },
  {
    id: 'enclosed',
    grade: 'hint',
    reason: 'makes the function object of a lambda of that function, which may have been inlined',
  },
  {
    id: 'constructs',
    grade: 'hint',
    reason: 'stores the table of this class into the object that it was given, after other calls',
  },
  { id: 'mentions', grade: 'hint', reason: 'a macro left this name in it, which may be that of an inlined function' },
  { id: 'thread', grade: 'hint', reason: 'handed to pthread_create' },
  { id: 'callers', grade: 'hint', reason: 'all callers have this name' },
  { id: 'file', grade: 'hint', reason: 'refers to no other source file' },
];

/** Index into `rules`. */
export const ruleNumber: Readonly<Record<RuleId, number>> = Object.fromEntries(
  rules.map((rule, index) => [rule.id, index]),
) as Record<RuleId, number>;

/** One rule's word about one function. */
export interface Finding {
  /** Index of the function. */
  readonly index: number;
  readonly rule: RuleId;
  /** Classes that the function may belong to; none for a free function. */
  readonly scopes: readonly number[];
  /** The name behind the class: `vfunc[3]`, `~`, a function's name. */
  readonly member: string;
  /** Addresses that prove it: tables, literals, callers. */
  readonly proof: readonly number[];
  /** The program that the name was learnt from. */
  readonly learntFrom?: string;
}

/** The member of a finding that stands for the destructor: its name repeats the class's. */
export const DESTRUCTOR = '~';
/** The same for constructors. */
export const CONSTRUCTOR = '';

/** Itanium C++ ABI names: from the symbol's text to the text of its declaration. */
import { NameReader } from './names.ts';
import {
  CLONE,
  CONSTRAINED,
  isFunctionQualifier,
  LOCAL,
  type Node,
  PREFIXED,
  SUFFIXED,
  TYPED,
  texted,
} from './node.ts';
import { Printer } from './print-expressions.ts';
import { MALFORMED } from './reader.ts';

const reader: NameReader = new NameReader();
const printer: Printer = new Printer();

function readSymbol(name: string, pos: number, verbose: boolean): Node {
  try {
    reader.start(name, pos, verbose);
    return reader.symbol();
  } catch (error) {
    if (error !== MALFORMED || !reader.sawUnresolved) throw error;
    reader.start(name, pos, verbose, true);
    return reader.symbol();
  }
}

/**
 * The tree of a C++ symbol, undefined when it is none. `_Z…` are the ABI's own,
 * `_GLOBAL__I_…` GCC's static constructors, `___Z…_block_invoke` clang's blocks.
 */
function read(name: string, verbose: boolean): Node | undefined {
  const second = name.charCodeAt(1);
  if (second === 0x5a) return readSymbol(name, 2, verbose);
  if (second === 0x5f && name.startsWith('___Z')) {
    const block = /_block_invoke(?:_?[0-9]+)?(?:\.[0-9]+)*$/.exec(name);
    if (block === null) return undefined;
    const inner = readSymbol(name.slice(0, block.index), 4, verbose);
    return texted(PREFIXED, inner, 'invocation function for block in ');
  }
  const global = second === 0x47 ? /^_GLOBAL_[._$]([DI])_/.exec(name) : null;
  if (global === null) return undefined;
  const what = global[1] === 'I' ? 'constructors' : 'destructors';
  const rest = name.slice(global[0].length);
  if (!rest.startsWith('_Z')) return texted(PREFIXED, texted(0, null, rest), `global ${what} keyed to `);
  return texted(PREFIXED, readSymbol(rest, 2, verbose), `global ${what} keyed to `);
}

/** A function's name without parameters, return type, qualifiers, constraint; other nodes as they are. */
function baseOf(node: Node): Node {
  // A clone is not the function; a symbol's version makes no other one of it.
  if (node.kind === CLONE) return texted(CLONE, baseOf(node.left as Node), node.text);
  if (node.kind === SUFFIXED) return baseOf(node.left as Node);
  let name = node;
  while (name.kind === CONSTRAINED) name = name.left as Node;
  if (name.kind === TYPED) name = name.left as Node;
  while (isFunctionQualifier(name)) name = name.left as Node;
  if (name.kind !== LOCAL) return name;
  let right = name.right as Node;
  while (isFunctionQualifier(right)) right = right.left as Node;
  if (right !== name.right) name.right = right;
  return name;
}

export interface CxxName {
  readonly full: string;
  readonly base: string;
}

function demangleCxx(name: string, verbose: boolean, part: (node: Node) => Node): string | undefined {
  try {
    const node = read(name, verbose);
    return node === undefined ? undefined : printer.text(part(node));
  } catch (error) {
    // A RangeError is the stack's end, when the caller already stood deep in it.
    if (error === MALFORMED || error instanceof RangeError) return undefined;
    throw error;
  }
}

export const cxxName = (name: string, verbose: boolean): string | undefined =>
  demangleCxx(name, verbose, (node) => node);
export const cxxBaseName = (name: string, verbose: boolean): string | undefined => demangleCxx(name, verbose, baseOf);

/** Both; the base is worked out when it is asked for. */
export function cxxNames(name: string, verbose: boolean): CxxName | undefined {
  const full = cxxName(name, verbose);
  if (full === undefined) return undefined;
  let base: string | undefined;
  return {
    full,
    get base() {
      base ??= cxxBaseName(name, verbose) ?? full;
      return base;
    },
  };
}

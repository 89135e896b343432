/**
 * Holds inferred names against the symbols of the same program: what the bench and the
 * tests of symbolize/evidence go by. The truth is a program's own .symtab.
 */
import { SHT_SYMTAB } from '../src/debuginfo/elf/constants.ts';
import type { ElfFile } from '../src/debuginfo/elf/elf.ts';
import { demangledBaseName } from '../src/symbolize/demangle/index.ts';
import type { InferredName } from '../src/symbolize/evidence/index.ts';
import { SymbolTable } from '../src/symbolize/symbols/table.ts';

/** Address → names of the functions there. */
export type Truth = ReadonlyMap<number, readonly string[]>;

export function readTruth(elf: ElfFile): Truth {
  const truth = new Map<number, string[]>();
  const section = elf.sections.find((one) => one.type === SHT_SYMTAB);
  if (section === undefined) return truth;
  new SymbolTable(elf, section, 'function').forEach(({ address, name }) => {
    const names = truth.get(address);
    if (names === undefined) truth.set(address, [name]);
    else names.push(name);
  });
  return truth;
}

/** One spelling for what compilers and macros write differently; parts that a compiler split off bear the whole's name. */
function plain(name: string): string {
  return (
    name
      .replace(/^(?:non-virtual thunk to |virtual thunk to |covariant return thunk to )/, '')
      .replace(/\[abi:\w+\]/g, '')
      .replace(/ \[clone [^\]]*\]/g, '')
      .replace(/\.(?:part|constprop|isra|cold|llvm)(?:\.\d+)*$/, '')
      // A library's version in an inline namespace, which a name learnt elsewhere does not tell.
      .replace(/\b[A-Za-z]+_\d{2,}::/g, '')
      .replaceAll('{anonymous}', '(anonymous namespace)')
  );
}

/** A name's scope and last part; brackets keep `::` inside of them together. */
function split(name: string): { readonly scope: string; readonly last: string } {
  let depth = 0;
  for (let at = name.length - 1; at > 0; at--) {
    const char = name[at];
    const before = name.slice(0, at);
    if (char === '>' && !/(?:operator|operator-|operator>|operator<=)$/.test(before)) depth++;
    else if (char === '<' && !/(?:operator|operator<)$/.test(before)) depth--;
    else if (char === ')' || char === '}' || char === ']') depth++;
    else if (char === '(' || char === '{' || char === '[') depth--;
    else if (depth <= 0 && char === ':' && name[at - 1] === ':') {
      return { scope: name.slice(0, at - 1), last: name.slice(at + 1) };
    }
  }
  return { scope: '', last: name };
}

const bare = (last: string): string => last.replace(/^(~?[A-Za-z_]\w*)[<(].*$/s, '$1').replace(/\(\)$/, '');

/** The alternatives of `A|B`, split outside of brackets. */
function alternatives(scope: string): string[] {
  const found: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at < scope.length; at++) {
    const char = scope[at] as string;
    if ('<({['.includes(char)) depth++;
    else if ('>)}]'.includes(char)) depth--;
    else if (char === '|' && depth <= 0) {
      found.push(scope.slice(start, at));
      start = at + 1;
    }
  }
  found.push(scope.slice(start));
  return found;
}

/** A name, and the rule that gave it. */
export type Claim = Pick<InferredName, 'name' | 'rule'>;

/** Whether an inferred name says the truth; undefined for those that a symbol's name can't tell. */
export function isRight({ name, rule }: Claim, symbols: readonly string[]): boolean | undefined {
  // That a function is an initialiser, or starts a thread, its symbol does not say; stubs have no symbols.
  if (rule === 'callers' || rule === 'file' || rule === 'constructs') return undefined;
  if (rule === 'plt' || rule === 'thread' || rule === 'initializer') return undefined;
  const bases = symbols.map((one) => plain(demangledBaseName(one) ?? one));
  const words = /^(?:mentions|makes a lambda of) (.*)$/s.exec(name);
  const claim = split(plain(words?.[1] ?? name));
  const scopes = alternatives(claim.scope);
  return bases.some((base) => {
    const { scope, last } = split(base);
    // GCC names what destroys an array `__tcf_0`, clang `__cxx_global_array_dtor`.
    if (rule === 'finalizer') return last.startsWith('~') || /array_dtor|::~|^__tcf_/.test(base);
    if (rule === 'virtual' || rule === 'member') return scopes.includes(scope);
    // `A|B::~A` is either's destructor.
    if (scopes.length > 1 && claim.last.startsWith('~') && last.startsWith('~')) return scopes.includes(scope);
    if (bare(last) !== bare(claim.last)) return false;
    if (claim.scope === '') return true;
    // `__PRETTY_FUNCTION__` has a template's parameters, not its arguments.
    if (rule === 'signature') return scope.replace(/<.*>/s, '').endsWith(claim.scope.replace(/<.*>/s, ''));
    return scopes.includes(scope);
  });
}

/** The rules that tell whose virtual function it is. */
const virtualRules: ReadonlySet<string> = new Set([
  'method',
  'destructor',
  'virtual',
  'virtual-literal',
  'virtual-code',
  'slot',
]);

/** Whether the class that an inferred name gives a virtual function is right; undefined for other functions. */
export function isOfClass({ name, rule }: Claim, symbols: readonly string[]): boolean | undefined {
  if (!virtualRules.has(rule)) return undefined;
  const scopes = alternatives(split(plain(name)).scope);
  return symbols.some((one) => scopes.includes(split(plain(demangledBaseName(one) ?? one)).scope));
}

/** The functions that a pattern of `insitu calls` means, with the places where they begin and end. */
import { type FunctionPlan, planOf, planWithoutTypes } from '../answers/calls/functions.ts';
import type { Traced } from '../answers/calls/report.ts';
import { MachineError } from '../base/errors.ts';
import { virtualAddress } from '../base/numbers.ts';
import { HostFile } from '../kernel/host/file.ts';
import { mostFunctions, Site } from '../program/calls.ts';
import { demangledBaseName } from '../symbolize/demangle/index.ts';
import type { Binary, FunctionSymbol, Target } from '../target/target.ts';
import type { CalledFunction, CallSite } from './calls.ts';

export interface WantedFunctions {
  readonly target: Target;
  readonly patterns: readonly string[];
  /** The program of the process: what a pattern without a file means. */
  readonly program: string;
  /** In whose eyes names of files are meant. */
  readonly pid: number | undefined;
  /** Return addresses may be changed: nothing in the process unwinds stacks. */
  readonly uretprobes: (binary: Binary) => boolean;
}

export interface FoundFunctions {
  readonly functions: readonly (CalledFunction & Traced)[];
  /** Functions whose code could not be followed to its ends. */
  readonly unfollowed: readonly string[];
}

const isGlob = (text: string): boolean => /[*?[]/.test(text);

/** `FILE:FUNCTION`; a `::` separates nothing. */
export function splitPattern(pattern: string): { readonly file: string | undefined; readonly name: string } {
  const [, file, name] = /^((?:[^:]|::)*?[^:]):(?!:)(.+)$/s.exec(pattern) ?? [];
  // What stands before the colon of `operator:` or in a template is no file.
  return file === undefined || name === undefined || /[<(]/.test(file)
    ? { file: undefined, name: pattern }
    : { file, name };
}

/** Throws a MachineError where a pattern means nothing, or too much. */
export function findFunctions({ target, patterns, program, pid, uretprobes }: WantedFunctions): FoundFunctions {
  const functions: (CalledFunction & Traced)[] = [];
  const unfollowed: string[] = [];
  const seen = new Set<string>();
  for (const pattern of patterns) {
    const { file, name } = splitPattern(pattern);
    const opened = target.binary(file ?? program, pid);
    if (!opened.ok) throw opened.error;
    const binary = opened.value;
    const symbols = symbolsOf(binary, name);
    if (symbols.length === 0) throw notFound(binary, name);
    const returnProbes = uretprobes(binary);
    const bytes = firstBytesOf(binary.path);
    try {
      for (const found of symbols) {
        const symbol = preferred(binary, found);
        const key = `${binary.path} ${symbol.address}`;
        if (seen.has(key) || isPart(symbol)) continue;
        seen.add(key);
        if (functions.length >= mostFunctions) {
          throw new MachineError(`the patterns match more than ${mostFunctions} functions of ${binary.path}`, {
            code: 'E_TOO_MANY',
            hints: ['narrow them; -l lists what a pattern matches'],
          });
        }
        const carefulSites = sitesOf(binary, symbol, false, bytes.at);
        const sites =
          returnProbes && !carefulSites?.some(byUretprobe) ? sitesOf(binary, symbol, true, bytes.at) : carefulSites;
        if (sites === undefined) {
          unfollowed.push(nameOf(symbol));
          continue;
        }
        const plan = planFor(binary, symbol);
        const { texts, resultText, stackWords } = plan;
        const named = { name: nameOf(symbol), symbol: symbol.name, path: binary.path };
        functions.push({ ...named, plan, sites, carefulSites, texts, resultText, stackWords });
      }
    } finally {
      bytes.close();
    }
  }
  if (functions.length === 0) {
    throw new MachineError(`the code of ${unfollowed[0] ?? patterns[0]} cannot be followed to where it returns`, {
      code: 'E_NOT_FOLLOWED',
    });
  }
  return { functions, unfollowed };
}

function symbolsOf(binary: Binary, name: string): readonly FunctionSymbol[] {
  if (name.startsWith('~')) return binary.inferred(name.slice(1));
  const exact = binary.find(name);
  if (exact.length > 0) return exact;
  const found = isGlob(name) ? binary.match(name) : [];
  // Names of a stripped program may be given as they would be with symbols.
  return found.length > 0 || !binary.stripped ? found : binary.inferred(name);
}

/** Of several names of one function the one that stacks show, too. */
function preferred(binary: Binary, symbol: FunctionSymbol): FunctionSymbol {
  const known = symbol.name.startsWith('~') ? undefined : binary.at(symbol.address);
  return known?.address === symbol.address ? known : symbol;
}

/** A part of a function that a compiler put elsewhere, or a thunk, which jumps to the function itself. */
const isPart = ({ name, demangled }: FunctionSymbol): boolean =>
  /\.cold(\.\d+)?$/.test(name) || /^_ZT[hvc]/.test(name) || /^(non-)?virtual thunk to/.test(demangled);

/** As it is shown: demangled, without parameters. */
function nameOf({ name }: FunctionSymbol): string {
  if (name.startsWith('~')) return name;
  const plain = name.replace(/@.*$|(?:\.(?:isra|constprop|part|lto_priv|llvm)\b[.\w]*)+$/, '');
  return demangledBaseName(plain, { verbose: false }) ?? plain;
}

function planFor(binary: Binary, symbol: FunctionSymbol): FunctionPlan {
  const described = binary.types()?.functionAt(symbol.address, symbol.name);
  if (described === undefined) return planWithoutTypes(symbol.demangled);
  const plan = planOf(described);
  if (!/\.(isra|constprop)\b/.test(symbol.name) || plan.result === undefined || plan.result === 'none') return plan;
  // GCC's copies may have lost their result, too.
  const reason = 'this is a copy that the compiler has changed';
  return { ...plan, result: { ...plan.result, from: { kind: 'unavailable', reason } }, resultText: undefined };
}

const byUretprobe = ({ kind }: CallSite): boolean => kind === Site.uretprobe;

/** Where a function begins and ends; undefined when its ends cannot be told. */
function sitesOf(
  binary: Binary,
  { address }: FunctionSymbol,
  uretprobes: boolean,
  bytesAt: (offset: number) => Uint8Array,
): CallSite[] | undefined {
  const exits = binary.exits(address);
  if (exits === undefined && !uretprobes) return undefined;
  // Nothing can be thrown from a function that calls none.
  const returnProbes = uretprobes || exits?.leaf === true;
  const site = (at: number, kind: CallSite['kind'], condition = 0): CallSite | undefined => {
    const offset = binary.toFileOffset(virtualAddress(at));
    const begins = at === entry && kind !== Site.uretprobe;
    return offset.ok ? { kind, begins, offset: offset.value, condition, bytes: bytesAt(offset.value) } : undefined;
  };
  const entry = exits?.entry ?? address;
  const onlyEnds = !returnProbes && exits?.exits.some((one) => one.address === entry) === true;
  const sites = onlyEnds ? [] : [site(entry, Site.entry)];
  if (returnProbes) sites.push(site(entry, Site.uretprobe));
  else {
    for (const exit of exits?.exits ?? []) {
      if (exit.kind === 'conditional') sites.push(site(exit.address, Site.conditional, exit.condition));
      else sites.push(site(exit.address, exit.kind === 'ret' ? Site.ret : Site.jump));
    }
  }
  const known = sites.flatMap((one) => one ?? []);
  return known.length === sites.length ? known : undefined;
}

function firstBytesOf(path: string): { at: (offset: number) => Uint8Array; close: () => void } {
  const file = HostFile.open(path);
  if (!file.ok) return { at: () => new Uint8Array(0), close: () => {} };
  return { at: (offset) => file.value.read(offset, 2), close: () => file.value.close() };
}

function notFound(binary: Binary, name: string): MachineError {
  const near = binary.near(name.replace(/[*?~]/g, '')).slice(0, 3);
  const hints = [
    ...(near.length > 0 ? [`did you mean ${near.map((one) => `'${one}'`).join(' or ')}?`] : []),
    ...(binary.stripped ? [`it is stripped: insitu symbols ${binary.path} tells which names it inferred`] : []),
    "a pattern is FUNCTION or FILE:FUNCTION, with * and ? as wildcards: 'ns::Class::*', 'libssl:SSL_*'",
  ];
  return new MachineError(`no function of ${binary.path} matches '${name}'`, { code: 'E_NO_FUNCTION', hints });
}

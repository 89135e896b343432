/**
 * What can be said about mangled names without demangling them. Demangling 280,000 names
 * takes seconds, looking for a few letters in them milliseconds; so a search first keeps
 * the names that contain the parts of the wanted text that must stand in the mangled
 * name too, and demangles those alone.
 *
 * Both the Itanium C++ ABI (section 5.1, <source-name>) and Rust's two manglings keep
 * every identifier of the source literally at least once. What a demangler adds from
 * abbreviations (`i` to `int`, `St` to `std`, `C1` to a constructor …) are the words below.
 */

/** A demangled name in full, and without parameters, return type and qualifiers. */
export interface DemangledNames {
  readonly full: string;
  readonly base: string;
}

/**
 * symbolize/demangle's demangleBoth, passed in, so that a run without mangled names need
 * not load it. Verbose is c++filt's way (`std::basic_string<char, …>`), the other that of
 * `__cxa_demangle` and bpftrace (`std::string`), in which names are shown.
 */
export type Demangle = (name: string, options: { readonly verbose: boolean }) => DemangledNames | undefined;

/** Words that may stand in a demangled name without standing in the mangled one. */
const addedWords: readonly string[] = [
  // Itanium: substitutions for parts of the standard library.
  'std allocator basic_string string basic_istream istream basic_ostream ostream basic_iostream iostream char_traits',
  // Itanium: builtin types and qualifiers.
  'void wchar_t bool char signed unsigned short int long float double __int128 __float128 __ibm128 half',
  'char8_t char16_t char32_t decimal32 decimal64 decimal128 _Float16 _Float32 _Float64 _Float128 bfloat16_t _BitInt',
  'auto decltype nullptr_t nullptr const volatile restrict __restrict _Complex complex _Imaginary imaginary __vector vector',
  'pixel object_object _Accum _Fract _Sat noexcept throw transaction_safe struct union enum class typename template requires',
  // Itanium: operators and expressions.
  'operator new delete co_await sizeof alignof typeid dynamic_cast static_cast const_cast reinterpret_cast',
  'true false this fp parm default arg lambda block_literal unnamed type anonymous namespace string literal clone abi enable_if',
  // Itanium: special names.
  'vtable VTT typeinfo name fn for construction in non virtual thunk to covariant return guard variable reference temporary',
  'TLS init wrapper function transaction initializer module hidden alias parameter object java Class resource',
  'global constructors destructors keyed invocation block unnamed suffix',
  // Itanium: template parameters of a lambda, as in {lambda<int $N0, typename $T1>()#1}.
  'N T TT',
  // Rust: builtin types and keywords.
  'i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize f32 f64 str dyn impl as mut unsafe extern closure shim crate',
]
  .join(' ')
  .split(' ');

/**
 * The parts of literal texts that must occur in the mangled name of everything whose
 * mangled or demangled name contains those texts. Longest first; empty when there is
 * nothing to go by. `literals` may start and end in the middle of an identifier.
 */
export function mangledPieces(literals: readonly string[]): string[] {
  const pieces = new Set<string>();
  for (const literal of literals) {
    for (const run of literal.match(/[A-Za-z0-9_]+/g) ?? []) {
      // Digits before a name may be the mangling's own count; digits behind a word may number a lambda.
      const piece = run.replace(/^[0-9]+/, '');
      const word = piece.replace(/[0-9]+$/, '');
      if (piece.length < 2 || addedWords.some((added) => added.includes(piece) || added.includes(word))) continue;
      // A number with a type's suffix, as in Foo<5ul>.
      if (piece !== run && /^(u|l|ul|ll|ull)$/.test(piece)) continue;
      pieces.add(piece);
    }
  }
  return [...pieces].sort((a, b) => b.length - a.length);
}

/** True for a name that a demangler might have something to say about. */
export function looksMangled(name: string): boolean {
  return /^_{0,3}(Z|R)/.test(name);
}

/** For words that a demangler adds: what must stand in the mangled name for the word to appear. */
const codes: readonly (readonly [word: string, code: RegExp])[] = [
  ['std', /St|S[absiod]|std/],
  ['string', /S[sb]|string/],
  ['allocator', /S[absiod]|allocator/],
  ['lambda', /Ul|lambda/],
  ['anonymous', /_GLOBAL_|anonymous/],
  ['clone', /\.|clone/],
];

/**
 * A test that every mangled name passes which the pattern (a glob, or a name) might fit
 * when demangled; `literals` are its literal texts.
 */
export function mangledTest(pattern: string, literals: readonly string[]): (name: string) => boolean {
  const needed = codes.filter(([word]) => literals.some((text) => text.includes(word))).map(([, code]) => code);
  const start = scopeStart(pattern);
  return (name) => {
    if (!looksMangled(name) || !needed.every((code) => code.test(name))) return false;
    // Rust's new mangling has hashes between the parts of a path.
    return start === undefined || !/^_+Z/.test(name) || start.test(name);
  };
}

/**
 * A pattern that starts with a scope, `a::b::…`, asks for what lies in that scope (not for
 * functions that return something out of it): the mangled name then starts with it too.
 */
function scopeStart(pattern: string): RegExp | undefined {
  const [scope] = /^([A-Za-z]\w*::)+/.exec(pattern) ?? [];
  if (scope === undefined || pattern.includes(' ')) return undefined;
  const parts = scope.split('::').slice(0, -1);
  if (parts.some((part) => addedWords.includes(part))) return undefined;
  return new RegExp(`^_+Z+N[rVKROH]*${parts.map((part) => `${part.length}${part}`).join('')}`);
}

/** Which forms of a name a test needs to see, besides the whole of the verbose one. */
export interface Forms {
  /** The name without parameters, return type and qualifiers. */
  readonly base: boolean;
  /** With the standard library's abbreviations (`std::string`). */
  readonly short: boolean;
}

const everyForm: Forms = { base: true, short: true };

/**
 * The forms that an expression without flags needs. Within the whole name the base
 * stands somewhere, which only what looks at a text's edges can tell from one that
 * stands alone. The abbreviations matter to what names their words or says of the text
 * between the names more than that there is some.
 */
export function formsOf(source: string): Forms {
  const edges = /[\^$]|\\[bB]|\(\?/.test(source.replace(/\\[\^$\\]|\[\^/g, ''));
  const anyText = source.replace(/\.[*+]\??|::|\\[.,:<>(){}&*~ -]|\|/g, ' ');
  const plain = /^[\w ,:<>&~-]*$/.test(anyText);
  // What stands across the end of an abbreviation stands in no other form.
  const across = /[<> ,&]|\\[()*]/.test(source) || (source.match(/\w+(?=::)/g) ?? []).some(endsAbbreviation);
  return { base: edges, short: !plain || across || /std|string|alloc|traits|stream|basic|char/.test(source) };
}

const endsAbbreviation = (word: string): boolean =>
  ['string', 'stream', 'allocator'].some((abbreviated) => abbreviated.endsWith(word));

/** True when one of the forms in which people write the function's name, see Demangle, satisfies `test`. */
export function anyForm(
  mangled: string,
  demangle: Demangle,
  test: (form: string) => boolean,
  forms: Forms = everyForm,
): boolean {
  // A clone's mark stands behind the base in the one form, behind the parameters in the other.
  const wantsBase = forms.base || mangled.includes('.');
  const satisfies = (names: DemangledNames): boolean => {
    if (test(names.full)) return true;
    if (!wantsBase) return false;
    const { base } = names;
    return test(base) || (base.includes(' [clone ') && test(base.replace(/( \[clone [^\]]*\])+$/, '')));
  };
  const verbose = demangle(mangled, { verbose: true });
  if (verbose === undefined) return false;
  if (satisfies(verbose)) return true;
  // The short way differs in the standard library's abbreviations, and in Rust's hashes and constants.
  if (!/17h|^_R/.test(mangled) && !(forms.short && /S[absiod]/.test(mangled))) return false;
  const short = demangle(mangled, { verbose: false });
  return short !== undefined && satisfies(short);
}

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
export type Demangle = (name: string) => string | undefined;

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

/**
 * The shorter forms of a demangled function name by which people know it: without
 * parameter list and what follows it (`const`, `[clone …]`), and, for an instance of a
 * template, also without the return type that stands before it.
 */
export function shortForms(demangled: string): string[] {
  const end = parametersStart(demangled);
  if (end === undefined) return [];
  const bare = demangled.slice(0, end);
  const type = returnTypeEnd(bare);
  return type === undefined ? [bare] : [bare, bare.slice(type)];
}

/** Where the parameter list of a demangled function starts; undefined when it has none. */
function parametersStart(name: string): number | undefined {
  let end = name.length;
  for (;;) {
    const tail = /( \[clone [^\]]*\]| \(\.[^)]*\)| const| volatile| noexcept| &&?)$/.exec(name.slice(0, end));
    if (tail === null) break;
    end = tail.index;
  }
  if (name[end - 1] !== ')') return undefined;
  let depth = 0;
  for (let at = end - 1; at >= 0; at--) {
    if (name[at] === ')') depth++;
    else if (name[at] === '(' && --depth === 0) {
      // In `A::operator()` without a parameter list the brackets are the name's own.
      return at === 0 || name.slice(0, at).endsWith('operator') ? undefined : at;
    }
  }
  return undefined;
}

/** Where the name of a template's instance starts, behind its return type; undefined when there is no return type. */
function returnTypeEnd(bare: string): number | undefined {
  if (!bare.endsWith('>') || /\boperator\b/.test(bare)) return undefined;
  let depth = 0;
  for (let at = bare.length - 1; at >= 0; at--) {
    const character = bare[at];
    if (character === '>' || character === ')' || character === '}' || character === ']') depth++;
    else if (character === '<' || character === '(' || character === '{' || character === '[') depth--;
    else if (character === ' ' && depth === 0) return at + 1;
  }
  return undefined;
}

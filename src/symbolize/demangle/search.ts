/**
 * Which words of what a user typed must stand letter by letter in the mangled name, so
 * that a search need not demangle every symbol: `node::Start*` asks for `node` and
 * `Start`. (Identifiers are mangled verbatim at their first occurrence.)
 */
import { ABBREVIATIONS, BUILTINS, D_BUILTINS, OPERATORS } from './tables.ts';

/** All words that the demangler itself writes; one of them in a pattern says nothing of the mangled text. */
const VOCABULARY: string = [
  ...BUILTINS.map((node) => node?.text ?? ''),
  ...D_BUILTINS.map((node) => node?.text ?? ''),
  ...OPERATORS.map((operator) => operator.text),
  ...Object.values(ABBREVIATIONS).map((abbreviation) => `${abbreviation?.full} ${abbreviation?.short}`),
  'operator anonymous namespace lambda unnamed type default arg clone auto typename template class requires this',
  'vtable VTT typeinfo name construction java Class non virtual thunk covariant return guard variable reference',
  'temporary hidden alias transaction TLS init wrapper function parameter object initializer module global',
  'constructors destructors keyed invocation block string literal const volatile restrict noexcept throw decltype',
  'transaction_safe _Complex _Imaginary __vector sizeof parm abi true false new delete _BitInt std::bfloat16_t',
  '_Float16 _Float32 _Float64 _Float128 _Float32x _Float64x at offset typename for in to',
  'closure shim fn dyn extern unsafe mut impl as isize usize i128 u128 i16 u16 i32 u32 i64 u64 i8 u8 f32 f64 str',
].join(' ');

const MIN_WORD = 3;

/** Words that the mangled form of every name matching the glob contains; empty when nothing can be told. */
export function requiredWords(glob: string): readonly string[] {
  const words = new Set<string>();
  // A character class may stand for any letter.
  const text = glob.replace(/\[[^\]]*\]/g, '*');
  for (const match of text.matchAll(/[A-Za-z0-9_\u0080-\uffff]+/g)) {
    const word = match[0];
    if (word.length < MIN_WORD || VOCABULARY.includes(word)) continue;
    // Numbers and hashes are written in other bases, letters beyond ASCII in punycode.
    if (/^(?:[0-9]|h?[0-9a-f]+$)/.test(word) || /[^\w]/.test(word)) continue;
    words.add(word);
  }
  return [...words];
}

/** False when the name cannot demangle to what the words come from. */
export function mayMatch(mangled: string, words: readonly string[]): boolean {
  for (const word of words) if (!mangled.includes(word)) return false;
  return true;
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { callableText, heldType } from './callable.ts';

// Names as c++filt writes those of g++ 12 and clang++ 14 for test/values/containers.cc and for types with commas.
const names: readonly (readonly [name: string, held: string | undefined])[] = [
  ['std::_Function_handler<int (int), int (*)(int)>::_M_invoke(std::_Any_data const&, int&&)', 'int (*)(int)'],
  [
    'std::_Function_handler<int (int), make(int)::{lambda(int)#1}>::_M_invoke(std::_Any_data const&, int&&)',
    'make(int)::{lambda(int)#1}',
  ],
  [
    'std::_Function_handler<void (), std::_Bind<void (*(std::map<int, long>))(int)> >::_M_invoke(std::_Any_data const&)',
    'std::_Bind<void (*(std::map<int, long>))(int)>',
  ],
  ['std::__1::__function::__func<Adder, std::__1::allocator<Adder>, long (long, long)>', 'Adder'],
  ['std::__1::__function::__func<make(int)::$_0, std::__1::allocator<make(int)::$_0>, int (int)>', 'make(int)::$_0'],
  ['std::_Function_handler<int (int), cut', undefined],
  ['boost::detail::function::invoker', undefined],
];

test('what a std::function holds, by the name of what calls it', () => {
  for (const [name, held] of names) assert.equal(heldType(name), held, name);
});

test('a plain function is named by itself, others by their type', () => {
  const [plain, lambda] = names as readonly (readonly [string, string])[];
  assert.equal(
    callableText(plain?.[0], () => 'twice(int)'),
    'twice(int)',
  );
  assert.equal(
    callableText(plain?.[0], () => undefined),
    'int (*)(int)',
  );
  assert.equal(
    callableText(lambda?.[0], () => 'wrong'),
    'make(int)::{lambda(int)#1}',
  );
  assert.equal(
    callableText('other', () => 'wrong'),
    'other',
  );
  assert.equal(
    callableText(undefined, () => 'wrong'),
    undefined,
  );
});

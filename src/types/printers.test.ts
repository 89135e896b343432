import assert from 'node:assert/strict';
import { test } from 'node:test';
import { containerOf } from './containers.ts';
import type { Field, Type } from './model.ts';
import { int8, int32, pointerTo, uint64 } from './model.ts';
import { Printers, parsePrinters } from './printers.ts';
import { layOut } from './table.ts';

const hider = layOut('struct', '', [['_M_p', pointerTo(int8, 'user')]]);
const string = (name: string) =>
  layOut('struct', name, [
    ['_M_dataplus', hider],
    ['_M_string_length', uint64],
  ]);

test('the table knows a type by its name without inline namespaces, and by its members', () => {
  const content = new Printers().contentOf(string('std::__cxx11::basic_string<char>'));
  assert.deepEqual(content, {
    kind: 'text',
    data: { kind: 'word', offset: 0, size: 8, signed: false },
    length: { kind: 'word', offset: 8, size: 8, signed: false },
    short: false,
  });
  // The same name with other members is another version of the library.
  assert.equal(
    new Printers().contentOf(layOut('struct', 'std::basic_string<wchar_t>', [['other', uint64]])),
    undefined,
  );
  assert.equal(new Printers().contentOf(string('mine::string')), undefined);
});

test('template arguments, base classes and members of pointers as element types', () => {
  const implementation: Field[] = ['_M_start', '_M_finish'].map((name, index) => ({
    name,
    type: pointerTo(int32, 'user'),
    offset: 8 * index,
  }));
  const base: Type = { kind: 'struct', name: 'base', size: 16, fields: () => implementation };
  const inner: Type = {
    kind: 'struct',
    name: 'impl',
    size: 16,
    fields: () => [{ name: '', type: base, offset: 0, base: true }],
  };
  const vector = {
    ...layOut('struct', 'std::vector<int>', [['_M_impl', inner]]),
    templateArguments: () => new Map([['_Tp', int32]]),
  };
  const content = new Printers().contentOf(vector);
  assert.equal(content?.kind, 'sequence');
  assert.equal(containerOf(new Printers(), vector)?.content.of, int32);
  assert.deepEqual(content?.kind === 'sequence' && content.count.kind === 'distance' && content.count.unit, 4);
  const slice = layOut('struct', '&[i32]', [
    ['data_ptr', pointerTo(int32, 'user')],
    ['length', uint64],
  ]);
  assert.equal(containerOf(new Printers(), slice)?.content.of, int32);
});

test("a user's lines come first, and say what is wrong with them", () => {
  const problems: string[] = [];
  const printers = parsePrinters(
    '# mine\nmine::*  text  data=_M_dataplus._M_p length=_M_string_length\nwrong line\n',
    (line, message) => problems.push(`${line}: ${message}`),
  );
  assert.deepEqual(problems, ['3: not a printer: wrong line (a line is: TYPE  KIND  name=member …)']);
  assert.equal(new Printers(printers).contentOf(string('mine::text'))?.kind, 'text');
  assert.equal(new Printers().contentOf(string('mine::text')), undefined);
});

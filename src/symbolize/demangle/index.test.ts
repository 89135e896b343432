import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { lacking, nodePath, workerdPath } from '../../../test/binaries.ts';
import { cxxfilt, mangledNames, misreadByCxxfilt } from '../../../test/demangle/corpus.ts';
import { lazy } from '../../base/lazy.ts';
import { demangle, demangleBoth, demangledBaseName, mayMatch, requiredWords } from './index.ts';

describe('demangle', () => {
  it('knows what is no mangled name', () => {
    for (const name of [
      '',
      '_',
      'main',
      '_start',
      '__libc_start_main',
      '_Z',
      '_ZN',
      '_R',
      '_RNv',
      'Z3foov',
      '_Z3fo',
      '_Z3foov ',
    ]) {
      assert.equal(demangle(name), undefined, name);
    }
    // c++filt leaves these two alone as well.
    assert.equal(demangle('_GLOBAL_OFFSET_TABLE_'), undefined);
    assert.equal(demangle('_GLOBAL__sub_I_factory.cc'), undefined);
  });

  it('writes standard names short when asked to, as __cxa_demangle does', () => {
    // Expected text: abi::__cxa_demangle of libstdc++ 12.
    const terse = { verbose: false };
    assert.equal(demangle('_Z3fooSs', terse), 'foo(std::string)');
    assert.equal(
      demangle('_ZNSsC1Ev', terse),
      'std::basic_string<char, std::char_traits<char>, std::allocator<char> >::basic_string()',
    );
    assert.equal(demangle('_ZNSo3putEc', terse), 'std::ostream::put(char)');
    assert.equal(demangle('_ZN4core3fmt5write17h0123456789abcdefE', terse), 'core::fmt::write');
    assert.equal(demangle('_RNvCs1234_7mycrate3foo', terse), 'mycrate::foo');
  });
});

describe('names beyond ASCII', () => {
  // g++ -std=c++20 mangles `void größe(int)` so: lengths count UTF-8 bytes.
  it('are read decoded and as bytes', () => {
    assert.equal(demangle('_Z7größei'), 'größe(int)');
    assert.equal(demangledBaseName('_Z7größei'), 'größe');
    assert.deepEqual(demangleBoth('_Z7größei'), { full: 'größe(int)', base: 'größe' });
    assert.equal(demangle('_Z7gr\u00c3\u00b6\u00c3\u009fei'), 'gr\u00c3\u00b6\u00c3\u009fe(int)');
  });
});

describe('demangledBaseName', () => {
  // Expected text: c++filt -p.
  const cases: readonly (readonly [string, string])[] = [
    ['_ZN4node5StartEiPPc', 'node::Start'],
    ['_Z3fooIiEvT_', 'foo<int>'],
    ['_ZNK3foo3barEv', 'foo::bar'],
    ['_ZNKR3foo3barIcEEvv', 'foo::bar<char>'],
    ['_ZZ1fvENKUlvE_clEv', 'f()::{lambda()#1}::operator()'],
    ['_ZN12_GLOBAL__N_13fooEPFvvE', '(anonymous namespace)::foo'],
    ['_ZN1AclEi', 'A::operator()'],
    ['_ZN1AcvPFvvEEv', 'A::operator void (*)()'],
    ['_ZTV1A', 'vtable for A'],
    ['_ZN1A1BE', 'A::B'],
    ['_ZNKSt8functionIFvvEEcvbEv', 'std::function<void ()>::operator bool'],
  ];
  it('leaves out parameters, return type and qualifiers', () => {
    for (const [mangled, text] of cases) assert.equal(demangledBaseName(mangled), text, mangled);
  });

  it('keeps a clone apart from its function', () => {
    assert.equal(demangledBaseName('_ZN4node5StartEiPPc.cold'), 'node::Start [clone .cold]');
    assert.equal(demangledBaseName('_ZNSt6thread4joinEv@@GLIBCXX_3.4.11'), 'std::thread::join');
  });

  it('comes with the full text from demangleBoth', () => {
    for (const [mangled, base] of cases) {
      assert.deepEqual(demangleBoth(mangled), { full: demangle(mangled), base });
    }
  });
});

describe('requiredWords', () => {
  it('names what the mangled text must contain', () => {
    assert.deepEqual(requiredWords('node::Start'), ['node', 'Start']);
    assert.deepEqual(requiredWords('*Socket*::apply[A-Z]ption*'), ['Socket', 'apply', 'ption']);
    assert.deepEqual(requiredWords('std::vector<int>::push_back(int&&)'), ['push_back']);
    assert.deepEqual(requiredWords('operator new'), []);
    assert.deepEqual(requiredWords('*ring*'), []);
    assert.deepEqual(requiredWords('foo[1234abcd]::größe'), ['foo']);
  });

  it('rules names out and never the right one', () => {
    assert.equal(mayMatch('_ZN4node5StartEiPPc', requiredWords('node::Start')), true);
    assert.equal(mayMatch('_ZN4node4StopEv', requiredWords('node::Start')), false);
  });
});

describe('against c++filt', { skip: lacking('nm', 'c++filt') }, () => {
  for (const path of [nodePath, workerdPath, '/usr/lib/x86_64-linux-gnu/libstdc++.so.6']) {
    const skip = lacking(path);
    const sample = lazy(() => {
      const names = mangledNames(path);
      const step = Math.max(1, names.length / 15_000);
      return Array.from({ length: Math.min(15_000, names.length) }, (_, at) => names[Math.floor(at * step)] as string);
    });

    it(`agrees on up to 15,000 symbols of ${path}`, { skip }, () => {
      const texts = cxxfilt(sample());
      assert.ok(sample().length > 1000);
      for (const [at, name] of sample().entries()) {
        // What this c++filt leaves alone, newer ones may read: nothing to compare.
        if (texts[at] !== name && !misreadByCxxfilt(name)) assert.equal(demangle(name), texts[at], name);
      }
    });

    it(`agrees on their names without parameters: ${path}`, { skip }, () => {
      const texts = cxxfilt(sample(), '-p');
      for (const [at, name] of sample().entries()) {
        // c++filt -p also drops the suffix of a clone.
        if (texts[at] === name || name.includes('.') || misreadByCxxfilt(name)) continue;
        assert.equal(demangledBaseName(name), texts[at], name);
      }
    });

    it(`never rules out a symbol by its own words: ${path}`, { skip }, () => {
      for (const name of sample()) {
        const text = demangle(name);
        if (text === undefined) continue;
        assert.equal(mayMatch(name, requiredWords(text)), true, `${name}: ${requiredWords(text)}`);
      }
    });
  }
});

describe('hostile names', () => {
  const seeds = [
    '_ZN4node5StartEiPPc',
    '_ZZN1AIiE1fES_ENKUlTyT_T0_E_clIiEEDaS_',
    '_Z1fIJiiEEDTfrplT_Ev',
    '_ZStlsISt11char_traitsIcEERSt13basic_ostreamIcT_ES5_PKc',
    '_Z1fIiiEvNSt9enable_ifIXgtstT_Li4EEvE4typeE',
    '_RINvCs32gj3y4fnmh_4main3fooDG_INtC4core3FooRL0_eEp3BarhEL_E',
    '_RNvMCs32gj3y4fnmh_4mainINtB2_2ChKc5c_Kb0_Kl0_E4showB2_',
    '_ZN60_$LT$alloc..string..String$u20$as$u20$core..fmt..Display$GT$3fmt17h0123456789abcdefE',
    '_ZN2v84base4bits15CountPopulationIjEEjT_Qaasr3stdE13is_unsigned_vIS3_ElestS3_Li8E',
    '_Z1fRA3_A4_Ki',
  ];

  it('are read or refused, never thrown at', () => {
    const letters = fc.constantFrom(...'NSTIEJKPROFAMXLZDCUQBHWGYVr0123456789_abcdehijlmnopstvxz.$');
    const edit = fc.tuple(fc.nat(80), fc.nat(3), fc.array(letters, { maxLength: 4 }));
    const property = fc.property(fc.constantFrom(...seeds), fc.array(edit, { maxLength: 6 }), (seed, edits) => {
      let name = seed;
      for (const [at, cut, insert] of edits) {
        const from = 2 + (at % name.length);
        name = name.slice(0, from) + insert.join('') + name.slice(from + cut);
      }
      const both = demangleBoth(name);
      assert.equal(both?.full, demangle(name));
      assert.ok(both === undefined || both.full.length > 0 || name.length < 8);
    });
    fc.assert(property, { numRuns: 20_000, seed: 20_240_607 });
  });

  it('cost no more than long real ones', () => {
    const bombs = [
      // Each type names the one before twice: 2^40 without a limit.
      `_Z1f1AI${Array.from({ length: 34 }, (_, i) => `1AIS${i === 0 ? '' : (i - 1).toString(36).toUpperCase()}_S${i === 0 ? '' : (i - 1).toString(36).toUpperCase()}_E`).join('')}E`,
      `_Z1fIiE${'1AI'.repeat(2000)}i${'E'.repeat(2000)}v`,
      `_Z${'Z'.repeat(100_000)}`,
      `_Z1f${'P'.repeat(100_000)}i`,
      `_Z1f${'PF'.repeat(5000)}v${'E'.repeat(5000)}`,
      `_Z1fIJ${'i'.repeat(20_000)}EEv${'DpT_'.repeat(20)}`,
      `_Z1fILi${'9'.repeat(100_000)}EEvv`,
      `_Z1fIXspspspspspspspspspT_EEvv`,
      `_Z${'9'.repeat(1000)}f`,
      `_Z1fI${'X'.repeat(50_000)}`,
      `_RI${'NvC1a1b'.repeat(1)}${'T'.repeat(50_000)}`,
      `_RINvC1a1bT${Array.from({ length: 30 }, () => 'TB8_B8_E').join('')}EE`,
      `_RYYYYYYYYYYYYYYYB_B_B_B_B_B_B_B_B_`,
      `_Z${'_'.repeat(200_000)}`,
    ];
    for (const bomb of bombs) {
      const start = performance.now();
      const text = demangle(bomb);
      assert.ok(text === undefined || text.length <= 1 << 18, bomb.slice(0, 40));
      assert.ok(performance.now() - start < 500, `${bomb.slice(0, 40)}… took ${performance.now() - start} ms`);
    }
  });

  it('of doubling substitutions end within the limit', () => {
    let name = '_Z1f1AIiiE';
    // S_ is A, S0_ A<int, int>; each further one holds its predecessor twice.
    let last = 'S0_';
    for (let i = 1; i < 40; i++) {
      name += `S_I${last}${last}E`;
      last = `S${i.toString(36).toUpperCase()}_`;
    }
    const start = performance.now();
    assert.equal(demangle(name), undefined);
    assert.ok(performance.now() - start < 1000);
  });
});

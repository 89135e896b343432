import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { after, describe, test } from 'node:test';
import { crc32 } from 'node:zlib';
import { isFunction, lacking, libcPath, listedSymbols, output, Workshop } from '../../../test/binaries.ts';
import { virtualAddress } from '../../base/numbers.ts';
import { type DebugFileOptions, hostDebugFiles } from '../../kernel/host/debugfiles.ts';
import { HostFile } from '../../kernel/host/file.ts';
import { inflate } from '../../kernel/host/inflate.ts';
import { demangleBoth } from '../demangle/index.ts';
import { type ElfBinary, openBinary } from './binary.ts';

const workshop = new Workshop();
const opened: ElfBinary[] = [];
after(() => {
  for (const binary of opened) binary.close();
  workshop[Symbol.dispose]();
});

function open(path: string, options: DebugFileOptions = {}): ElfBinary {
  const file = HostFile.open(path);
  assert.ok(file.ok);
  const debugFiles = hostDebugFiles({ environment: {}, ...options });
  const binary = openBinary(path, file.value, { demangle: demangleBoth, debugFiles, inflate });
  assert.ok(binary.ok);
  opened.push(binary.value);
  return binary.value;
}

const source = `
#include <stdio.h>
static int table[4] = {1, 2, 3, 4};
__attribute__((noinline)) static int inner(int x) { return table[x & 3] + printf("%d", x); }
__attribute__((noinline)) int outer(int x) { return inner(x) * 2; }
int main(int argc, char **argv) { return outer(argc); }
`;

const layer = (binary: ElfBinary, name: string): { readonly found: boolean; readonly detail: string } => {
  const report = binary.layers.explain().find((one) => one.layer === name);
  assert.ok(report !== undefined, name);
  return report;
};

/** Address of a function as nm lists it. */
function nm(path: string, name: string): number {
  const symbol = listedSymbols(path).find((one) => one.name === name);
  assert.ok(symbol !== undefined);
  return symbol.address;
}

/** A program; its debug file; itself without symbols. */
function make(name: string, ...options: readonly string[]): { whole: string; debug: string; stripped: string } {
  const whole = workshop.gcc(`${name}.whole`, `${name}.c`, source, '-O2', '-g', ...options);
  const debug = workshop.path(`${name}.debug`);
  const stripped = workshop.path(name);
  output('objcopy', ['--only-keep-debug', whole, debug]);
  output('strip', ['-s', '-o', stripped, whole]);
  return { whole, debug, stripped };
}

const tools = lacking('gcc', 'objcopy', 'strip', 'readelf', 'nm', 'xz');

describe('layers of names', { skip: tools }, () => {
  test('.gnu_debugdata, made by the recipe in the GDB manual', () => {
    const { whole, debug } = make('mini');
    // "Debugging information in a special section": keep the functions that .dynsym has not, packed by xz.
    const names = (args: readonly string[]): string[] =>
      output('nm', [...args, '--format=posix', '--defined-only', whole])
        .split('\n')
        .flatMap((row) => (/^(\S+) [Tt] /.exec(row) ?? []).slice(1))
        .sort();
    const dynamic = new Set(names(['-D']));
    const keep = workshop.write(
      'keep',
      `${names([])
        .filter((name) => !dynamic.has(name))
        .join('\n')}\n`,
    );
    const mini = workshop.path('mini.debugdata');
    output('objcopy', [
      '-S',
      '--remove-section',
      '.gdb_index',
      '--remove-section',
      '.comment',
      `--keep-symbols=${keep}`,
      debug,
      mini,
    ]);
    const stripped = workshop.path('with-mini');
    output('strip', ['--strip-all', '-R', '.comment', '-o', stripped, whole]);
    output('xz', ['-f', mini]);
    output('objcopy', ['--add-section', `.gnu_debugdata=${mini}.xz`, stripped]);

    const binary = open(stripped);
    assert.equal(binary.find('inner')[0]?.address, nm(whole, 'inner'));
    assert.equal(binary.at(virtualAddress(nm(whole, 'outer') + 2))?.name, 'outer');
    assert.equal(binary.stripped, false);
    assert.equal(layer(binary, '.gnu_debugdata').found, true);
    assert.equal(layer(binary, '.symtab').found, false);

    // Damaged in the middle: told, and no names.
    const bytes = readFileSync(`${mini}.xz`);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 0xff;
    const bad = workshop.path('bad-mini');
    output('strip', ['--strip-all', '-o', bad, whole]);
    output('objcopy', ['--add-section', `.gnu_debugdata=${workshop.write('bad.xz', bytes)}`, bad]);
    const damaged = open(bad);
    assert.equal(damaged.find('inner').length, 0);
    assert.match(layer(damaged, '.gnu_debugdata').detail, /^it can't be read: /);
  });

  test('a debug file below --debuginfo, by build-id, also compressed by zlib and zstd', () => {
    const { whole, debug, stripped } = make('folder');
    const buildId = open(stripped).buildId;
    for (const method of ['none', 'zlib', 'zlib-gnu', 'zstd']) {
      const root = workshop.path(`root-${method}`);
      mkdirSync(`${root}/.build-id/${buildId.slice(0, 2)}`, { recursive: true });
      const path = `${root}/.build-id/${buildId.slice(0, 2)}/${buildId.slice(2)}.debug`;
      output('objcopy', [`--compress-debug-sections=${method}`, debug, path]);
      const binary = open(stripped, { folders: [workshop.path('no-such-folder'), root] });
      assert.equal(binary.debugPath, path);
      assert.equal(binary.find('inner')[0]?.address, nm(whole, 'inner'));
      const line = binary.source(virtualAddress(nm(whole, 'outer')))?.frames.at(-1);
      assert.equal(`${line?.function} ${line?.file}:${line?.line}`, `outer ${workshop.path('folder.c')}:5`, method);
      const { attempts } = binary.layers.explain().find((one) => one.layer === 'build-id') ?? {};
      assert.deepEqual(
        attempts?.map(({ problem }) => problem),
        ['no such file', undefined],
      );
    }
    assert.equal(open(stripped).find('inner').length, 0);
  });

  test('.gnu_debuglink without build-ids: the checksum decides', () => {
    const { whole, debug, stripped } = make('linked', '-Wl,--build-id=none');
    const linked = workshop.path('linked.bin');
    output('objcopy', [`--add-gnu-debuglink=${debug}`, stripped, linked]);
    const binary = open(linked);
    assert.equal(binary.buildId, '');
    assert.equal(binary.debugPath, debug);
    assert.equal(binary.find('inner')[0]?.address, nm(whole, 'inner'));
    assert.equal(binary.elf.debugLink()?.crc, crc32(readFileSync(debug)));
    binary.close();
    // One byte more: another file.
    writeFileSync(debug, '\0', { flag: 'a' });
    const other = open(linked);
    assert.equal(other.find('inner').length, 0);
    const { attempts } = other.layers.explain().find((one) => one.layer === '.gnu_debuglink') ?? {};
    assert.equal(attempts?.[0]?.problem, 'its checksum is not the one in .gnu_debuglink');
    // The same below a folder of the user's.
    rmSync(debug);
    mkdirSync(workshop.path('flat'));
    output('objcopy', ['--only-keep-debug', whole, workshop.path(`flat/${basename(debug)}`)]);
    assert.equal(open(linked, { folders: [workshop.path('flat')] }).find('inner').length, 1);
  });

  test('--symbols: taken by build-id, refused otherwise; by force only with the same code', () => {
    const { whole, debug, stripped } = make('given');
    for (const symbols of [whole, debug]) {
      const binary = open(stripped, { symbols });
      assert.equal(binary.layers.symbolsProblem, undefined);
      assert.equal(binary.find('inner')[0]?.address, nm(whole, 'inner'));
      assert.equal(binary.source(virtualAddress(nm(whole, 'outer')))?.frames[0]?.line, 5);
    }

    const otherId = workshop.gcc('other-id', 'given.c', source, '-O2', '-g', '-Wl,--build-id=0x1234567890');
    const refused = open(stripped, { symbols: otherId });
    assert.equal(refused.layers.symbolsProblem?.code, 'E_OTHER_BUILD');
    assert.match(refused.layers.symbolsProblem?.message ?? '', /build-id 1234567890, but the binary has [0-9a-f]{40}/);
    assert.equal(refused.find('inner').length, 0);

    // The same code, but for the note: its length moves nothing when it is padded alike.
    const sameSize = workshop.gcc('same-size', 'given.c', source, '-O2', '-g', `-Wl,--build-id=0x${'ab'.repeat(20)}`);
    const forced = open(stripped, { symbols: sameSize, symbolsForce: true });
    assert.equal(forced.layers.symbolsProblem, undefined);
    assert.equal(forced.find('inner')[0]?.address, nm(whole, 'inner'));

    const otherCode = workshop.gcc('other-code', 'other.c', source.replace('* 2', '* 6'), '-O2', '-g');
    const different = open(stripped, { symbols: otherCode, symbolsForce: true });
    assert.equal(different.layers.symbolsProblem?.code, 'E_OTHER_CODE');
    assert.equal(different.find('inner').length, 0);

    assert.equal(
      open(stripped, { symbols: workshop.path('nothing') }).layers.symbolsProblem?.code,
      'E_NO_SYMBOLS_FILE',
    );
    assert.equal(
      open(stripped, { symbols: workshop.write('text', 'no ELF') }).layers.symbolsProblem?.code,
      'E_NOT_ELF',
    );
  });

  test('nothing but DWARF: its own functions', () => {
    const { whole } = make('dwarf');
    const path = workshop.path('dwarf-only');
    output('strip', ['-s', '--keep-section=.debug*', '-o', path, whole]);
    const binary = open(path);
    assert.equal(binary.find('inner')[0]?.address, nm(whole, 'inner'));
    const { size } = listedSymbols(whole).find((one) => one.name === 'inner') ?? {};
    assert.equal(binary.find('inner')[0]?.size, size);
    assert.equal(binary.at(virtualAddress(nm(whole, 'inner') + 1))?.name, 'inner');
    assert.deepEqual(
      binary
        .search(/^(in|out)ner$|^outer$/)
        .map(({ name }) => name)
        .sort(),
      ['inner', 'outer'],
    );
    assert.deepEqual(binary.near('iner').slice(0, 1), ['inner']);
  });
});

test('an expression finds what it finds among what nm -C lists', { skip: lacking(libcPath, 'nm') }, () => {
  const node = open(process.execPath);
  const listed = output('nm', ['-C', process.execPath]).split('\n');
  for (const regex of [
    /uv_.*bind$/,
    /HandleWrap::\w+\(v8/,
    /^v8::internal::Heap::Collect/,
    /node::.*Start\(|uv_run/,
    /^(_Z.*)?uv__io_poll|^\w+Agent::St[ao]/,
  ]) {
    const ours = new Set(node.search(regex).map(({ address, name, demangled }) => `${address} ${demangled || name}`));
    let wanted = 0;
    for (const row of listed) {
      const [, address = '', letter = '', name = ''] = /^([0-9a-f]+) (\w) (.*)$/.exec(row) ?? [];
      if (!/^[TtWwi]$/.test(letter) || !regex.test(name)) continue;
      const value = Number.parseInt(address, 16);
      // Labels of assembler files are no functions.
      if (!functionAddresses().has(value)) continue;
      wanted++;
      assert.ok(
        [...ours].some((one) => one.startsWith(`${value} `)),
        `${regex}: ${name}`,
      );
    }
    assert.ok(wanted > 0, String(regex));
    assert.ok(ours.size >= wanted / 2);
  }
});

let addresses: Set<number> | undefined;
function functionAddresses(): Set<number> {
  addresses ??= new Set(
    listedSymbols(process.execPath)
      .filter(isFunction)
      .map(({ address }) => address),
  );
  return addresses;
}

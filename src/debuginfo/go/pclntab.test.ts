import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import { lacking, output, random, Workshop } from '../../../test/binaries.ts';
import { virtualAddress } from '../../base/numbers.ts';
import { bytesReader } from '../../bytes/file.ts';
import { HostFile } from '../../kernel/host/file.ts';
import { ElfFile } from '../elf/elf.ts';
import { GoFunctions } from './pclntab.ts';

const workshop = new Workshop();
after(() => workshop[Symbol.dispose]());

const source = `package main

import (
	"fmt"
	"os"
	"sort"
	"strings"
)

type shop struct{ items []string }

func (s *shop) add(name string) { s.items = append(s.items, strings.ToUpper(name)) }

//go:noinline
func total[T int | float64](values []T) (sum T) {
	for _, v := range values {
		sum += v
	}
	return sum
}

func main() {
	s := &shop{}
	for _, a := range os.Args {
		s.add(a)
	}
	sort.Slice(s.items, func(i, j int) bool { return s.items[i] < s.items[j] })
	fmt.Println(s.items, total([]int{1, 2}), total([]float64{1, 2}))
}
`;

function build(name: string, ...options: readonly string[]): string {
  workshop.write('main.go', source);
  workshop.write('go.mod', 'module shop\ngo 1.20\n');
  const path = workshop.path(name);
  const command = 'cd "$1" && shift && CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-mod=mod go build "$@" .';
  output('sh', ['-c', command, '', workshop.folder, '-o', path, ...options]);
  return path;
}

function open(path: string): { readonly elf: ElfFile; readonly table: GoFunctions } {
  const file = HostFile.open(path);
  assert.ok(file.ok);
  const elf = ElfFile.open(path, file.value);
  assert.ok(elf.ok);
  const table = GoFunctions.open(elf.value);
  assert.ok(table !== undefined);
  return { elf: elf.value, table };
}

describe("Go's function table, against go tool nm and addr2line", { skip: lacking('go', 'strip') }, () => {
  for (const [kind, options] of [
    ['fixed addresses', []],
    ['position-independent', ['-buildmode=pie']],
  ] as const) {
    test(kind, (context) => {
      const whole = build(`whole-${options.length}`, ...options);
      // The same code without symbols and DWARF: the linker would place it elsewhere with -s -w.
      const path = `${whole}.stripped`;
      cpSync(whole, path);
      output('strip', ['-s', path]);
      const { elf, table } = open(path);
      assert.equal(elf.section('.symtab'), undefined);

      const ours = new Map([...table.functions()].map((one) => [one.address as number, one]));
      let functions = 0;
      const addresses: number[] = [];
      for (const row of output('go', ['tool', 'nm', '-size', whole]).split('\n')) {
        const match = /^\s*([0-9a-f]+)\s+(\d+) [tT] (.+)$/.exec(row);
        if (match === null) continue;
        const [, hex = '', , name = ''] = match;
        // Marks of the linker, and a second name of assembler functions.
        if (/^(runtime\.e?text|_rt0_amd64_linux|go:.*|runtime\.text\.\d+)$/.test(name)) continue;
        const found = ours.get(Number.parseInt(hex, 16));
        assert.ok(found !== undefined, `${name} at ${hex}`);
        // Up to Go 1.20 the table leaves out what a generic function is instantiated with.
        const said = name.replace(/\.abi0$/, '');
        const expected = found.name.includes('[...]') ? said.replace(/\[.*\]/, '[...]') : said;
        assert.equal(found.name.replaceAll('·', '.'), expected, hex);
        functions++;
        addresses.push(found.address, found.address + Math.floor(found.size / 3));
      }
      assert.ok(functions > 1000, `${functions} functions`);
      assert.ok([...ours.values()].some(({ name }) => name === 'main.(*shop).add' || name === 'main.main'));
      assert.ok([...ours.values()].some(({ name }) => name.startsWith('main.total[')));

      // `go tool addr2line` answers out of DWARF, or the table, of the whole file: name, then file:line.
      const asked = addresses.map((one) => `0x${one.toString(16)}\n`).join('');
      const rows = output('go', ['tool', 'addr2line', whole], asked).trimEnd().split('\n');
      if (kind === 'position-independent' && rows.every((row, at) => at % 2 === 0 || row === '?:0')) {
        context.diagnostic("lines not compared: this go's addr2line does not read position-independent programs");
        return;
      }
      let same = 0;
      for (const [at, address] of addresses.entries()) {
        const line = table.at(virtualAddress(address));
        const place = rows[2 * at + 1] ?? '';
        if (place === '?:0' || place === ':-1') continue;
        assert.equal(`${line?.file}:${line?.line}`, place, `at 0x${address.toString(16)}`);
        same++;
      }
      assert.ok(same > 2000, `${same} lines`);
    });
  }

  test('built with -s -w', () => {
    const { elf, table } = open(build('small', '-ldflags=-s -w'));
    assert.equal(elf.section('.symtab'), undefined);
    assert.equal(elf.section('.debug_info'), undefined);
    const main = [...table.functions()].find(({ name }) => name === 'main.main');
    assert.ok(main !== undefined);
    const line = table.at(main.address);
    assert.equal(line?.function, 'main.main');
    assert.equal(line?.file, workshop.path('main.go'));
    // Where "func main()" stands in the source above.
    assert.equal(line?.line, 22);
  });

  test('damaged: something else, or nothing, and no crash', () => {
    const whole = build('whole-0');
    const file = HostFile.open(whole);
    assert.ok(file.ok);
    const bytes = file.value.read(0, file.value.size).slice();
    const { elf } = open(whole);
    const section = elf.section('.gopclntab');
    assert.ok(section !== undefined);
    const pick = random(9);
    const text = elf.section('.text');
    assert.ok(text !== undefined);
    for (let round = 0; round < 60; round++) {
      const kept: [number, number][] = [];
      for (let left = 1 + pick(30); left > 0; left--) {
        const at = section.offset + pick(round % 2 === 0 ? 80 : section.size);
        kept.push([at, bytes[at] as number]);
        bytes[at] = pick(256);
      }
      const damaged = ElfFile.open('damaged', bytesReader(bytes));
      assert.ok(damaged.ok);
      const table = GoFunctions.open(damaged.value);
      for (let left = 100; left > 0; left--) table?.at(virtualAddress(text.address + pick(text.size)));
      let count = 0;
      for (const one of table?.functions() ?? []) if (one.size > 0 && ++count > 5000) break;
      for (const [at, byte] of kept.reverse()) bytes[at] = byte;
    }
  });
});

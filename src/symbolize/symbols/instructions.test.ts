/** Where instructions begin, as objdump disassembles them. */
import assert from 'node:assert/strict';
import { copyFileSync, realpathSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import { lacking, libcPath, nodePath, openElf, output, Workshop } from '../../../test/binaries.ts';
import { virtualAddress } from '../../base/numbers.ts';
import type { ElfBinary } from './binary.ts';

const workshop = new Workshop();
after(() => workshop[Symbol.dispose]());

/** Starts of all instructions of a function, by objdump. */
function disassembled(path: string, start: number, size: number): number[] {
  const range = [`--start-address=${start}`, `--stop-address=${start + size}`];
  return [...output('objdump', ['-d', '-w', ...range, path]).matchAll(/^\s+([0-9a-f]+):\t/gm)].map((match) =>
    Number.parseInt(match[1] as string, 16),
  );
}

/** Every address of the function begins an instruction exactly when objdump says so. */
function agrees(binary: ElfBinary, path: string, start: number, size: number): void {
  const starts = new Set(disassembled(path, start, size));
  assert.ok(starts.size > 5, `objdump shows ${starts.size} instructions`);
  for (let address = start; address < start + size; address++) {
    const place = binary.codeAt(virtualAddress(address));
    assert.equal(place.function, start);
    assert.equal(place.instruction === address, starts.has(address), `at 0x${address.toString(16)}`);
  }
}

describe('codeAt', { skip: lacking(libcPath) }, () => {
  const nodeFunctions = [
    'uv_tcp_bind',
    'uv__io_poll',
    '_ZN4node7TCPWrap4BindERKN2v820FunctionCallbackInfoINS1_5ValueEEE',
  ];
  for (const name of nodeFunctions) {
    test(`in node: ${name}`, (t) => {
      const [symbol] = openElf(nodePath).find(name);
      if (symbol === undefined) {
        t.skip(`this node has no symbol ${name}`);
        return;
      }
      agrees(openElf(nodePath), nodePath, symbol.address, symbol.size);
    });
  }

  test('in a stripped copy, where .eh_frame tells the bounds', () => {
    const original = realpathSync(libcPath as string);
    const path = workshop.path('libc-stripped');
    copyFileSync(original, path);
    output('objcopy', ['--strip-all', path]);
    const symbols = openElf(original);
    for (const name of ['connect', 'qsort_r', 'getaddrinfo']) {
      const [symbol] = symbols.find(name);
      assert.ok(symbol, name);
      agrees(openElf(path), original, symbol.address, symbol.size);
    }
  });

  test('says nothing where no function is', () => {
    assert.deepEqual(openElf(nodePath).codeAt(virtualAddress(0x10)), { function: undefined, instruction: undefined });
  });
});

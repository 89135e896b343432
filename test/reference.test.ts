/**
 * What the kernel computes for pure expressions is what the language says: random ones
 * are compiled, run by BPF_PROG_TEST_RUN, and compared with test/reference.ts.
 * INSITU_PROGRAMS=N takes N programs of 12 expressions, INSITU_SEED=N starts elsewhere.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compile } from '../src/compiler/compile.ts';
import { Source } from '../src/diag/source.ts';
import { runProgram } from '../src/kernel/attach/testrun.ts';
import { constant, constantNames } from '../src/kernel/host/constants/index.ts';
import { createHostTarget } from '../src/kernel/host/target.ts';
import { loadProgram } from '../src/kernel/load/load.ts';
import { RingReader } from '../src/kernel/ring/ring.ts';
import type { Program } from '../src/program/program.ts';
import { eventDecoder, type Value } from '../src/values/index.ts';
import { lacking } from './insitu.ts';
import { ReferenceProgram, type Term } from './reference.ts';

const count = Number(process.env['INSITU_PROGRAMS'] ?? 2000);
const firstSeed = Number(process.env['INSITU_SEED'] ?? 1);

/** What a program prints. */
function run(program: Program): Value[] {
  const values: Value[] = [];
  const loaded = loadProgram(program);
  try {
    const events = loaded.map('events');
    assert.ok(events);
    const formatting = { printf: () => () => '', now: () => '' };
    const decoders = program.events.map((spec) => eventDecoder(spec, formatting));
    const ring = new RingReader(events.fd, events.spec.maxEntries, (view, offset) => {
      const event = decoders[view.getUint32(offset, true)]?.(view, offset);
      if (event?.type === 'value') values.push(event.value);
    });
    const first = loaded.programs[0];
    assert.ok(first);
    runProgram(first);
    ring.drain();
    ring.close();
  } finally {
    loaded.close();
  }
  return values;
}

const shown = (value: Value | undefined): string | bigint | boolean | undefined => {
  if (value?.kind === 'int') return BigInt(value.value);
  if (value?.kind === 'bool') return value.value;
  return value?.kind === 'string' ? value.text : undefined;
};

test(`${count} programs of pure expressions compute what they must`, { skip: lacking(), timeout: 3_600_000 }, () => {
  const target = createHostTarget({ constants: { constant, constantNames } });
  for (let seed = firstSeed; seed < firstSeed + count; seed++) {
    const reference = new ReferenceProgram(seed);
    const result = compile(new Source(`seed ${seed}`, reference.text), target);
    if (!result.ok) {
      const complaints = result.diagnostics.map(({ severity, message }) => `${severity}: ${message}`).join('\n');
      assert.fail(`seed ${seed} was refused by the compiler:\n${reference.text}\n${complaints}`);
    }
    const values = run(result.program);
    for (const [index, term] of reference.expected.entries()) {
      assert.equal(shown(values[index]), expectation(term), `seed ${seed}: ${term.text}\n${reference.text}`);
    }
  }
});

const expectation = (term: Term): string | bigint | boolean => term.value;

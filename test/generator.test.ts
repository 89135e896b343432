/**
 * The compiler's promise: what the checker accepts, the verifier accepts. Random
 * well-typed programs from fixed seeds are compiled for this machine and loaded.
 * INSITU_PROGRAMS=N takes N of them (2,000 in CI), INSITU_SEED=N starts elsewhere.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compile } from '../src/compiler/compile.ts';
import { Source } from '../src/diag/source.ts';
import { constant, constantNames } from '../src/kernel/host/constants/index.ts';
import { createHostTarget } from '../src/kernel/host/target.ts';
import { loadProgram, VerifierError } from '../src/kernel/load/load.ts';
import { readDefinitions } from '../src/session/definitions.ts';
import { ProgramGenerator } from './generator.ts';
import { GrammarGenerator } from './grammar.ts';
import { lacking } from './insitu.ts';

const count = Number(process.env['INSITU_PROGRAMS'] ?? 2000);
const firstSeed = Number(process.env['INSITU_SEED'] ?? 1);

/** The generators: one goes through probes, structs and what they hold, one through the rest of the grammar. */
const generators = [
  { name: 'of probes and structs', script: (seed: number): string => new ProgramGenerator(seed).script() },
  { name: 'of the whole grammar', script: (seed: number): string => new GrammarGenerator(seed).script() },
];

for (const { name, script } of generators) {
  const title = `${count} random programs ${name} that the checker accepts load`;
  test(title, { skip: lacking('tracefs'), timeout: 900_000 + 500 * count }, () => {
    const target = createHostTarget({ includeDirs: [], scriptDir: undefined, constants: { constant, constantNames } });
    let accepted = 0;
    let instructions = 0;
    for (let seed = firstSeed; seed < firstSeed + count; seed++) {
      const text = script(seed);
      const result = compile(new Source(`seed ${seed}`, text), target, {
        readC: (source, script, machine, diagnostics) => readDefinitions(source, script, machine, diagnostics, []),
      });
      if (!result.ok) continue;
      accepted++;
      instructions += result.program.programs.reduce((sum, program) => sum + program.code.length / 8, 0);
      try {
        loadProgram(result.program).close();
      } catch (error) {
        const complaint = error instanceof VerifierError ? error.log.slice(-2000) : String(error);
        assert.fail(`seed ${seed} was refused by the kernel:\n${text}\n${complaint}`);
      }
    }
    // A checker that refused everything would keep the promise too.
    assert.ok(
      accepted > 0.9 * count,
      `only ${accepted} of ${count} programs were accepted: the generator or the checker has a fault`,
    );
    assert.ok(
      instructions / accepted > 200,
      `programs of ${instructions / accepted} instructions on average test nothing`,
    );
  });
}

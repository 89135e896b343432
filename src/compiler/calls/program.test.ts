/** The program behind `insitu calls` loads on this kernel, in all its forms; test/calls.test.ts runs it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasUprobeMulti } from '../../kernel/host/features.ts';
import { kernelAtLeast, kernelVersion } from '../../kernel/host/machine.ts';
import { loadProgram } from '../../kernel/load/load.ts';
import { needsRoot } from '../../kernel/sample.ts';
import { frameBytes, mostFrames, mostTexts, threadAt } from '../../program/calls.ts';
import { callsProgram } from './program.ts';

for (const texts of [0, 1, 1 + mostTexts]) {
  for (const sleepable of [false, true]) {
    test(`with ${texts} texts${sleepable ? ', sleepable' : ''}`, { skip: needsRoot }, (t) => {
      if (sleepable && !kernelAtLeast(6, 0)) {
        t.skip('programs of uprobes may sleep since Linux 6.0');
        return;
      }
      const program = callsProgram({ kernel: kernelVersion(), functions: 3, texts, sleepable });
      const threads = program.maps.find(({ name }) => name === 'threads');
      assert.equal(threads?.valueSize, threadAt.frames + mostFrames * frameBytes(texts));
      const loaded = loadProgram(program, { uprobeMultiPrograms: hasUprobeMulti() ? [0] : [] });
      assert.equal(loaded.programs.length, 2);
      loaded.close();
    });
  }
}

/** test: and bench: probes, run by --test and --bench. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { insitu, lacking } from './insitu.ts';

const skip = lacking('tracefs');
const script = `BEGIN { printf("begin\\n"); @n = 0; }
test:good { @n++; printf("said by good\\n"); }
test:returns { @n++; printf("said by returns\\n"); return 3; }
test:exits { @n++; exit(2); }
test:leaves { @n++; exit(0); }
test:loop { for ($i : 0..5) { if ($i == 3) { return 1; } } }
test:second { printf("%s @n %d\\n", probe, @n); if (@n != 4) { return 1; } }
bench:empty { }
bench:loop { $s = 0; for ($i : 0..100) { $s += $i; } @s = $s; }
END { printf("end\\n"); }`;

describe('tests', { skip }, () => {
  test('pass by what they return and how they exit; only failed ones show what they said', async () => {
    const { stdout, status } = await insitu(['--test', '-e', script]);
    const lines = stdout.replace(/ \(\d+ (?:ns|μs)\)/g, '').split('\n');
    assert.deepEqual(lines.slice(0, lines.indexOf('end') + 1), [
      '[==========] Running 6 tests.',
      '[ RUN      ] good',
      '[       OK ] good',
      '[ RUN      ] returns',
      'said by returns',
      '[  FAILED  ] returns',
      '[ RUN      ] exits',
      '[  FAILED  ] exits',
      '[ RUN      ] leaves',
      '[       OK ] leaves',
      '[ RUN      ] loop',
      '[  FAILED  ] loop',
      '[ RUN      ] second',
      '[       OK ] second',
      '[==========] 6 tests ran.',
      '[  PASSED  ] 3 tests.',
      '[  FAILED  ] 3 tests, listed below:',
      '[  FAILED  ] returns',
      '[  FAILED  ] exits',
      '[  FAILED  ] loop',
      'end',
    ]);
    assert.equal(status, 1);
  });

  test('all passed is status 0; --probe-filter chooses; JSON has their output', async () => {
    const { stdout, status } = await insitu(['--test', '-f', 'json', '--probe-filter', ':good$', '-e', script]);
    const [first = ''] = stdout.split('\n');
    const { type, data } = JSON.parse(first) as { type: string; data: Record<string, Record<string, unknown>> };
    assert.equal(type, 'test_result');
    assert.equal(data['good']?.['passed'], true);
    assert.equal(data['good']?.['output'], 'begin\nsaid by good\n');
    assert.ok(Number(data['good']?.['duration']) > 0);
    assert.equal(status, 0);
  });

  test('without --test they do not run, and a script of nothing else says so', async () => {
    const { stdout } = await insitu(['-q', '-e', 'test:t { printf("no\\n"); } BEGIN { printf("yes\\n"); exit(); }']);
    assert.equal(stdout.trim(), 'yes');
    const { stderr, status } = await insitu(['-e', 'test:t { }']);
    assert.match(stderr, /only test probes, which run with --test/);
    assert.equal(status, 1);
  });
});

describe('benchmarks', { skip }, () => {
  test('tell the mean time of a run, which grows with what is done', { timeout: 30_000 }, async () => {
    const { stdout, status } = await insitu(['--bench', '-f', 'json', '-e', script], { timeout: 25_000 });
    const results = new Map(
      stdout
        .split('\n')
        .filter((line) => line.includes('benchmark_result'))
        .flatMap((line) =>
          Object.entries((JSON.parse(line) as { data: Record<string, { average: number; iters: number }> }).data),
        ),
    );
    assert.deepEqual([...results.keys()], ['empty', 'loop']);
    const [empty, loop] = [results.get('empty'), results.get('loop')];
    assert.ok(empty && loop && empty.iters >= 1000 && loop.average > empty.average, stdout);
    assert.equal(status, 0);
  });

  test('print a table', { timeout: 30_000 }, async () => {
    const { stdout } = await insitu(['--bench', '--probe-filter', 'empty', '-e', script]);
    assert.match(stdout, /^Benchmark +Time\(ns\) +Iterations\n-+\nempty +\d+ +\d+\n/m);
  });
});

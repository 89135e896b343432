// npm run check: everything that looks at the text of the project without running it.
// All checks run, also after one has failed; ends with 1 when any failed.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { install, root } from './setup.mjs';

install();
const bin = (name) => join(root, 'node_modules', '.bin', name);
const checks = [
  ['types', bin('tsc'), ['-p', 'tsconfig.json', '--noEmit', '--incremental', 'false']],
  ['lint and format', bin('biome'), ['check', '--error-on-warnings']],
  ['import direction', process.execPath, [join('tools', 'check-imports.mjs')]],
  ['unused code', bin('knip'), ['--no-progress']],
  ['every name has a test', process.execPath, [join('tools', 'conformance.mjs'), '--check']],
  // Every generated file has a generator that can say whether it is up to date.
  ...readdirSync(join(root, 'tools'))
    .filter((file) => /^gen-.*\.mjs$/.test(file))
    .map((file) => [`generated: ${file}`, process.execPath, [join('tools', file), '--check']]),
];

const results = checks.map(([name, command, args]) => {
  const start = Date.now();
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (status !== 0) process.stdout.write(`\n== ${name}\n${stdout ?? ''}${stderr ?? ''}`);
  return { name, passed: status === 0, seconds: (Date.now() - start) / 1000 };
});
console.log();
for (const { name, passed, seconds } of results)
  console.log(`${passed ? 'ok  ' : 'FAIL'} ${name} (${seconds.toFixed(1)} s)`);
const failed = results.filter((result) => !result.passed).length;
console.log(`${results.length - failed} checks passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

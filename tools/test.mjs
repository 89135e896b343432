// npm test: installs, builds, fetches fixtures, and runs every *.test.ts as compiled.
// Arguments that start with `-` go to node; others pick the files whose path contains them.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fail, install, root, run } from './setup.mjs';

install();
run('npm', ['run', '--silent', 'build']);
const words = process.argv.slice(2);
const flags = words.filter((word) => word.startsWith('-'));
const wanted = words.filter((word) => !word.startsWith('-'));
if (process.env.INSITU_NO_FIXTURES === undefined) run(process.execPath, [join('tools', 'fixtures.mjs')]);

// From the sources, not from dist: a deleted test leaves its compiled file behind.
const files = ['src', 'test', 'bench', 'tools']
  .flatMap((folder) => readdirSync(join(root, folder), { recursive: true }).map((file) => join(folder, file)))
  .filter((file) => file.endsWith('.test.ts') && (wanted.length === 0 || wanted.some((word) => file.includes(word))))
  .sort()
  .map((file) => join('dist', file.replace(/\.ts$/, '.js')));
if (files.length === 0) fail(`no test file matches ${wanted.join(', ')}`);
const missing = files.filter((file) => !existsSync(join(root, file)));
if (missing.length > 0) fail(`the build left out ${missing.join(', ')}`);

// One file at a time: tests measure latencies and look at what a tracer leaves behind.
const { status } = spawnSync(
  process.execPath,
  ['--test', '--test-reporter=spec', '--test-concurrency=1', '--enable-source-maps', ...flags, ...files],
  { cwd: root, stdio: 'inherit' },
);
process.exit(status ?? 1);

// npm test: installs, builds, fetches fixtures, and runs every *.test.ts as compiled.
// Arguments that start with `-` go to node; others pick the files whose path contains them.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fail, install, root, run } from './setup.mjs';

/** More files than this fail together for a reason. */
const mostRepeated = 5;

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

const failedFile = join(mkdtempSync(join(tmpdir(), 'insitu-test-')), 'failed');

/** Runs test files; gives the status, and those in which a test failed. */
function runTests(testFiles) {
  const { status } = spawnSync(
    process.execPath,
    [
      '--test',
      // One file at a time: tests measure latencies and look at what a tracer leaves behind.
      '--test-concurrency=1',
      '--enable-source-maps',
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      `--test-reporter=${join(root, 'tools', 'failures.mjs')}`,
      `--test-reporter-destination=${failedFile}`,
      ...flags,
      ...testFiles,
    ],
    { cwd: root, stdio: 'inherit' },
  );
  const told = new Set(readFileSync(failedFile, 'utf8').split('\n').map(compiledPath));
  return { status: status ?? 1, failed: testFiles.filter((file) => told.has(file)) };
}

/** The path in dist, from the root, of a test file that may be told by the path of its source. */
function compiledPath(path) {
  const fromRoot = relative(root, resolve(root, path));
  return fromRoot.endsWith('.ts') ? join('dist', fromRoot.replace(/\.ts$/, '.js')) : fromRoot;
}

let { status, failed } = runTests(files);
// Tests look at a living machine. In a run of everything, what failed in a few files is looked at
// once more, and told: a fault of insitu fails again.
if (status !== 0 && wanted.length === 0 && failed.length > 0 && failed.length <= mostRepeated) {
  const names = failed.map((file) => `  ${file}`).join('\n');
  console.log(`\nOnce more, since a test in them failed:\n${names}\n`);
  ({ status } = runTests(failed));
  console.log(`\n${status === 0 ? 'UNSTEADY: failed at first, passed when run again' : 'Failed twice'}:\n${names}`);
}
rmSync(dirname(failedFile), { recursive: true, force: true });
process.exit(status);

// What every command of the project does first: dependencies from the lock file, then
// the build, each only when it is needed.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const executable = join(root, 'dist', 'insitu.cjs');

/** Runs a command in the project's folder with its output shown; ends this process when it fails. */
export function run(command, args, options = {}) {
  const { status, error, signal } = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (error) fail(`${command}: ${error.message}`);
  if (status !== 0) fail(`\`${[command, ...args].join(' ')}\` failed (${signal ?? `status ${status}`})`, status ?? 1);
}

/** Says what is wrong and ends with `status`. */
export function fail(message, status = 1) {
  process.stderr.write(`${message}\n`);
  process.exit(status);
}

const modified = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

/** `npm ci` unless node_modules is there and as new as the lock file. */
export function install() {
  const marker = join(root, 'node_modules', '.package-lock.json');
  if (modified(marker) >= modified(join(root, 'package-lock.json'))) return;
  console.log('installing dependencies (npm ci) …');
  run('npm', ['ci', '--no-audit', '--no-fund'], { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** The newest modification time of any file below a folder. */
function newest(folder) {
  let latest = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    latest = Math.max(latest, entry.isDirectory() ? newest(path) : statSync(path).mtimeMs);
  }
  return latest;
}

/** Builds the executable alone when a source is newer than it. */
export function buildExecutable() {
  const sources = Math.max(newest(join(root, 'src')), modified(join(root, 'tools', 'bundle.mjs')));
  if (modified(executable) > sources) return;
  run(process.execPath, [join('tools', 'bundle.mjs')]);
}

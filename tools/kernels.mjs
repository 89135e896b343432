// npm run test:kernels [-- --kernel 6.1] [word…]
// Runs the test files of test/kernels/lane.txt on Debian's cloud kernels under QEMU's
// software emulation; words pick other files, as in `npm test`. The kernels are fetched by
// apt-get download and unpacked, never installed, into ~/.cache/insitu-test/kernels.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { fail, install, root, run } from './setup.mjs';

const folder = join(process.env.INSITU_TEST_CACHE ?? join(homedir(), '.cache', 'insitu-test'), 'kernels');

/** Packages that depend on the newest image of a version. */
const packages = { 6.1: 'linux-image-cloud-amd64', 6.12: 'linux-image-6.12-cloud-amd64' };
export const kernelVersions = Object.keys(packages).sort((a, b) => Number(a.split('.')[1]) - Number(b.split('.')[1]));

const call = (command, args, cwd) =>
  spawnSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 240_000 });

/** Fetches the kernel of a version. Returns undefined when it is there, else why not. */
export function fetchKernel(version) {
  const target = join(folder, version);
  if (existsSync(target)) return undefined;
  if (process.arch !== 'x64') return 'the test kernels are for x86-64';
  const depends = call('apt-cache', ['depends', packages[version]]);
  const name = /Depends: (linux-image-\S+)/.exec(depends.stdout ?? '')?.[1];
  if (name === undefined) return `apt knows no package ${packages[version]} (apt-get update; Debian 12 has it)`;
  const partial = `${target}.part${process.pid}`;
  mkdirSync(join(partial, 'root'), { recursive: true });
  try {
    const download = call('apt-get', ['download', '-qq', name], partial);
    const archive = readdirSync(partial).find((file) => file.endsWith('.deb'));
    if (archive === undefined) return `apt-get download ${name}: ${(download.stderr ?? '').trim().split('\n').pop()}`;
    const unpack = call('dpkg', ['-x', archive, 'root'], partial);
    if (unpack.status !== 0) return `dpkg -x ${archive}: ${unpack.stderr.trim()}`;
    renameSync(join(partial, 'root'), target);
    return undefined;
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({
    options: { kernel: { type: 'string', multiple: true, default: kernelVersions } },
    allowPositionals: true,
  });
  install();
  run('npm', ['run', '--silent', 'build']);
  if (process.env.INSITU_NO_FIXTURES === undefined) run(process.execPath, [join('tools', 'fixtures.mjs')]);
  for (const version of values.kernel) {
    if (packages[version] === undefined) fail(`no kernel ${version}; there are ${kernelVersions.join(', ')}`);
    const problem = fetchKernel(version);
    if (problem !== undefined) fail(`no Linux ${version}: ${problem}`);
  }
  const { status } = spawnSync(
    process.execPath,
    ['--test', '--test-reporter=spec', '--enable-source-maps', join('dist', 'test', 'kernels.test.js')],
    {
      cwd: root,
      stdio: 'inherit',
      env: { ...process.env, INSITU_TEST_KERNELS: values.kernel.join(' '), INSITU_TEST_LANE: positionals.join(' ') },
    },
  );
  process.exit(status ?? 1);
}

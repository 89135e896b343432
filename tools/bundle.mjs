// Makes the executable: dist/insitu.cjs, a small loader; beside it the whole program as
// one file, and V8's compiled form of what a run needs of it. Compiling is half of what
// a script of one line would otherwise wait for.
import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { executable, root } from './setup.mjs';

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const bundle = join(root, 'dist', 'bundle.cjs');
const cache = join(root, 'dist', 'bundle.cache');

// V8 knows a source by its length alone: an old cache must never meet a new bundle.
rmSync(cache, { force: true });
await build({
  absWorkingDir: root,
  entryPoints: ['src/apps/main.ts'],
  outfile: bundle,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  // koffi brings a native library, iced-x86 a WebAssembly file that it reads beside itself.
  external: ['koffi', 'iced-x86'],
  minify: true,
  // The loader takes every character for one byte.
  charset: 'ascii',
  legalComments: 'none',
  logLevel: 'warning',
  // Put around the program here, the loader need not copy it.
  banner: { js: '(function (exports, require, module, __filename, __dirname) {' },
  footer: { js: '})' },
  // kernel/sys asks for import.meta.url only where there is no __filename.
  logOverride: { 'empty-import-meta': 'silent' },
  define: { INSITU_VERSION: JSON.stringify(version) },
});

// V8 refuses a cache that another version of it has made, and compiles as usual.
writeFileSync(
  executable,
  `#!/usr/bin/env node
'use strict';
const { readFileSync, writeFileSync } = require('node:fs');
const { Script } = require('node:vm');
const filename = __dirname + '/bundle.cjs';
const make = process.env.INSITU_MAKE_CACHE;
let cachedData;
if (make === undefined) {
  try {
    cachedData = readFileSync(__dirname + '/bundle.cache');
  } catch {}
}
const script = new Script(readFileSync(filename, 'latin1'), { filename, cachedData });
cachedData = undefined;
if (make !== undefined) process.on('exit', () => writeFileSync(make, script.createCachedData()));
script.runInThisContext()(exports, require, module, filename, __dirname);
`,
);
chmodSync(executable, 0o755);

// The cache holds the functions that have run by then. The run may fail (loading needs
// root): it has compiled the script before.
const args = [executable, '-q', '-e', 'BEGIN { @start = nsecs; printf("%d %s\\n", pid, comm); exit(); }'];
spawnSync(process.execPath, args, {
  env: { ...process.env, INSITU_MAKE_CACHE: cache },
  stdio: 'ignore',
  timeout: 20_000,
});

// Makes dist/insitu.cjs, the executable: one CommonJS file (Node starts it faster than
// ES modules), with koffi left outside because it brings a native library.
import { chmodSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { executable, root } from './setup.mjs';

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

await build({
  absWorkingDir: root,
  entryPoints: ['src/apps/main.ts'],
  outfile: executable,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  external: ['koffi'],
  minify: true,
  keepNames: false,
  legalComments: 'none',
  logLevel: 'warning',
  // kernel/sys asks for import.meta.url only where there is no __filename.
  logOverride: { 'empty-import-meta': 'silent' },
  banner: { js: '#!/usr/bin/env node' },
  define: { INSITU_VERSION: JSON.stringify(version) },
});
chmodSync(executable, 0o755);

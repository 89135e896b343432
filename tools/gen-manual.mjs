#!/usr/bin/env node
// Writes docs/insitu.1, the manual page, from the command line's own tables
// (src/apps/cli/words.ts). With --check it writes nothing and ends with 1 when the page
// is not what the tables give.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { root } from './setup.mjs';

const path = join(root, 'docs', 'insitu.1');
const { outputFiles } = await build({
  absWorkingDir: root,
  entryPoints: ['src/apps/cli/manual.ts'],
  bundle: true,
  write: false,
  platform: 'node',
  format: 'esm',
  logLevel: 'warning',
});
const { manual } = await import(
  `data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`
);
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const page = manual(version);
if (!process.argv.includes('--check')) writeFileSync(path, page);
else {
  let present = '';
  try {
    present = readFileSync(path, 'utf8');
  } catch {}
  if (present !== page) {
    console.log('docs/insitu.1 is not what src/apps/cli/words.ts gives: node tools/gen-manual.mjs writes it');
    process.exit(1);
  }
}

// npm run conformance: writes docs/CONFORMANCE.md (test/conformance/page.ts). With --check it
// only says which names of the language no test covers.

import { join } from 'node:path';
import { build } from 'esbuild';
import { root } from './setup.mjs';

const { outputFiles } = await build({
  entryPoints: [join(root, 'test', 'conformance', 'page.ts')],
  bundle: true,
  write: false,
  platform: 'node',
  format: 'esm',
  logLevel: 'error',
});
const { run } = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`);
process.exit(run(root, process.argv.includes('--check')));

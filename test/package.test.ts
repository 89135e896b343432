/** What `npm pack` makes: the library and the executable, as somebody who installs it has them. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { insitu, lacking, root } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-package-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const installed = join(folder, 'node_modules', 'insitu');

describe('the package', { skip: lacking('tracefs') }, () => {
  before(() => {
    const words = ['pack', '--ignore-scripts', '--json', '--pack-destination', folder];
    const [packed] = JSON.parse(execFileSync('npm', words, { cwd: root, encoding: 'utf8' }));
    execFileSync('tar', ['xzf', join(folder, packed.filename), '-C', folder]);
    mkdirSync(join(folder, 'node_modules'));
    cpSync(join(folder, 'package'), installed, { recursive: true });
    // Its dependencies stand beside it, as npm puts them.
    const { dependencies } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
    for (const name of [...Object.keys(dependencies), '@koromix']) {
      symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));
    }
  });

  test("README's library example runs with it", { timeout: 20_000 }, () => {
    const readme = readFileSync(join(installed, 'README.md'), 'utf8');
    const example = /```js\n(.*?)```/s.exec(readme)?.[1];
    assert.match(example ?? '', /from 'insitu'/);
    const path = join(folder, 'example.mjs');
    writeFileSync(path, example as string);
    const output = execFileSync(process.execPath, [path], { cwd: folder, encoding: 'utf8' });
    assert.match(output, /type: 'printf', text: 'hello\\n'/);
  });

  test('its types are there for each entry', () => {
    const { exports, types } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
    assert.equal(exports['.'].types, `./${types}`);
    assert.match(readFileSync(join(installed, types), 'utf8'), /export declare function trace\(/);
  });

  test('its bin runs, under the name bpftrace too', { timeout: 20_000 }, async () => {
    const { bin } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
    const link = join(folder, 'bpftrace');
    symlinkSync(join(installed, bin.insitu), link);
    const outcome = await insitu(['-q', '-e', 'BEGIN { printf("%s\\n", comm); exit(); }'], { command: link, cwd: '/' });
    assert.equal(outcome.stdout.trim(), 'bpftrace', outcome.stderr);
    // What stays outside of the bundle is found beside it.
    const code = await insitu(['code', 'libc', 'malloc'], { command: link, cwd: '/' });
    assert.match(code.stdout, /^malloc: \d+ instructions/m, code.stderr);
    assert.match((await insitu(['-V'], { command: link, cwd: '/' })).stdout, /^bpftrace v/);
  });
});

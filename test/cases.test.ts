/** Runs every case of test/cases/: what a script prints, end to end. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type Case, readCases } from './cases.ts';
import { lacking, Running, root } from './insitu.ts';

async function run(item: Case): Promise<void> {
  const running = new Running([...item.options, '-e', item.program, ...item.arguments]);
  if (item.trigger !== undefined) {
    await running.attached();
    const trigger = spawn('sh', ['-c', item.trigger], { stdio: 'ignore', cwd: root });
    await new Promise((resolve) => trigger.once('exit', resolve));
    running.child.kill('SIGINT');
  }
  const { status, stdout, stderr } = await running.ended();
  const all = `\n-- standard output:\n${stdout}\n-- standard error:\n${stderr}`;
  if (item.output !== undefined) assert.equal(stdout.replace(/^\n+|\n+$/g, ''), item.output, `wrong output${all}`);
  for (const pattern of item.matches) assert.match(stdout, pattern, `no ${pattern} in the output${all}`);
  for (const pattern of item.errors) assert.match(stderr, pattern, `no ${pattern} among the errors${all}`);
  assert.equal(status, item.status, `wrong exit status${all}`);
}

const folder = join(root, 'test', 'cases');
for (const file of readdirSync(folder).sort()) {
  describe(file, () => {
    for (const item of readCases(readFileSync(join(folder, file), 'utf8'))) {
      test(item.name, { skip: lacking(...item.needs), timeout: 30_000 }, () => run(item));
    }
  });
}

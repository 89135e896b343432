/** `import "path"`: scripts taken into scripts, on the real executable. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { insitu, lacking } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-imports-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function put(path: string, text: string): string {
  const whole = join(folder, path);
  mkdirSync(dirname(whole), { recursive: true });
  writeFileSync(whole, text);
  return whole;
}

describe('import', { skip: lacking() }, () => {
  test('macros, types and probes of other files; each file once, also in a circle', async () => {
    put('lib/twice.bt', '#!/usr/bin/insitu\nimport "../pair.bt";\nmacro twice($a) { $a * 2 }\n');
    put('lib/ignored.txt', 'not a script');
    put('pair.bt', 'import "lib";\nstruct pair { int a; int b; };\nBEGIN { printf("pair\\n"); }\n');
    const script = put(
      'main.bt',
      `import "pair.bt";
import "lib/twice.bt";
struct pairs { struct pair all[3]; };
BEGIN { $x = 21; printf("%d %d\\n", twice($x), sizeof(struct pairs)); exit(); }
`,
    );
    const { stdout, stderr } = await insitu(['-q', script], { cwd: tmpdir() });
    assert.equal(stdout.trimEnd(), 'pair\n42 24', stderr);
  });

  test('paths of -e are seen from the working folder, then from -I', async () => {
    put('one/here.bt', 'macro here() { 1 }');
    put('two/there.bt', 'macro there() { 2 }');
    const program = 'import "here.bt"; import "there.bt"; BEGIN { print((here(), there())); exit(); }';
    const { stdout, stderr } = await insitu(['-q', '-I', join(folder, 'two'), '-e', program], {
      cwd: join(folder, 'one'),
    });
    assert.equal(stdout.trimEnd(), '(1, 2)', stderr);
  });

  test('a mistake is shown in the file and line that hold it', async () => {
    put('wrong.bt', '// first\nmacro wrong() {\n  $a = 1;\n  $a = "text";\n  $a\n}\n');
    const script = put('user.bt', 'import "wrong.bt";\nBEGIN { print(wrong()); }\n');
    const { stderr, status } = await insitu([script]);
    assert.equal(status, 1);
    assert.match(stderr, /wrong\.bt:4:3-14: ERROR: Type mismatch[^\n]*\n {2}\$a = "text"/);
    put('declares.bt', '\nstruct known { int a; };\nstruct outer { struct unknown b; };\n');
    const other = put('other.bt', 'import "declares.bt";\nBEGIN { print(sizeof(struct outer)); }\n');
    assert.match((await insitu([other])).stderr, /declares\.bt:3:31-32: ERROR: struct unknown is declared nowhere/);
  });

  test('what cannot be imported', async () => {
    put('config.bt', 'config = { max_strlen = 64 }\nmacro x() { 1 }\n');
    put('header.h', 'struct a { int b; };');
    mkdirSync(join(folder, 'empty'), { recursive: true });
    const complaint = async (path: string): Promise<string> => {
      const script = put('complaint.bt', `import "${path}";\nBEGIN { exit(); }\n`);
      const { stderr, status } = await insitu([script]);
      assert.equal(status, 1, path);
      return stderr;
    };
    assert.match(
      await complaint('nowhere.bt'),
      /complaint\.bt:1:1-\d+: ERROR: cannot import "nowhere\.bt": there is no such file\n/,
    );
    assert.match(await complaint('empty'), /holds no \*\.bt file/);
    assert.match(await complaint('header.h'), /#include "header\.h"/);
    assert.match(await complaint('config.bt'), /config\.bt:1:12-\d+: ERROR: an imported script has no config block/);
  });
});

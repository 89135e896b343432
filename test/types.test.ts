/** `insitu types` beside pahole(1): every structure of libc's and python's debugging information lies where pahole says. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { libcDebugFile } from './binaries.ts';
import { insitu } from './insitu.ts';

const noPahole =
  spawnSync('pahole', ['--version']).error === undefined ? false : 'needs pahole (Debian package dwarves)';

const python = '/usr/bin/python3-dbg';

/** Structures by name: a line for each member, `name offset size`, of bit-fields `name firstBit :width`; last the size. */
function parse(text: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  let lines: string[] | undefined;
  let isUnion = false;
  for (const line of text.split('\n')) {
    const head = /^(struct|union) (\w+) \{$/.exec(line);
    if (head !== null) {
      // The first of several with one name is compared.
      const name = `${head[1]} ${head[2]}`;
      lines = [];
      if (!found.has(name)) found.set(name, lines);
      isUnion = head[1] === 'union';
      continue;
    }
    if (line.startsWith('}')) lines = undefined;
    if (lines === undefined) continue;
    const member = /^\s+(.*?);?\s*\/\* +(\d+)(?:: *(\d+))? +(\d+) \*\/$/.exec(line);
    if (member !== null) {
      const [, written = '', offset = '', bit = '0', size = ''] = member;
      const declaration = written.replace(/\s*__attribute__\(\(.*\)\)$/, '');
      const [, before = '', width] = /^(.*?)(?::(\d+))?$/.exec(declaration) ?? [];
      const name = /\(\s*\*+\s*(?:const\s+)?(\w+)/.exec(before)?.[1] ?? /(\w*)(?:\[[^\]]*\])*$/.exec(before)?.[1];
      lines.push(
        width === undefined ? `${name} ${offset} ${size}` : `${name} ${8 * Number(offset) + Number(bit)} :${width}`,
      );
    }
    const whole = /^\t\/\* size: (\d+)/.exec(line);
    // Of unions pahole does not tell it.
    if (whole !== null && !isUnion) lines.push(`size ${whole[1]}`);
  }
  return found;
}

/** pahole 1.24 takes _Atomic types for empty ones. */
const wrongInPahole = new Set(['struct _Py_atomic_address', 'struct _Py_atomic_int']);

describe('types lie where pahole says', { skip: noPahole }, () => {
  const check = async (file: string, least: number): Promise<void> => {
    const theirs = parse(
      execFileSync('pahole', [file], { encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'ignore'] }),
    );
    const { stdout, stderr, status } = await insitu(['types', file]);
    assert.equal(status, 0, stderr);
    const ours = parse(stdout);
    assert.ok(theirs.size >= least, `pahole tells only of ${theirs.size}`);
    for (const [name, lines] of theirs) {
      if (!wrongInPahole.has(name)) assert.deepEqual(ours.get(name), lines, name);
    }
  };
  const libc = libcDebugFile();
  test('libc', { skip: libc === undefined && 'needs libc6-dbg' }, () => check(libc as string, 400));
  test('python', { skip: !existsSync(python) && 'needs python3-dbg' }, () => check(realpathSync(python), 200));
});

describe('a table of names in the file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'insitu-types-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const needs = ['clang', 'objcopy'].filter((tool) => spawnSync(tool, ['--version']).error !== undefined);

  test("is used, and told with -v when it is another file's", {
    skip: needs.length > 0 && `needs ${needs}`,
  }, async () => {
    const make = (name: string, text: string): string => {
      const path = join(folder, name);
      const words = ['-gdwarf-5', '-gpubnames', '-shared', '-fPIC', '-x', 'c', '-o', path, '-'];
      execFileSync('clang', words, { input: text });
      return path;
    };
    const text = 'struct cup { int size; char *label; } tea; typedef struct cup mug; mug *held;';
    const right = make('right', text);
    const other = make('other', `struct lid { char c; } lid; ${text}`);
    const table = join(folder, 'table');
    execFileSync('objcopy', ['--dump-section', `.debug_names=${table}`, other, join(folder, 'ignored')]);
    const wrong = join(folder, 'wrong');
    execFileSync('objcopy', ['--update-section', `.debug_names=${table}`, right, wrong]);
    const told = [
      [right, /^\S+right: \.debug_names tells where names are\n$/],
      [wrong, /: \.debug_names is not used: [^\n]+\n$/],
    ] as const;
    for (const [file, notes] of told) {
      // Without an index that an earlier run has kept.
      const env = { XDG_CACHE_HOME: join(folder, `cache of ${basename(file)}`) };
      const { stdout, stderr, status } = await insitu(['types', '-v', file, 'struct cup'], { env });
      assert.match(stderr, notes);
      assert.match(
        stdout,
        /^struct cup \{\n\tint size; +\/\* +0 +4 \*\/\n\n.*hole.*\n\n\tchar \*label; +\/\* +8 +8 \*\/\n/,
      );
      assert.equal(status, 0);
      const quiet = await insitu(['types', file, 'struct cup'], { env: { XDG_CACHE_HOME: join(folder, 'empty') } });
      assert.equal(quiet.stderr, '');
      assert.equal(quiet.stdout, stdout);
    }
  });
});

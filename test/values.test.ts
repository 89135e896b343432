/**
 * Values of programs by name and type. The programs in test/values log what they pass and
 * return; what insitu prints must be the same, however they were compiled.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { insitu, lacking, root } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-values-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const has = (compiler: string): boolean => spawnSync(compiler, ['--version']).error === undefined;

interface Build {
  readonly compiler: string;
  readonly flags: readonly string[];
}

/** What a build is missing, or false. */
const lack = ({ compiler }: Build): string | false =>
  lacking('tracefs') || (has(compiler) ? false : `needs ${compiler}`);

const titleOf = ({ compiler, flags }: Build): string => `${compiler} ${flags.join(' ')}`;

/** Compiles a program of test/values; its path. */
function compile(source: string, { compiler, flags }: Build, name: string, libraries: readonly string[] = []): string {
  const path = join(folder, name);
  const words = [...flags, '-o', path, join(root, 'test', 'values', source), ...libraries];
  const { status, stderr } = spawnSync(compiler, words, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return path;
}

let built = 0;

/** Runs the script of test/values on a program; the lines that insitu printed and that the program logged, sorted. */
async function run(
  source: string,
  script: string,
  build: Build,
  libraries: Readonly<Record<string, string>> = {},
): Promise<{ ours: string[]; logged: string[] }> {
  // A library stands behind the source that uses it.
  const program = compile(source, build, `program${built++}`, Object.values(libraries));
  let text = readFileSync(join(root, 'test', 'values', script), 'utf8').replaceAll('BIN', program);
  for (const [word, path] of Object.entries(libraries)) text = text.replaceAll(word, path);
  const path = join(folder, 'script.bt');
  writeFileSync(path, text);
  const log = `${program}.log`;
  const { status, stdout, stderr } = await insitu(['-q', '-c', `sh -c "exec ${program} 2>${log}"`, path], {
    timeout: 40_000,
  });
  assert.equal(status, 0, stderr);
  assert.equal(stderr, '');
  const lines = (text: string): string[] =>
    text
      .split('\n')
      .filter((line) => line !== '')
      .sort();
  return { ours: lines(stdout), logged: lines(readFileSync(log, 'utf8')) };
}

describe('C', () => {
  const builds: Build[] = [
    { compiler: 'gcc', flags: ['-g', '-O0'] },
    { compiler: 'gcc', flags: ['-g', '-O2'] },
    { compiler: 'gcc', flags: ['-gdwarf-4', '-O2', '-no-pie'] },
    { compiler: 'gcc', flags: ['-gdwarf-3', '-gstrict-dwarf', '-O0'] },
    { compiler: 'gcc', flags: ['-g', '-O2', '-flto'] },
    { compiler: 'clang', flags: ['-g', '-O0'] },
    { compiler: 'clang', flags: ['-gdwarf-5', '-O2'] },
    { compiler: 'clang', flags: ['-gdwarf-4', '-O1', '-fomit-frame-pointer'] },
  ];
  for (const build of builds) {
    test(titleOf(build), { skip: lack(build), timeout: 60_000 }, async () => {
      const { ours, logged } = await run('plain.c', 'plain.bt', build);
      assert.ok(logged.length >= 3 * 44, `the program logged ${logged.length} lines`);
      assert.deepEqual(ours, logged);
    });
  }
});

describe('arguments at the return', () => {
  for (const flags of [['-O0'], ['-O2']]) {
    const build: Build = { compiler: 'gcc', flags: ['-g', ...flags, '-pthread'] };
    test(`of a recursion in threads, ${titleOf(build)}`, { skip: lack(build), timeout: 60_000 }, async () => {
      const { ours, logged } = await run('recursion.c', 'recursion.bt', build);
      assert.equal(logged.length, 4 * 50 * 8);
      assert.deepEqual(ours, logged);
    });
  }
});

describe('C++', () => {
  const builds: Build[] = [
    { compiler: 'g++', flags: ['-g', '-O0'] },
    { compiler: 'g++', flags: ['-g', '-O2'] },
    { compiler: 'g++', flags: ['-gdwarf-4', '-O2', '-no-pie'] },
    { compiler: 'g++', flags: ['-g', '-O2', '-flto'] },
    { compiler: 'g++', flags: ['-gdwarf-4', '-fdebug-types-section', '-O0'] },
    { compiler: 'clang++', flags: ['-g', '-O0'] },
    { compiler: 'clang++', flags: ['-gdwarf-5', '-O2', '-stdlib=libc++'] },
    { compiler: 'clang++', flags: ['-gdwarf-4', '-O2'] },
  ];
  for (const build of builds) {
    test(titleOf(build), { skip: lack(build), timeout: 60_000 }, async () => {
      const { ours, logged } = await run('classes.cc', 'classes.bt', build);
      assert.ok(logged.length >= 3 * 26, `the program logged ${logged.length} lines`);
      assert.deepEqual(ours, logged);
    });
  }
});

describe('variables of a program and of its library', () => {
  for (const flags of [['-O0'], ['-O2'], ['-O2', '-no-pie'], ['-O2', '-gdwarf-4']]) {
    const build: Build = { compiler: 'gcc', flags: ['-g', ...flags, '-pthread'] };
    test(titleOf(build), { skip: lack(build), timeout: 60_000 }, async () => {
      const shared = flags.filter((flag) => flag !== '-no-pie');
      const library = compile(
        'globals.c',
        { ...build, flags: ['-g', ...shared, '-shared', '-fPIC', '-DLIBRARY'] },
        `lib${built++}.so`,
      );
      const { ours, logged } = await run('globals.c', 'globals.bt', build, { LIB: library });
      assert.equal(logged.length, 6 * 11);
      assert.deepEqual(ours, logged);
    });
  }
});

describe('types of the C++ library', () => {
  const builds: Build[] = [
    { compiler: 'g++', flags: ['-std=c++17', '-g', '-O0'] },
    { compiler: 'g++', flags: ['-std=c++17', '-g', '-O2'] },
    { compiler: 'clang++', flags: ['-std=c++17', '-g', '-O0'] },
    { compiler: 'clang++', flags: ['-std=c++17', '-g', '-O0', '-stdlib=libc++'] },
    { compiler: 'clang++', flags: ['-std=c++17', '-g', '-O2', '-stdlib=libc++'] },
  ];
  for (const build of builds) {
    test(titleOf(build), { skip: lack(build), timeout: 60_000 }, async () => {
      const { ours, logged } = await run('library.cc', 'library.bt', build);
      assert.equal(logged.length, 3 * 33);
      assert.deepEqual(ours, logged);
    });
  }
});

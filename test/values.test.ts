/**
 * Values of programs by name and type. The programs in test/values log what they pass and
 * return; what insitu prints must be the same, however they were compiled.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { gdbMembers, gdbValues } from './gdb.ts';
import { insitu, lacking, root } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-values-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const has = (compiler: string): boolean => spawnSync(compiler, ['--version']).error === undefined;

interface Build {
  readonly compiler: string;
  readonly flags: readonly string[];
  /** A tool to run on the program; of its words `.dwp` stands for the program's path with that ending. */
  readonly then?: readonly string[];
}

/** What a build is missing, or false. */
const lack = ({ compiler, then: [tool = compiler] = [] }: Build): string | false =>
  lacking('tracefs') || (has(compiler) ? false : `needs ${compiler}`) || (has(tool) ? false : `needs ${tool}`);

const titleOf = ({ compiler, flags, then = [] }: Build): string =>
  [compiler, ...flags, ...then.slice(0, 1).map((tool) => `and ${tool}`)].join(' ');

/** Compiles a program of test/values; its path. */
function compile(
  source: string,
  { compiler, flags, then = [] }: Build,
  name: string,
  libraries: readonly string[] = [],
): string {
  const path = join(folder, name);
  const words = [...flags, '-o', path, join(root, 'test', 'values', source), ...libraries];
  const { status, stderr } = spawnSync(compiler, words, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  const [tool, ...rest] = then;
  if (tool !== undefined) {
    const made = spawnSync(tool, [...rest.map((word) => (word === '.dwp' ? `${path}.dwp` : word)), path], {
      encoding: 'utf8',
    });
    assert.equal(made.status, 0, made.stderr);
    for (const file of readdirSync(folder)) if (file.endsWith('.dwo')) rmSync(join(folder, file));
  }
  return path;
}

let built = 0;

/** Runs the script of test/values on a program; the lines that insitu printed and that the program logged, sorted. */
async function run(
  source: string,
  script: string,
  build: Build,
  libraries: Readonly<Record<string, string>> = {},
  words: Readonly<Record<string, string>> = {},
  environment = '',
): Promise<{ ours: string[]; logged: string[] }> {
  // A library stands behind the source that uses it.
  const program = compile(source, build, `program${built++}`, Object.values(libraries));
  let text = readFileSync(join(root, 'test', 'values', script), 'utf8').replaceAll('BIN', program);
  for (const [word, value] of Object.entries(words)) text = text.replaceAll(word, value);
  for (const [word, path] of Object.entries(libraries)) text = text.replaceAll(word, path);
  const path = join(folder, 'script.bt');
  writeFileSync(path, text);
  const log = `${program}.log`;
  const { status, stdout, stderr } = await insitu(
    ['-q', '-c', `sh -c "${environment} exec ${program} 2>${log}"`, path],
    {
      timeout: 150_000,
    },
  );
  assert.equal(status, 0, stderr);
  // The classes' uretprobes are on C++ functions, which may throw.
  assert.equal(stderr.replace(/^WARNING: uretprobe on .*\n/m, ''), '');
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
    { compiler: 'gcc', flags: ['-g', '-O2', '-gsplit-dwarf'] },
    { compiler: 'gcc', flags: ['-gdwarf-4', '-O0', '-gsplit-dwarf'] },
    { compiler: 'gcc', flags: ['-g', '-O2', '-gz=zlib'] },
    { compiler: 'gcc', flags: ['-gdwarf-4', '-O2'], then: ['dwz'] },
    { compiler: 'gcc', flags: ['-gdwarf-4', '-O2', '-gsplit-dwarf'], then: ['llvm-dwp', '-o', '.dwp', '-e'] },
    { compiler: 'clang', flags: ['-g', '-O0'] },
    { compiler: 'clang', flags: ['-gdwarf-5', '-O2'] },
    { compiler: 'clang', flags: ['-gdwarf-4', '-O1', '-fomit-frame-pointer'] },
  ];
  for (const build of builds) {
    test(titleOf(build), { skip: lack(build), timeout: 180_000 }, async () => {
      const { ours, logged } = await run('plain.c', 'plain.bt', build);
      assert.ok(logged.length >= 3 * 44, `the program logged ${logged.length} lines`);
      assert.deepEqual(ours, logged);
    });
  }
});

describe('arguments at the return', () => {
  for (const flags of [['-O0'], ['-O2']]) {
    const build: Build = { compiler: 'gcc', flags: ['-g', ...flags, '-pthread'] };
    test(`of a recursion in threads, ${titleOf(build)}`, { skip: lack(build), timeout: 180_000 }, async () => {
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
    test(titleOf(build), { skip: lack(build), timeout: 180_000 }, async () => {
      const { ours, logged } = await run('classes.cc', 'classes.bt', build);
      assert.ok(logged.length >= 3 * 36, `the program logged ${logged.length} lines`);
      assert.deepEqual(ours, logged);
    });
  }
});

describe('variables of a program and of its library', () => {
  for (const flags of [['-O0'], ['-O2'], ['-O2', '-no-pie'], ['-O2', '-gdwarf-4']]) {
    const build: Build = { compiler: 'gcc', flags: ['-g', ...flags, '-pthread'] };
    test(titleOf(build), { skip: lack(build), timeout: 180_000 }, async () => {
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

  const build: Build = { compiler: 'gcc', flags: ['-g', '-O2', '-pthread'], then: ['dwz'] };
  test('that share a file made by dwz', { skip: lack(build), timeout: 180_000 }, async () => {
    const flags = [...build.flags, '-shared', '-fPIC', '-DLIBRARY'];
    const library = compile('globals.c', { compiler: 'gcc', flags }, `lib${built++}.so`);
    const both = { ...build, then: ['dwz', '-m', join(folder, 'globals.common'), library] };
    const { ours, logged } = await run('globals.c', 'globals.bt', both, { LIB: library });
    assert.match(spawnSync('readelf', ['-SW', library], { encoding: 'utf8' }).stdout, /\.gnu_debugaltlink/);
    assert.equal(logged.length, 6 * 11);
    assert.deepEqual(ours, logged);
  });
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
    test(titleOf(build), { skip: lack(build), timeout: 180_000 }, async () => {
      const { ours, logged } = await run('library.cc', 'library.bt', build);
      assert.equal(logged.length, 3 * 38 + 3 + 23 + 43);
      assert.deepEqual(ours, logged);
    });
  }
});

describe('containers of the C++ library', () => {
  const builds: Build[] = [
    { compiler: 'g++', flags: ['-std=c++17', '-g', '-O0'] },
    { compiler: 'g++', flags: ['-std=c++17', '-g', '-O2'] },
    { compiler: 'clang++', flags: ['-std=c++17', '-g', '-O1'] },
    { compiler: 'clang++', flags: ['-std=c++17', '-g', '-O2', '-stdlib=libc++'] },
  ];
  for (const build of builds) {
    test(titleOf(build), { skip: lack(build), timeout: 180_000 }, async () => {
      const { ours, logged } = await run('containers.cc', 'containers.bt', build);
      assert.equal(logged.length, 1825);
      assert.deepEqual(ours, logged);
    });
  }
});

describe("a user's own printers", () => {
  const build: Build = { compiler: 'g++', flags: ['-g', '-O1'] };
  const lines = `# of the program own.cc
Text      text      data=start length=bytes
Row<*>    sequence  first=begin_ end=end_ of=#0
Chain     list      first=head count=count next=0 value=8 of=head.text ordered=1
`;
  test('--printers FILE', { skip: lack(build), timeout: 180_000 }, async () => {
    const path = join(folder, 'own.printers');
    writeFileSync(path, lines);
    const program = compile('own.cc', build, `own${built++}`);
    const script = readFileSync(join(root, 'test', 'values', 'own.bt'), 'utf8').replaceAll('BIN', program);
    const log = `${program}.log`;
    const command = `sh -c "exec ${program} 2>${log}"`;
    const { status, stdout, stderr } = await insitu(['-q', '--printers', path, '-c', command, '-e', script], {
      timeout: 100_000,
    });
    assert.equal(status, 0, stderr);
    assert.equal(stdout.trimEnd(), readFileSync(log, 'utf8').trimEnd());
  });

  test('a line that is none', async () => {
    const path = join(folder, 'wrong.printers');
    writeFileSync(path, `${lines}Wrong  nothing  a=b\n`);
    const { status, stderr } = await insitu(['--printers', path, '-e', 'BEGIN { exit(); }']);
    assert.equal(status, 1);
    assert.match(stderr, /wrong\.printers:5: not a printer: Wrong/);
  });
});

describe('containers where a script cannot go through them', () => {
  const build: Build = { compiler: 'g++', flags: ['-std=c++17', '-g', '-O0'] };
  test('one clear error each', { skip: lack(build), timeout: 240_000 }, async () => {
    const program = compile('containers.cc', build, `refused${built++}`);
    const cases: readonly (readonly [body: string, message: RegExp])[] = [
      [
        'for ($x : args.key) { }',
        /a loop goes over a map \(@name\), a range \(0\.\.10\) or a container of the program, not 'int32'/,
      ],
      ['print(args.b.set[1]);', /elements of 'struct std::set<.*>' have no number/],
      ['print(args.b.bag[1]);', /elements of 'struct std::unordered_set<.*>' have no number/],
      ['print(args.b.table["one"]);', /the keys of 'struct std::map<.*>' are 'int32', not 'string\[\d+\]'/],
      ['print(args.b.list["one"]);', /the number of an element is an integer, not 'string\[\d+\]'/],
      [
        'for ($x : args.b.set) { $x = 1; }',
        /\$x stands for an element of the program's container, and insitu only reads/,
      ],
      ['for ($x : args.b.set) { $x++; }', /cannot change an element of the program's container/],
      ['print(len(args.key));', /len\(\) takes a map/],
    ];
    for (const [body, message] of cases) {
      const { status, stderr } = await insitu(['-q', '-e', `uprobe:${program}:look { ${body} }`]);
      assert.equal(status, 1, body);
      assert.match(stderr, message, body);
      assert.equal(stderr.match(/ERROR/g)?.length, 1, stderr);
    }
  });

  test('what is not there reads as 0, and is told', { skip: lack(build), timeout: 180_000 }, async () => {
    const program = compile('containers.cc', build, `absent${built++}`);
    const script = `uprobe:${program}:look { printf("%d %s %d %d\\n", args.b.deque[100000], args.b.table[77], args.b.forward[9], args.b.bits[5000]); exit(); }`;
    const { status, stdout, stderr } = await insitu(['-q', '-c', `sh -c "exec ${program} 2>/dev/null"`, '-e', script], {
      timeout: 100_000,
    });
    assert.equal(status, 0);
    // The process may come there again before the probe is gone.
    assert.deepEqual([...new Set(stdout.trimEnd().split('\n'))], ['0  0 0']);
    assert.match(stderr, /WARNING: \d+ reads of traced memory failed/);
  });
});

describe('Abseil', () => {
  const libraries: Record<string, string> = {};
  for (const name of ['statusor', 'status', 'strings', 'hash', 'raw_hash_set', 'cord', 'city']) {
    libraries[`LIBRARY_${name}`] = `-labsl_${name}`;
  }
  const installed = existsSync('/usr/include/absl/status/statusor.h') ? false : 'needs libabsl-dev';
  for (const build of [
    { compiler: 'g++', flags: ['-std=c++17', '-g', '-O0'] },
    { compiler: 'clang++', flags: ['-std=c++17', '-g', '-O1'] },
  ]) {
    test(titleOf(build), { skip: lack(build) || installed, timeout: 240_000 }, async () => {
      const { ours, logged } = await run('abseil.cc', 'abseil.bt', build, libraries);
      assert.equal(logged.length, 308);
      assert.deepEqual(ours, logged);
    });
  }
});

describe("libstdc++'s debug package", () => {
  const folder = '/usr/lib/x86_64-linux-gnu/debug';
  const missing = existsSync(join(folder, 'libstdc++.so.6')) ? false : 'needs libstdc++6-12-dbg';
  const build: Build = { compiler: 'g++', flags: ['-O0'] };
  test("arguments of the library's functions", { skip: lack(build) || missing, timeout: 180_000 }, async () => {
    const words = { STANDARD: join(folder, 'libstdc++.so.6') };
    const { ours, logged } = await run('standard.cc', 'standard.bt', build, {}, words, `LD_LIBRARY_PATH=${folder}`);
    assert.equal(logged.length, 4 * 6);
    assert.deepEqual(ours, logged);
  });
});

describe('locals by source line', () => {
  const lines: Record<string, string> = {};
  for (const [index, line] of readFileSync(join(root, 'test', 'values', 'locals.c'), 'utf8')
    .split('\n')
    .entries()) {
    const [, mark] = /\/\* (LINE_\w+) \*\//.exec(line) ?? [];
    if (mark !== undefined) lines[mark] = String(index + 1);
  }
  for (const build of [
    { compiler: 'gcc', flags: ['-g', '-O0'] },
    { compiler: 'gcc', flags: ['-g', '-O0', '-fomit-frame-pointer'] },
    { compiler: 'clang', flags: ['-g', '-O0'] },
  ]) {
    test(titleOf(build), { skip: lack(build), timeout: 180_000 }, async () => {
      const { ours, logged } = await run('locals.c', 'locals.bt', build, {}, lines);
      assert.equal(logged.length, 3 * 5);
      // One line may be several places in the code: each shows the same.
      assert.deepEqual([...new Set(ours)], [...new Set(logged)]);
    });
  }
});

describe('without debugging information of its own', { skip: lack({ compiler: 'gcc', flags: [] }) }, () => {
  test('--types takes another build', { timeout: 180_000 }, async () => {
    const build: Build = { compiler: 'gcc', flags: ['-g', '-O2'] };
    const whole = compile('plain.c', build, `whole${built++}`);
    const bare = `${whole}-bare`;
    assert.equal(spawnSync('strip', ['--strip-debug', '-o', bare, whole]).status, 0);
    const script = `uprobe:${bare}:structs { printf("structs.point %s\\n", args.point); }`;
    const without = await insitu(['-q', '-e', script]);
    assert.equal(without.status, 1);
    assert.match(without.stderr, /has no debugging information for it/);
    const log = `${bare}.log`;
    const { stdout } = await insitu(['-q', '--types', whole, '-c', `sh -c "exec ${bare} 2>${log}"`, '-e', script]);
    const logged = readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('structs.point '));
    assert.equal(logged.length, 3);
    assert.deepEqual(
      stdout.split('\n').filter((line) => line !== ''),
      logged,
    );
  });

  test('-lv tells what is in scope at a line', { timeout: 180_000 }, async () => {
    const program = compile('locals.c', { compiler: 'gcc', flags: ['-g', '-O0'] }, `locals${built++}`);
    const source = readFileSync(join(root, 'test', 'values', 'locals.c'), 'utf8').split('\n');
    const line = source.findIndex((text) => text.includes('LINE_inner')) + 1;
    const { stdout } = await insitu(['-lv', `uprobe:${program}@locals.c:${line}`]);
    assert.equal(
      stdout,
      `uprobe:${program}@locals.c:${line}\n    int n\n    const char *text\n    struct point point\n    int area\n    int total\n`,
    );
  });
});

/** The compilers of a list that are there, each version once: what a library's types are made of changes with it. */
function versions(paths: readonly string[], word: string): readonly string[] {
  const known = new Map<string, string>();
  for (const path of paths) {
    const { stdout, error } = spawnSync(path, [word], { encoding: 'utf8' });
    if (error === undefined && !known.has(stdout)) known.set(stdout, path);
  }
  return known.size === 0 ? paths.slice(0, 1) : [...known.values()];
}

describe('Rust', () => {
  for (const compiler of versions(['rustc', '/usr/bin/rustc'], '--version')) {
    for (const flags of [['-g'], ['-g', '-O']]) {
      const build: Build = { compiler, flags: [...flags, '--edition', '2021'] };
      test(titleOf(build), { skip: lack(build), timeout: 240_000 }, async () => {
        const { ours, logged } = await run('rust.rs', 'rust.bt', build);
        assert.equal(logged.length, 354);
        assert.deepEqual(ours, logged);
      });
    }
  }
});

describe('Go', () => {
  for (const compiler of versions(['go', '/usr/local/go/bin/go', '/usr/lib/go/bin/go'], 'version')) {
    for (const flags of [[], ['-gcflags=all=-N -l'], ['-buildmode=pie']]) {
      const build: Build = { compiler, flags: ['build', ...flags] };
      test(titleOf(build), { skip: lack(build), timeout: 180_000 }, async () => {
        const { ours, logged } = await run('go.go', 'go.bt', build);
        assert.equal(logged.length, 236);
        assert.deepEqual(ours, logged);
      });
    }
  }
});

describe('beside gdb', { skip: has('gdb') ? false : 'needs gdb' }, () => {
  const functions: Readonly<Record<string, readonly (readonly [ours: string, gdb: string])[]>> = {
    integers: ['c', 'uc', 's', 'us', 'i', 'u'].map((name) => [`args.${name}`, name] as const),
    longs: ['l', 'ul', 'll', 'u64', 'i64', 'size', 'seventh', 'eighth', 'ninth'].map(
      (name) => [`args.${name}`, name] as const,
    ),
    others: [
      ['args.yes', 'yes'],
      ['args.color', 'color'],
      ['str(args.text)', 'text'],
    ],
    structs: ['point', 'pair', 'triple', 'after'].map(
      (name) => [`args.${name}`, name === 'pair' ? 'pair.first' : name] as const,
    ),
    deep: [
      ['args.node->value', 'node->value'],
      ['args.node->next->value', 'node->next->value'],
      ['str(args.node->label)', 'node->label'],
      ['args.node->name', 'node->name'],
      ['args.node->in', 'node->in'],
      ['args.node->out', 'node->out'],
      ['args.node->grid[1][2]', 'node->grid[1][2]'],
      ['args.flags->a', 'flags->a'],
      ['args.flags->b', 'flags->b'],
      ['args.flags->c', 'flags->c'],
      ['args.flags->d', 'flags->d'],
      ['args.flags->e', 'flags->e'],
    ],
  };
  const compare = async (program: string): Promise<void> => {
    for (const [name, pairs] of Object.entries(functions)) {
      const prints = pairs.map(([ours]) => `print(${ours === 'args.pair' ? 'args.pair.first' : ours});`).join(' ');
      const script = `uprobe:${program}:${name} { ${prints} exit(); }`;
      const { stdout } = await insitu(['-q', '-c', `sh -c "exec ${program} 2>/dev/null"`, '-e', script], {
        timeout: 100_000,
      });
      const ours = stdout.split('\n').slice(0, pairs.length);
      const theirs = gdbValues(
        program,
        name,
        pairs.map(([, gdb]) => gdb),
      );
      assert.deepEqual(ours, theirs, name);
    }
  };
  for (const build of [
    { compiler: 'gcc', flags: ['-g', '-O2'] },
    { compiler: 'gcc', flags: ['-gdwarf-4', '-O1', '-no-pie'] },
  ]) {
    test(titleOf(build), { skip: lack(build), timeout: 180_000 }, async () => {
      const program = compile('plain.c', build, `gdb${built++}`);
      await compare(program);
    });
  }

  const build: Build = { compiler: 'gcc', flags: ['-g', '-O2'], then: ['dwz'] };
  test('two programs that share a file made by dwz', { skip: lack(build), timeout: 180_000 }, async () => {
    const [one, two] = ['-O2', '-O1'].map((level) =>
      compile('plain.c', { compiler: 'gcc', flags: ['-g', level] }, `twin${level}`),
    ) as [string, string];
    const made = spawnSync('dwz', ['-m', join(folder, 'plain.common'), one, two], { encoding: 'utf8' });
    assert.equal(made.status, 0, made.stderr);
    for (const program of [one, two]) {
      const entries = spawnSync('readelf', ['-wi', program], { encoding: 'utf8' }).stdout;
      assert.match(entries, /DW_AT_type +: <alt 0x/, 'types lie in the shared file');
      await compare(program);
      for (const name of ['point', 'pair', 'triple', 'mixed', 'reals', 'node']) {
        const { stdout, stderr } = await insitu(['types', program, `struct ${name}`]);
        const ours = [...stdout.matchAll(/^\t\S.* \*?(\w+)(?:\[\d+\])*; +\/\* +(\d+) +(\d+) \*\/$/gm)];
        assert.ok(ours.length > 1, stdout + stderr);
        assert.deepEqual(
          ours.map(([, field, offset, size]) => `${field} ${offset} ${size}`),
          gdbMembers(
            program,
            `struct ${name}`,
            ours.map(([, field = '']) => field),
          ),
          name,
        );
      }
    }
  });
});

/** The numbers, texts and truths in what gdb's pretty-printers print, in order. `numbered`: elements have their number before them. */
function gdbLeaves(text: string, numbered: boolean): string[] {
  const bare = text
    .replace(/std::[\w:<>, ]*?\[no contained value\]/g, ' NOTHING ')
    .replace(/(?: of length \d+, capacity \d+| with \d+ elements?|\[contained value\] =|\[index \d+\] =)/g, ' ')
    .replace(numbered ? /\[\d+\] = /g : /^$/, '');
  const leaves = bare.matchAll(/"((?:[^"\\]|\\.)*)"|(?<![\w.])(NOTHING|true|false|-?\d+(?:\.\d+)?)(?![\w])/g);
  return [...leaves].map(([, quoted, word]) => quoted ?? (word as string));
}

/** The same of a value in JSON; 'more' where it was cut. */
function jsonLeaves(value: unknown): string[] {
  if (value === null) return ['NOTHING'];
  if (typeof value === 'object') return Object.values(value).flatMap(jsonLeaves);
  return typeof value === 'string' && /^…\d+ more$/.test(value) ? ['more'] : [String(value)];
}

describe("library types beside gdb's printers", { skip: has('gdb') ? false : 'needs gdb' }, () => {
  // A field whose elements gdb numbers has a #.
  const programs: Readonly<Record<string, readonly [object: string, fields: string]>> = {
    'library.cc': [
      'o',
      'name numbers words table set# some none number text pair tuple# inners deque list# forward# hash bag# array time atomic nested view options',
    ],
    'containers.cc': [
      'b',
      'table names set# hash items bag# list# linked# forward# queue vector array plain nested bits none',
    ],
  };
  for (const build of [
    { compiler: 'g++', flags: ['-std=c++17', '-g', '-O0'] },
    { compiler: 'g++', flags: ['-std=c++17', '-gdwarf-4', '-O0', '-no-pie'] },
  ]) {
    test(titleOf(build), { skip: lack(build), timeout: 240_000 }, async () => {
      let compared = 0;
      for (const [source, [object, text]] of Object.entries(programs)) {
        const fields = text.split(' ').map((field) => field.replace('#', ''));
        const numbered = text.split(' ').map((field) => field.endsWith('#'));
        const program = compile(source, build, `printed${built++}`);
        const prints = fields.map((field) => `printf("${field}"); print(args.${object}.${field});`);
        // In parts: all of them together are more than one program may be.
        const parts = [0, 1, 2, 3].map((part) => prints.filter((_, index) => index % 4 === part).join(' '));
        const script = parts.map((part) => `uprobe:${program}:look { ${part} }`).join('\n');
        const { stdout, stderr } = await insitu(
          ['-q', '-f', 'json', '-c', `sh -c "exec ${program} 2>/dev/null"`, '-e', script],
          { timeout: 100_000 },
        );
        // A line with the field's name, then its value; several probes of one place run in an order of the kernel's.
        const values = new Map<string, unknown[]>();
        let field = '';
        for (const line of stdout.split('\n').filter((one) => one.startsWith('{'))) {
          const { type, data } = JSON.parse(line);
          if (type === 'printf') field = data;
          else if (type === 'value') values.set(field, [...(values.get(field) ?? []), data]);
        }
        assert.deepEqual([...values.keys()].sort(), [...fields].sort(), stderr);
        const commands = [
          'set print elements 0',
          'set print repeats 0',
          'set print address off',
          'set width 0',
          'break look',
          'run 2>/dev/null',
        ];
        const look = fields.flatMap((field) => [`echo \\nVALUE\\n`, `output ${object}.${field}`]);
        for (let hit = 0; hit < 3; hit++) commands.push(...look, 'echo \\nVALUE\\n', 'continue');
        const gdb = spawnSync('gdb', ['-nx', '-batch', ...commands.flatMap((one) => ['-ex', one]), program], {
          encoding: 'utf8',
        });
        const theirs = gdb.stdout.split('\nVALUE\n');
        // Behind the last value of each hit comes what gdb says of the next one.
        const printed = [0, 1, 2].flatMap((hit) =>
          fields.map((_, index) => theirs[hit * (fields.length + 1) + index + 1] as string),
        );
        for (let hit = 0; hit < 3; hit++) {
          for (const [index, name] of fields.entries()) {
            const ours = jsonLeaves(values.get(name)?.[hit]);
            const expected = gdbLeaves(printed[hit * fields.length + index] as string, numbered[index] as boolean);
            if (ours.at(-1) === 'more') expected.splice(ours.length - 1, Number.POSITIVE_INFINITY, 'more');
            assert.deepEqual(ours, expected, `${source} ${name}, call ${hit}`);
            compared += ours.length;
          }
        }
      }
      // gdb printed 743 of them.
      assert.ok(compared >= 743, `${compared} values`);
    });
  }
});

describe('inlined functions', () => {
  for (const build of [
    { compiler: 'gcc', flags: ['-g', '-O0'] },
    { compiler: 'gcc', flags: ['-g', '-O2'] },
  ]) {
    test(titleOf(build), { skip: lack(build), timeout: 180_000 }, async () => {
      const { ours, logged } = await run('inlined.c', 'inlined.bt', build);
      assert.equal(logged.length, 3 * 3);
      assert.deepEqual(ours, logged);
    });
  }
});

/** `insitu symbols`, as its users call it. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import { isFunction, lacking as lackingTools, listedSymbols, nodePath, output, Workshop } from './binaries.ts';
import { lacking, type Outcome, Running, workerd } from './insitu.ts';

const workshop = new Workshop();
after(() => workshop[Symbol.dispose]());

const symbols = (...args: readonly string[]): Promise<Outcome> => new Running(['symbols', ...args]).ended();

const source = `
#include <cstdio>
namespace shop {
__attribute__((noinline)) int price(int item) { return std::printf("%d", item); }
struct Basket { virtual int total(int items); };
__attribute__((noinline)) int Basket::total(int items) { return items * price(items) + 1; }
}
int main(int argc, char **) { shop::Basket basket; return basket.total(argc); }
`;

function shop(): { readonly path: string; readonly stripped: string } {
  const path = workshop.path('shop');
  output('g++', ['-O1', '-g', '-fno-omit-frame-pointer', '-o', path, workshop.write('shop.cc', source)]);
  const stripped = workshop.path('shop.stripped');
  output('strip', ['-s', '-o', stripped, path]);
  return { path, stripped };
}

interface Line {
  readonly type: string;
  readonly data: Record<string, unknown>;
}

const lines = (text: string): Line[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

describe('insitu symbols', { skip: lacking('gcc', 'nm') }, () => {
  test('functions by a regular expression, on either form of the name', async () => {
    const { path } = shop();
    const wanted = listedSymbols(path).find(({ name }) => name === '_ZN4shop6Basket5totalEi');
    assert.ok(wanted !== undefined);
    for (const regex of ['Basket::total', '6Basket5total', '^shop::.*total\\(int\\)$']) {
      const { stdout, status } = await symbols(path, regex, '--json');
      assert.equal(status, 0);
      const [line, more] = lines(stdout);
      assert.equal(more, undefined);
      assert.equal(line?.type, 'symbol');
      const section = output('readelf', ['-SW', path])
        .split('\n')
        .find((row) => / \.text /.test(row));
      const [, address = '', offset = ''] = /PROGBITS\s+([0-9a-f]+) ([0-9a-f]+)/.exec(section ?? '') ?? [];
      const delta = Number.parseInt(address, 16) - Number.parseInt(offset, 16);
      assert.deepEqual(line?.data, {
        file: path,
        name: 'shop::Basket::total(int)',
        mangled: '_ZN4shop6Basket5totalEi',
        address: `0x${wanted.address.toString(16)}`,
        offset: `0x${(wanted.address - delta).toString(16)}`,
        size: wanted.size,
        section: '.text',
        from: '.symtab',
        // gcc has the function begin at its brace.
        source: { file: workshop.path('shop.cc'), line: 6, column: (source.split('\n')[5]?.indexOf('{') ?? 0) + 1 },
      });
      const text = await symbols(path, regex);
      assert.match(text.stdout, /^ADDRESS +OFFSET +SIZE +SECTION +FROM +NAME\n0x/);
      assert.match(text.stdout, /shop::Basket::total\(int\) {2}\[_ZN4shop6Basket5totalEi\] {2}\S+shop\.cc:6\n$/);
    }
  });

  test('a first look: what the file is', async () => {
    const { path, stripped } = shop();
    const buildId = /Build ID: ([0-9a-f]+)/.exec(output('readelf', ['-n', path]))?.[1];
    const whole = await symbols(path);
    assert.match(whole.stdout, new RegExp(`build-id: +${buildId}\n`));
    assert.match(whole.stdout, /kind: +executable, position-independent, 64-bit/);
    assert.match(whole.stdout, /compiler: +GCC: /);
    assert.match(whole.stdout, /symbols: +not stripped/);
    const bare = await symbols(stripped);
    assert.match(bare.stdout, /symbols: +stripped of \.symtab/);
    assert.match(bare.stdout, new RegExp(`/usr/lib/debug/.build-id/${buildId?.slice(0, 2)}/.*: no such file`));
  });

  test('--symbols, --debuginfo and --explain', async () => {
    const { path, stripped } = shop();
    const refused = await symbols(stripped, 'total', '--symbols', nodePath);
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /^ERROR: .* is not the build of .*build-id .*\nHINT: --symbols-force/);
    const given = await symbols(stripped, 'Basket::total', '--symbols', path);
    assert.match(given.stdout, /shop::Basket::total\(int\)/);

    const folder = workshop.path('debug');
    const buildId = /Build ID: ([0-9a-f]+)/.exec(output('readelf', ['-n', path]))?.[1] ?? '';
    mkdirSync(`${folder}/.build-id/${buildId.slice(0, 2)}`, { recursive: true });
    const file = `${folder}/.build-id/${buildId.slice(0, 2)}/${buildId.slice(2)}.debug`;
    output('objcopy', ['--only-keep-debug', path, file]);
    const { stdout } = await symbols(stripped, '--explain', '--json', '--debuginfo', `/nowhere:${folder}`);
    const layers = lines(stdout).filter(({ type }) => type === 'layer');
    const found = new Map(layers.map(({ data }) => [data['layer'], data['found']]));
    assert.equal(found.get('.symtab'), false);
    assert.equal(found.get('.dynsym'), true);
    assert.equal(found.get('build-id'), true);
    assert.equal(found.get('DWARF'), true);
    assert.equal(found.get('inferred'), false);
    const alone = lines((await symbols(stripped, '--explain', '--json')).stdout);
    assert.equal(alone.find(({ data }) => data['layer'] === 'inferred')?.data['found'], true);
    const attempts = layers.find(({ data }) => data['layer'] === 'build-id')?.data['attempts'];
    assert.deepEqual(attempts, [{ path: file.replace(folder, '/nowhere'), problem: 'no such file' }, { path: file }]);
  });

  test('what a process has mapped', async () => {
    const child: ChildProcess = spawn('sleep', ['20'], { stdio: 'ignore' });
    await once(child, 'spawn');
    try {
      // The loader maps the libraries; until then it is this test's own image.
      let answer = await symbols(String(child.pid), '^(__)?nanosleep$', '--json');
      for (let left = 20; left > 0 && answer.status !== 0; left--) {
        answer = await symbols(String(child.pid), '^(__)?nanosleep$', '--json');
      }
      const [line] = lines(answer.stdout);
      assert.match(String(line?.data['file']), /libc/);
    } finally {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    }
  });

  test('code that a process made at run time, by its perf map', { timeout: 30_000 }, async () => {
    const script = workshop.write(
      'app.js',
      'function hotspot(x) { let s = 0; for (let i = 0; i < 1e4; i++) s += i * x; return s; }\nsetInterval(() => { for (let i = 0; i < 300; i++) hotspot(i); }, 10);',
    );
    const child = spawn(process.execPath, ['--perf-basic-prof', script], { stdio: 'ignore' });
    await once(child, 'spawn');
    const map = `/tmp/perf-${child.pid}.map`;
    try {
      let answer = await symbols(String(child.pid), '\\*hotspot', '--json');
      for (let left = 20; left > 0 && answer.status !== 0; left--) {
        answer = await symbols(String(child.pid), '\\*hotspot', '--json');
      }
      const found = lines(answer.stdout).filter(({ data }) => data['file'] === '[jit]');
      const rows = readFileSync(map, 'utf8')
        .split('\n')
        .filter((row) => /\*hotspot/.test(row));
      assert.ok(found.length > 0 && rows.length > 0, answer.stderr);
      for (const { data } of found) {
        const row = `${String(data['address']).slice(2)} ${Number(data['size']).toString(16)} ${data['name']}`;
        assert.ok(rows.includes(row), `${row} is not in the map`);
        assert.equal(data['from'], 'perf map');
      }
      const explained = await symbols(String(child.pid), '--explain');
      assert.match(explained.stdout, /perf map +yes +\d+ functions\n +\/tmp\/perf-\d+\.map\n/);
      assert.match(explained.stdout, /jitdump +no +the process has mapped none/);
      assert.match(explained.stdout, /\[vdso\]\n/);
    } finally {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
      rmSync(map, { force: true });
    }
  });

  test('the kernel', { skip: existsSync('/proc/kallsyms') ? false : 'there is no /proc/kallsyms' }, async () => {
    const theirs = readFileSync('/proc/kallsyms', 'latin1')
      .split('\n')
      .flatMap((row) => {
        const [, address = '', name = '', module = 'vmlinux'] =
          /^([0-9a-f]+) [tTwW] (\S+)(?:\t\[(.*)\])?$/.exec(row) ?? [];
        return /^vfs_(read|write)$/.test(name) ? [`${name} 0x${BigInt(`0x${address}`).toString(16)} ${module}`] : [];
      });
    assert.equal(theirs.length, 2);
    const { stdout } = await symbols('kernel', '^vfs_(read|write)$', '--json');
    const ours = lines(stdout).map(({ data }) => `${data['name']} ${data['address']} ${data['section']}`);
    assert.deepEqual(ours.sort(), theirs.sort());
    const look = await symbols('kernel', '--explain');
    assert.match(look.stdout, new RegExp(`release: +${output('uname', ['-r']).trim()}`));
    assert.match(look.stdout, /kallsyms +(yes|no ) +\d+ functions/);
  });

  test('which kind of file, by readelf', { skip: lackingTools('g++', 'readelf') }, async () => {
    const text = workshop.write('kind.c', 'int main(void) { return 0; }');
    const kinds: Readonly<Record<string, readonly [options: readonly string[], kind: RegExp]>> = {
      pie: [['-pie'], /executable, position-independent/],
      fixed: [['-no-pie'], /executable, at a fixed address/],
      'static-pie': [['-static-pie'], /executable, position-independent/],
      library: [['-shared', '-fPIC'], /shared library/],
      object: [['-c'], /object file, not linked/],
    };
    for (const [name, [options, kind]] of Object.entries(kinds)) {
      const path = workshop.path(name);
      output('gcc', [...options, '-o', path, text]);
      assert.match((await symbols(path)).stdout, new RegExp(`kind: +${kind.source}`), name);
    }
  });

  test('which Go', { skip: lackingTools('go') }, async () => {
    workshop.write('main.go', 'package main\nfunc main() { println(1) }\n');
    workshop.write('go.mod', 'module shop\ngo 1.20\n');
    const build = 'cd "$1" && CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-mod=mod go build -ldflags="-s -w" -o shop-go .';
    output('sh', ['-c', build, '', workshop.folder]);
    const version = / go(\S+) /.exec(
      output('go', ['version', workshop.path('shop-go')])
        .replace(/:/, ' ')
        .replace(/\n/, ' '),
    )?.[1];
    assert.ok(version !== undefined);
    assert.match((await symbols(workshop.path('shop-go'))).stdout, new RegExp(`compiler: +Go ${version}\n`));
    assert.match(
      (await symbols(workshop.path('shop-go'), '^main\\.main$')).stdout,
      / \.gopclntab +main\.main +\S*main\.go:2\n/,
    );
  });

  test('mistakes', async () => {
    const cases: readonly (readonly [args: readonly string[], error: RegExp])[] = [
      [[], /ERROR: symbols of what\?/],
      [['/bin/sh', '('], /ERROR: not a regular expression/],
      [['/bin/sh', 'a', 'b'], /ERROR: symbols takes one expression/],
      [['4194303', 'a'], /ERROR: there is no process 4194303/],
      [['/etc/passwd'], /ERROR: \/etc\/passwd is not an ELF file/],
      [['/no/such/file'], /ERROR: .*\/no\/such\/file/],
      [['/bin/sh', '--symbols-force'], /ERROR: --symbols-force needs --symbols/],
      [['/bin/sh', '^nothing_is_called_so$'], /^no function of \/bin\/sh matches/m],
    ];
    for (const [args, error] of cases) {
      const { status, stderr } = await symbols(...args);
      assert.equal(status, 1, args.join(' '));
      assert.match(stderr, error, args.join(' '));
    }
  });
});

test('workerd: what nm -C | grep finds', { skip: lacking('workerd', 'nm') }, async () => {
  const regex = 'kj::.*HttpServer.*listen';
  const { stdout } = await symbols(workerd, regex, '--json');
  const ours = new Set(lines(stdout).map(({ data }) => Number(data['address'])));
  const functions = new Set(
    listedSymbols(workerd)
      .filter(isFunction)
      .map(({ address }) => address),
  );
  const theirs = new Set(
    output('nm', ['-C', workerd])
      .split('\n')
      .flatMap((row) => {
        const [, address = '', name = ''] = /^([0-9a-f]+) \w (.*)$/.exec(row) ?? [];
        const value = Number.parseInt(address, 16);
        return new RegExp(regex).test(name) && functions.has(value) ? [value] : [];
      }),
  );
  assert.ok(theirs.size > 3);
  for (const address of theirs) assert.ok(ours.has(address), address.toString(16));
});

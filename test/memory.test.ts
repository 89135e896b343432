/** `insitu memory` beside /proc/PID/maps and smaps, readelf and nm. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readFileSync, realpathSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { insitu, lacking, sleep } from './insitu.ts';

interface Range {
  readonly start: string;
  readonly end: string;
  readonly permissions: string;
  readonly path: string;
  readonly resident: number;
  readonly segment: string;
  readonly sections: readonly { readonly name: string; readonly start: string; readonly end: string }[];
}

describe('memory', { skip: lacking('nm') }, () => {
  let child: ChildProcess & { readonly pid: number };
  before(async () => {
    child = spawn('sleep', ['60'], { stdio: 'ignore' }) as typeof child;
    // It has loaded what it needs when it sleeps: system calls 35 nanosleep and 230 clock_nanosleep; on arm64 101 and 115.
    while (!/^(35|230|101|115) /.test(readFileSync(`/proc/${child.pid}/syscall`, 'latin1'))) await sleep(20);
  });
  after(() => child.kill('SIGKILL'));

  const ranges = async (): Promise<readonly Range[]> => {
    const { stdout, stderr } = await insitu(['memory', String(child.pid), '--json']);
    assert.match(stdout, /^\{"type":"memory"/, stderr);
    return (JSON.parse(stdout) as { data: readonly Range[] }).data;
  };
  const number = (text: string): number => Number.parseInt(text, 16);

  test('every mapping, with its rights, file and resident size', async () => {
    const smaps = readFileSync(`/proc/${child.pid}/smaps`, 'latin1');
    const expected = [
      ...smaps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)\n(?:(?![0-9a-f]+-).*\n)*?Rss: +(\d+) kB/gm),
    ].map(([, start, end, rights, path, kilobytes]) => [
      `0x${start}`,
      `0x${end}`,
      rights,
      path,
      Number(kilobytes) * 1024,
    ]);
    assert.ok(expected.length > 10);
    const found = (await ranges()).map(({ start, end, permissions, path, resident }) => [
      start,
      end,
      permissions,
      path,
      resident,
    ]);
    // Addresses beyond 2^53 lose their last digits as numbers: vsyscall's are known.
    assert.deepEqual(
      found.filter(([, , , path]) => path !== '[vsyscall]'),
      expected.filter(([, , , path]) => path !== '[vsyscall]'),
    );
  });

  test('sections lie where readelf puts them, moved by where the file is', async () => {
    const all = await ranges();
    const libc = all.filter(({ path }) => /\/libc\.so\.6$/.test(path));
    const [first] = libc;
    assert.ok(first);
    const listed = execFileSync('readelf', ['-SW', realpathSync(first.path)], { encoding: 'latin1' });
    const sections = [...listed.matchAll(/\] (\.\S+) +(\w+) +([0-9a-f]{16}) [0-9a-f]+ ([0-9a-f]+) \S+ +(\w+)/g)]
      .map(([, name, type, address, size, flags]) => ({
        name,
        type,
        start: number(address ?? ''),
        size: number(size ?? ''),
        flags,
      }))
      .filter(
        ({ type, flags, size }) => flags?.includes('A') && size > 0 && !(type === 'NOBITS' && flags.includes('T')),
      );
    assert.ok(sections.length > 15);
    const base = number(first.start);
    for (const { name, start, size } of sections) {
      // A section may go over several mappings: RELRO, and .bss behind the file's end.
      const parts = all.flatMap((range) =>
        range.sections.filter(
          (one) => one.name === name && number(one.end) > base + start && number(one.start) < base + start + size,
        ),
      );
      assert.equal(Math.min(...parts.map((part) => number(part.start))), base + start, name);
      assert.equal(Math.max(...parts.map((part) => number(part.end))), base + start + size, name);
    }
    const loads =
      execFileSync('readelf', ['-lW', realpathSync(first.path)], { encoding: 'latin1' }).match(/^ +LOAD .*$/gm) ?? [];
    const executable = loads.findIndex((line) => / R E /.test(line));
    assert.equal(libc.find(({ permissions }) => permissions === 'r-xp')?.segment, `LOAD ${executable} r-x`);
  });

  test('an address: its mapping, section and symbol', async () => {
    const libc = (await ranges()).find(({ path }) => /\/libc\.so\.6$/.test(path));
    assert.ok(libc);
    const symbols = execFileSync('nm', ['-D', libc.path], { encoding: 'latin1', maxBuffer: 1 << 26 });
    const malloc = /^([0-9a-f]+) T malloc@@/m.exec(symbols)?.[1] ?? '';
    const address = `0x${(number(libc.start) + number(malloc) + 5).toString(16)}`;
    const { stdout } = await insitu(['memory', String(child.pid), address]);
    assert.match(stdout, /^section: +\.text \+ 0x[0-9a-f]+$/m);
    assert.match(stdout, new RegExp(`virtual address 0x${(number(malloc) + 5).toString(16)},`));
    assert.match(stdout, /^symbol: +(__libc_)?malloc \+ 0x5$/m);
  });

  test('what is not there', async () => {
    for (const [words, complaint] of [
      [['memory', '4194303'], /there is no process 4194303/],
      [['memory', String(child.pid), '0x1000'], /nothing mapped at 0x1000\nHINT: 0x[0-9a-f]+ begins /],
      [['memory', 'x'], /memory of which process\?/],
      [['memory', String(child.pid), 'here'], /'here' is not an address/],
    ] as const) {
      const { status, stderr } = await insitu([...words]);
      assert.equal(status, 1);
      assert.match(stderr, complaint);
    }
  });
});

/** ustack and kstack in all their modes and ways, beside readelf, nm and /proc/kallsyms. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { insitu, lacking, root } from '../insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-modes-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const program = join(folder, 'frames');
const probe = 'tracepoint:syscalls:sys_enter_umask /pid == cpid/';

/** What stands between BEGIN and END, by part. */
async function parts(
  script: string,
  ...options: string[]
): Promise<{ readonly parts: string[][]; readonly errors: string }> {
  const { stdout, stderr } = await insitu(['-q', '-c', `${program} ${way}`, '-e', script, ...options]);
  const found = [...stdout.matchAll(/BEGIN\n([\s\S]*?)END/g)].map(([, body = '']) =>
    body.split('\n').filter((line) => line !== ''),
  );
  assert.ok(found.length > 0, `${stdout}${stderr}`);
  return { parts: found, errors: stderr };
}
let way = 'library';

const print = (stack: string): string => `printf("BEGIN%sEND\\n", ${stack});`;

describe('stacks in all modes', { skip: lacking('tracefs', 'gcc', 'nm', 'btf') }, () => {
  before(() => {
    const programs = join(root, 'test', 'unwind', 'programs');
    const flags = ['-O2', '-g0', '-fomit-frame-pointer', '-fno-optimize-sibling-calls', '-pthread', '-Wl,--build-id'];
    const { status, stderr } = spawnSync(
      'gcc',
      [...flags, '-o', program, join(programs, 'frames.c'), join(programs, 'library.c')],
      { encoding: 'utf8' },
    );
    assert.equal(status, 0, stderr);
  });

  test('ustack: raw, perf, build_id and names agree', async () => {
    const modes = ['ustack(raw)', 'ustack(perf)', 'ustack(build_id)', 'ustack'];
    const { parts: found } = await parts(`${probe} { ${modes.map(print).join(' ')} exit(); }`);
    const [raw = [], perf = [], buildId = [], names = []] = found;
    assert.ok(raw.length >= 12);
    assert.deepEqual(
      perf.map((line) => line.trim().split(' ')[0]),
      raw,
    );
    assert.deepEqual(
      perf.map((line) => line.trim().split(' ')[1]),
      names.map((line) => line.trim()),
    );
    const notes = spawnSync('readelf', ['-n', program], { encoding: 'utf8' }).stdout;
    const id = /Build ID: ([0-9a-f]+)/.exec(notes)?.[1];
    assert.ok(id);
    const nm = spawnSync('nm', [program], { encoding: 'utf8' }).stdout;
    // The code of such a program lies at the same place in the file as in memory.
    for (const [index, line] of names.entries()) {
      const [, name = '', offset = ''] = /^\s*(call|step|through_library|main)\+(\d+)$/.exec(line) ?? [];
      if (name === '') continue;
      const address = Number.parseInt(new RegExp(`^([0-9a-f]+) T ${name}$`, 'm').exec(nm)?.[1] ?? '', 16);
      assert.equal(buildId[index], `${id} 0x${(address + Number(offset)).toString(16)}`);
    }
  });

  test('ustack(n) has the first n frames, as a map key too; config stack_mode', async () => {
    const script = `config = { stack_mode = raw } ${probe} { ${print('ustack')} ${print('ustack(3)')} $s = ustack(4); ${print('$s')} @[ustack(2)] = count(); exit(); }`;
    const { parts: found } = await parts(script);
    const [all = [], three, four] = found;
    assert.ok(all.every((line) => /^[0-9a-f]+$/.test(line)));
    assert.deepEqual(three, all.slice(0, 3));
    assert.deepEqual(four, all.slice(0, 4));
    const { stdout } = await insitu([
      '-q',
      '-c',
      `${program} library`,
      '-e',
      `${probe} { @[ustack(2)] = count(); exit(); }`,
    ]);
    assert.match(stdout, /@\[\n {8}__umask\+\d+\n {8}call\+\d+\n\]: 1\n|@\[\n {8}umask\+\d+\n {8}call\+\d+\n\]: 1\n/);
  });

  test('the depth limit is told, a limit that was asked for is not', async () => {
    way = 'deeper';
    const { parts: found } = await parts(
      `${probe} { ${print('ustack')} ${print('ustack(5)')} ${print('ustack(1024)')} exit(); }`,
    );
    way = 'library';
    const [usual = [], five = [], all = []] = found;
    assert.equal(usual.length, 128);
    assert.equal(usual[127]?.trim(), '[depth limit 127]');
    assert.equal(five.length, 5);
    assert.ok(all.length > 300);
    assert.match(all.at(-1) as string, /_start/);
  });

  test('config ustack_unwind and --unwind', async () => {
    const script = (how: string): string =>
      `config = { ustack_unwind = ${how} } ${probe} { ${print('ustack')} exit(); }`;
    const whole = (lines: readonly string[] | undefined): boolean => /main\+/.test(lines?.join() ?? '');
    assert.ok(whole((await parts(script('auto'))).parts[0]));
    assert.ok(whole((await parts(script('cfi'))).parts[0]));
    assert.ok(!whole((await parts(script('fp'))).parts[0]));
    assert.ok(whole((await parts(script('fp'), '--unwind', 'cfi')).parts[0]));
    assert.ok(!whole((await parts(script('cfi'), '--unwind', 'fp')).parts[0]));
    const wrong = await insitu(['-e', script('dwarf')]);
    assert.equal(wrong.status, 1);
    assert.match(wrong.stderr, /takes one of auto, fp, cfi/);
    const option = await insitu(['--unwind', 'dwarf', '-e', 'BEGIN { exit() }']);
    assert.equal(option.status, 1);
    assert.match(option.stderr, /--unwind takes auto, fp, cfi/);
  });

  test('kstack: raw, perf and names agree with /proc/kallsyms', async () => {
    const modes = ['kstack(raw)', 'kstack(perf)', 'kstack', 'kstack(2)', 'kstack(build_id)'];
    const { parts: found } = await parts(`${probe} { ${modes.map(print).join(' ')} exit(); }`);
    const [raw = [], perf = [], names = [], two = [], buildId = []] = found;
    assert.ok(raw.length > 1);
    const functions = readFileSync('/proc/kallsyms', 'latin1')
      .split('\n')
      .map((line) => line.split(/\s+/))
      .filter(([, kind = '']) => /^[tTwW]$/.test(kind))
      .map(([address = '', , name = '']) => ({ address: BigInt(`0x${address}`), name }))
      .sort((a, b) => (a.address < b.address ? -1 : 1));
    for (const [index, line] of names.entries()) {
      const address = BigInt(`0x${raw[index]}`);
      assert.equal(perf[index]?.trim().split(' ')[0], raw[index]);
      const [name = '', offset = ''] = line.trim().split('+');
      // Code of BPF programs has names of its own, and one address may have several.
      const expected = functions.filter((one) => one.address === address - BigInt(offset)).map((one) => one.name);
      assert.ok(expected.includes(name), `${line}: ${expected.join()}`);
    }
    assert.deepEqual(two, names.slice(0, 2));
    assert.equal(buildId.length, raw.length);
  });
});

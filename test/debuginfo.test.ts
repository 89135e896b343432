/** Arguments by name on real programs, from the debug files that a distribution has for them. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { insitu, lacking } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-debuginfo-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Why libc's debug file cannot be asked, or false. */
const noLibc = lacking('tracefs') || (existsSync('/usr/lib/debug/.build-id') ? false : 'needs libc6-dbg');
const python = '/usr/bin/python3-dbg';
const noPython = lacking('tracefs') || (existsSync(python) ? false : 'needs python3-dbg');

const node = process.execPath;

describe('libc', { skip: noLibc }, () => {
  const trace = async (script: string, code: string): Promise<string> => {
    const path = join(folder, 'program.cjs');
    writeFileSync(path, code);
    const { status, stdout, stderr } = await insitu(['-q', '-c', `${node} ${path}`, '-e', script], { timeout: 40_000 });
    assert.equal(status, 0, stderr);
    return stdout;
  };

  test('getaddrinfo: the name that is looked up, and the hints', { timeout: 60_000 }, async () => {
    // glibc calls it name; POSIX's manual page says node.
    const stdout = await trace(
      'uprobe:libc:getaddrinfo { printf("%s %d\\n", str(args.name), args.hints->ai_socktype); }',
      "require('dns').lookup('localhost', () => {});",
    );
    assert.match(stdout, /^localhost 1$/m);
  });

  test('open: path and flags, and the descriptor at the return', { timeout: 60_000 }, async () => {
    const file = join(folder, 'opened');
    writeFileSync(file, 'text');
    const stdout = await trace(
      `uretprobe:libc:open64 /str(args.file) == "${file}"/ { printf("%s %d %d\\n", str(args.file), args.oflag & 3, retval > 2); }`,
      `require('fs').openSync('${file}', 'r');`,
    );
    assert.match(stdout, new RegExp(`^${file} 0 1$`, 'm'));
  });

  test('connect: the address', { timeout: 60_000 }, async () => {
    const stdout = await trace(
      `uprobe:libc:connect {
        // Of args.addr, a transparent union, libc's debugging information has no members.
        $in = (struct sockaddr_in *)arg1;
        if ($in->sin_family == 2) { printf("%s %d %d %d\\n", ntop($in->sin_addr.s_addr), bswap($in->sin_port), args.len, args.fd > 2); }
      }`,
      "require('net').connect(9, '127.0.0.9').on('error', () => {});",
    );
    assert.match(stdout, /^127\.0\.0\.9 9 16 1$/m);
  });
});

describe('python', { skip: noPython }, () => {
  test("a function's name at _PyEval_EvalFrameDefault", { timeout: 60_000 }, async () => {
    const path = join(folder, 'program.py');
    writeFileSync(path, 'def the_called_one(n): return n\nlist(map(the_called_one, [1, 2, 3]))\n');
    // An ASCII string's characters stand behind its head (Include/cpython/unicodeobject.h).
    const script = `uprobe:${python}:_PyEval_EvalFrameDefault {
      @[str((int8 *)((uint64)args.frame->f_code->co_name + sizeof(PyASCIIObject)))] = count();
    }`;
    const { status, stdout, stderr } = await insitu(['-q', '-c', `${python} -S -E ${path}`, '-e', script], {
      timeout: 50_000,
    });
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^@\[the_called_one\]: 3$/m);
  });
});

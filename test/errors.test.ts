/**
 * Wrong inputs: each gets an error on one screen, with the place and a way out, the
 * exit status 1, and nothing on standard output.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { executable, insitu, lacking, type RunOptions } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-errors-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const file = (name: string, content: string | Uint8Array): string => {
  const path = join(folder, name);
  writeFileSync(path, content, { mode: 0o755 });
  return path;
};
const truncated = Uint8Array.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0x3e, 0]);

interface Wrong {
  readonly what: string;
  /** A program, or whole arguments. */
  readonly input: string | readonly string[];
  /** All must occur on standard error. */
  readonly says: readonly (string | RegExp)[];
  readonly options?: RunOptions;
}

/** A place in a program given with -e: line and column. */
const at = (line: number, column: number): RegExp => new RegExp(`^(stdin|script|-e):${line}:${column}\\b`, 'm');

const wrongs: readonly Wrong[] = [
  // The script: what does not exist.
  { what: 'unknown probe kind', input: 'uprob:/bin/true:main { }', says: [at(1, 1), /uprob/, /uprobe/] },
  {
    what: 'unknown tracepoint',
    input: 'tracepoint:syscalls:sys_enter_opennat { }',
    says: [at(1, 1), /sys_enter_openat/],
  },
  {
    what: 'unknown tracepoint category',
    input: 'tracepoint:syscals:sys_enter_openat { }',
    says: [at(1, 1), /syscalls/],
  },
  { what: 'no tracepoint matches', input: 'tracepoint:syscalls:no_such_* { }', says: [at(1, 1), /no_such_\*/] },
  {
    what: 'unknown tracepoint field',
    input: 'tracepoint:syscalls:sys_enter_openat { print(args.filenam) }',
    says: [at(1, 51), /filenam/, /filename/],
  },
  {
    what: 'unknown field',
    input: 'BEGIN { print(((struct task_struct *)curtask)->pidd) }',
    says: [at(1, 48), /pidd/, /\bpid\b/],
  },
  {
    what: 'unknown struct',
    input: 'BEGIN { $s = (struct sock_adr *)0; }',
    says: [at(1, 15), /sock_adr/, /sockaddr|sock_addr/],
  },
  { what: 'unknown variable', input: 'BEGIN { $count = 1; print($cuont) }', says: [at(1, 27), /\$cuont/, /\$count/] },
  { what: 'unknown map', input: 'BEGIN { print(@nothing) }', says: [at(1, 15), /@nothing/] },
  { what: 'unknown function', input: 'BEGIN { prinf("x") }', says: [at(1, 9), /prinf/, /printf/] },
  { what: 'unknown name', input: 'BEGIN { print(pidd) }', says: [at(1, 15), /pidd/, /\bpid\b/] },
  { what: 'unknown constant', input: 'BEGIN { print(AF_INETT) }', says: [at(1, 15), /AF_INETT/, /AF_INET/] },
  // The script: what does not fit.
  { what: 'string where an integer is needed', input: 'BEGIN { $x = 1 + "a"; }', says: [at(1, 14), /string/] },
  { what: 'a variable changes its type', input: 'BEGIN { $x = 1; $x = "a"; }', says: [at(1, 17), /\$x/, /int|string/] },
  { what: 'a map changes its type', input: 'BEGIN { @x = 1; @x = "a"; }', says: [at(1, 17), /@x/, /int|string/] },
  { what: 'a map with and without a key', input: 'BEGIN { @x = 1; @x[1] = 1; }', says: [at(1, 17), /@x/, /key/] },
  { what: 'a map key of another type', input: 'BEGIN { @x[1] = 1; @x["a"] = 1; }', says: [at(1, 20), /@x/, /string/] },
  { what: 'printf with too few arguments', input: 'BEGIN { printf("%d %d\\n", 1) }', says: [at(1, 9), /2/, /1/] },
  { what: 'printf with too many arguments', input: 'BEGIN { printf("%d\\n", 1, 2) }', says: [at(1, 9), /1/, /2/] },
  { what: 'printf of the wrong type', input: 'BEGIN { printf("%d\\n", "a") }', says: [at(1, 24), /%d/, /string/] },
  {
    what: 'printf with a bad conversion',
    input: 'BEGIN { printf("%y\\n", 1) }',
    says: [/^(stdin|script|-e):1:\d+/m, /%y/],
  },
  { what: 'printf without a literal format', input: 'BEGIN { $f = "x"; printf($f) }', says: [at(1, 26), /literal/] },
  { what: 'args in a probe without any', input: 'BEGIN { print(args.x) }', says: [at(1, 15), /args/] },
  {
    what: 'retval in a uprobe',
    input: 'uprobe:/usr/bin/node:uv_tcp_bind { print(retval) }',
    says: [at(1, 42), /retval/, /uretprobe/],
  },
  { what: 'too many arguments', input: 'BEGIN { exit(1, 2) }', says: [at(1, 9), /exit/] },
  {
    what: 'member of an integer',
    input: 'BEGIN { $x = 1; print($x.y) }',
    says: [/^(stdin|script|-e):1:2\d/m, /\by\b/],
  },
  { what: 'an aggregation outside a map', input: 'BEGIN { $x = count(); }', says: [at(1, 9), /count/, /map/] },
  // The script: syntax.
  { what: 'a missing brace', input: 'BEGIN { printf("x");', says: [/^(stdin|script|-e):1:\d+/m, /\}|end of/] },
  { what: 'an unterminated string', input: 'BEGIN { printf("x); }', says: [at(1, 16), /string|quote|"/] },
  { what: 'an unterminated comment', input: 'BEGIN { /* x }', says: [at(1, 9), /comment|\*\//] },
  { what: 'a missing semicolon', input: 'BEGIN { $x = 1 $y = 2 }', says: [/^(stdin|script|-e):1:1\d/m, /;/] },
  { what: 'no probe', input: '{ print(1) }', says: [at(1, 1), /probe/] },
  { what: 'a missing operand', input: 'BEGIN { $x = 1 + ; }', says: [at(1, 18), /expression|';'|;/] },
  { what: 'a stray character', input: 'BEGIN { $x = 1 ` 2; }', says: [at(1, 16), /`/] },
  { what: 'an empty script', input: '', says: [/probe|empty/] },
  { what: 'a break outside a loop', input: 'BEGIN { break; }', says: [at(1, 9), /break/, /loop/] },
  {
    what: 'an include that is nowhere',
    input: '#include "nowhere.h"\nBEGIN { }',
    says: [at(1, 1), /nowhere\.h/, /-I/],
  },
  // The machine.
  { what: 'no such pid', input: ['-p', '4194303', '-e', 'BEGIN { }'], says: [/4194303/] },
  { what: 'no such command', input: ['-c', './nothing-here -x', '-e', 'BEGIN { }'], says: [/nothing-here/] },
  { what: 'an unbalanced quote in -c', input: ['-c', "sh -c 'x", '-e', 'BEGIN { }'], says: [/-c/, /quote/] },
  {
    what: 'the object of a script',
    input: ['object', 'trace.bt', '0x1000'],
    says: [/'trace\.bt' is not a process id/, /object\(pointer, depth\)/, /insitu FILE\.bt/],
  },
  { what: 'no such script', input: ['nothing.bt'], says: [/nothing\.bt/] },
  { what: 'a folder as script', input: ['/tmp'], says: [/\/tmp/, /directory|folder/] },
  { what: 'an output file in no folder', input: ['-o', '/nowhere/x', '-e', 'BEGIN { }'], says: [/\/nowhere\/x/, /-o/] },
  { what: 'no such binary', input: 'uprobe:/usr/bin/nod:main { }', says: [at(1, 8), /\/usr\/bin\/nod/] },
  {
    what: 'no such symbol',
    input: 'uprobe:/usr/bin/node:uv_tcp_bnd { }',
    says: [at(1, 8), /uv_tcp_bnd/, /uv_tcp_bind/],
  },
  {
    what: 'no symbol matches',
    input: 'uprobe:/usr/bin/node:no_such_thing_* { }',
    says: [at(1, 8), /no_such_thing_\*/],
  },
  { what: 'not an ELF file', input: 'uprobe:/etc/passwd:main { }', says: [at(1, 8), /\/etc\/passwd/, /ELF/] },
  {
    what: 'a truncated ELF file',
    input: `uprobe:${file('cut', truncated)}:main { }`,
    says: [at(1, 8), /ELF|cut/, /truncated|end|short/],
  },
  { what: 'an address outside the code', input: 'uprobe:/usr/bin/node:0x10 { }', says: [at(1, 8), /0x10/] },
];

const noMovabs = lacking('gcc', 'nm') || (process.arch === 'x64' ? false : 'the instructions are x86-64');
const MOVABS = `.globl _start, first
.type first, @function
_start: ret
first: movabs $0x1122334455667788, %rax
 ret
.size first, .-first
`;
/** The address of the second instruction of `first`. */
function at10(binary: string): string {
  const line = execFileSync('nm', [binary], { encoding: 'utf8' })
    .split('\n')
    .find((each) => each.endsWith(' first'));
  return `0x${(Number.parseInt(line ?? '', 16) + 10).toString(16)}`;
}

describe('wrong inputs', { skip: lacking('tracefs') }, () => {
  for (const { what, input, says, options } of wrongs) {
    test(what, { timeout: 20_000 }, async () => {
      const args = typeof input === 'string' ? ['-e', input] : input;
      const { status, stdout, stderr } = await insitu(args, options);
      for (const fragment of says) {
        if (typeof fragment === 'string') assert.ok(stderr.includes(fragment), `no '${fragment}' in\n${stderr}`);
        else assert.match(stderr, fragment);
      }
      assert.match(stderr, /\bERROR\b/);
      assert.match(stderr, /^HINT: /m, 'it says a way out');
      assert.doesNotMatch(stderr, /insitu itself has failed|insitu bug|node:internal/);
      const lines = stderr.trimEnd().split('\n');
      assert.ok(lines.length <= 24, `${lines.length} lines are more than a screen:\n${stderr}`);
      assert.equal(stdout, '', 'an error is no output');
      assert.equal(status, 1);
    });
  }

  test('places where a probe would break the program', { timeout: 20_000, skip: noMovabs }, async () => {
    // A function of two instructions: 10 bytes and 1 byte long.
    const source = file('movabs.s', MOVABS);
    const binary = join(folder, 'movabs');
    execFileSync('gcc', ['-nostdlib', '-static', '-o', binary, source]);
    for (const [probe, problem, hint] of [
      [
        `uprobe:${binary}:first+4`,
        /1:8-\d+: ERROR: 0x[0-9a-f]+ lies inside an instruction/,
        /HINT: the instruction begins at/,
      ],
      [
        `uretprobe:${binary}:${at10(binary)}`,
        /1:11-\d+: ERROR: 0x[0-9a-f]+ is not the start of/,
        /HINT: the function begins at/,
      ],
    ] as const) {
      const { status, stderr } = await insitu(['-e', `${probe} { }`]);
      assert.match(stderr, problem);
      assert.match(stderr, hint);
      assert.match(stderr, /--unsafe/);
      assert.equal(status, 1);
      const forced = await insitu(['--unsafe', '--dry-run', '-e', `${probe} { }`]);
      assert.equal(forced.status, 0, forced.stderr);
    }
    const fine = await insitu([
      '--dry-run',
      '-e',
      `uprobe:${binary}:first+10 { } uprobe:${binary}:${at10(binary)} { }`,
    ]);
    assert.equal(fine.status, 0, fine.stderr);
  });

  test('a kernel that is too old', { timeout: 20_000 }, async (t) => {
    // The kernel itself tells programs of that personality (personality(2), UNAME26) an old release.
    const words = [process.arch === 'x64' ? 'x86_64' : process.arch, '--uname-2.6', process.execPath, executable];
    const { status, stderr } = await insitu([...words, '-e', 'BEGIN { exit() }'], { command: 'setarch' });
    if (/unrecognized|unknown|No such file/.test(stderr)) {
      t.skip(`setarch cannot do that here: ${stderr.trim()}`);
      return;
    }
    assert.match(stderr, /^ERROR: this kernel is 2\.6\.\S+: insitu needs Linux 5\.15 or newer\nHINT: /);
    assert.equal(status, 1);
  });

  test("without the kernel's types", { timeout: 20_000 }, async () => {
    const cover = 'mount -t tmpfs none /sys/kernel/btf && exec "$@"';
    const script = 'BEGIN { print(((struct task_struct *)curtask)->pid); }';
    const words = ['-m', 'sh', '-c', cover, 'sh', process.execPath, executable, '-e', script];
    const { status, stderr } = await insitu(words, { command: 'unshare' });
    assert.match(stderr, /1:17-\d+: ERROR: .*struct task_struct/);
    assert.match(stderr, /HINT: .*\/sys\/kernel\/btf\/vmlinux/);
    assert.equal(status, 1);
  });

  /** A shell command in a mount namespace of its own, with the words of a command in `"$@"`. */
  const withoutTracefs = (words: readonly string[]): string[] => {
    const unmount = 'umount -a -t tracefs; umount -a -t debugfs; ! grep -q tracefs /proc/mounts && exec "$@"';
    return ['-m', 'sh', '-c', unmount, 'sh', ...words];
  };
  const tracepoint = ['-e', 'tracepoint:syscalls:sys_enter_openat { }'];

  test('tracefs is mounted when it is not', { timeout: 20_000 }, async () => {
    const words = withoutTracefs([process.execPath, executable, '--dry-run', ...tracepoint]);
    const { status, stderr } = await insitu(words, { command: 'unshare' });
    assert.equal(status, 0, stderr);
  });

  test('no tracefs, and no right to mount it', { timeout: 20_000 }, async () => {
    const setpriv = ['setpriv', '--bounding-set=-sys_admin', process.execPath, executable];
    const { status, stderr } = await insitu(withoutTracefs([...setpriv, ...tracepoint]), { command: 'unshare' });
    assert.match(stderr, /ERROR: tracefs is not mounted, and mounting it at \S+ failed/);
    assert.match(stderr, /HINT: .*mount -t tracefs/);
    assert.equal(status, 1);
  });

  for (const [dropped, missing] of [
    ['-bpf,-sys_admin', 'CAP_BPF'],
    ['-perfmon,-sys_admin', 'CAP_PERFMON'],
  ] as const) {
    test(`root without ${missing}`, { timeout: 20_000 }, async () => {
      const words = [`--bounding-set=${dropped}`, process.execPath, executable, '-e', 'BEGIN { exit() }'];
      const { status, stderr } = await insitu(words, { command: 'setpriv' });
      assert.match(stderr, new RegExp(`ERROR: not enough privileges: ${missing} is missing`));
      assert.match(stderr, /HINT: .*--cap-add/);
      assert.equal(status, 1);
    });
  }

  test('without root: the missing capability is named', { timeout: 20_000 }, async () => {
    const { status, stderr } = await insitu(
      ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, executable, '-e', 'BEGIN { exit() }'],
      { command: 'setpriv', cwd: '/' },
    );
    assert.match(stderr, /ERROR: not root: .*CAP_/);
    assert.match(stderr, /HINT: .*sudo/);
    assert.equal(status, 1);
  });
});

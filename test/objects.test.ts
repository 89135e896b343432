/**
 * Objects of programs without symbols: the class of an object by its vtable, layouts that
 * a script declares, and the tree that `insitu object` prints. Envoy is the stripped
 * program; what a client knows of its own connection is the truth.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { client, configuration, freePort } from './envoy.ts';
import { envoy, insitu, lacking, Running } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-objects-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Where Envoy 1.40 keeps the peer's address, found with \`insitu object\`. */
const script = `
struct sockaddr4 { uint16_t family; uint16_t port; uint8_t addr[4]; };
struct Ipv4Instance { char pad[0x40]; struct sockaddr4 in; };
struct ConnectionInfo { char pad[0x30]; struct Ipv4Instance *remote; };
struct AcceptedSocket { char pad[0x10]; struct ConnectionInfo *info; };
struct Connection { char pad[0xc0]; uint64_t socket; };
uprobe:${envoy}:"~Envoy::Network::ConnectionImpl::noDelay" {
  $connection = (struct Connection *)arg0;
  $socket = (struct AcceptedSocket *)($connection->socket - 56);
  $in = $socket->info->remote->in;
  printf("%s %s %d at %p\\n", typename(arg0), ntop($in.addr), bswap($in.port), arg0);
  object(arg0, 4);
}
// Its result is an absl::Status, whose place is the first argument: the listener is the second.
uprobe:${envoy}:"~Envoy::Network::TcpListenerImpl::onSocketEvent" { printf("listener %s\\n", typename(arg1)); }
`;

describe('Envoy', { skip: lacking('envoy', 'tracefs') }, () => {
  test('classes by vtable, and the address of a peer', { timeout: 120_000 }, async () => {
    const port = await freePort();
    const server = spawn(
      envoy,
      ['-c', configuration(folder, '127.0.0.1', port), '--disable-hot-restart', '--log-level', 'off'],
      {
        stdio: 'ignore',
      },
    );
    try {
      (await client(port, '127.0.0.1')).destroy();
      const path = join(folder, 'peer.bt');
      writeFileSync(path, script);
      const tracer = new Running(['-q', '-p', String(server.pid), path], { timeout: 90_000 });
      await tracer.attached();
      const socket = await client(port, '127.0.0.1');
      const shown = `Envoy::Network::ServerConnectionImpl 127.0.0.1 ${socket.localPort} at `;
      await tracer.until(() => tracer.stdout.includes(shown), 'the connection is seen');
      const address = tracer.stdout.split(shown)[1]?.split('\n')[0] ?? '';
      const tree = await insitu(['object', String(server.pid), address, '--depth', '4'], { timeout: 60_000 });
      assert.match(tree.stdout, /^Envoy::Network::ServerConnectionImpl at 0x/);
      assert.match(tree.stdout, /Envoy::Network::AcceptedSocketImpl at 0x/);
      assert.match(tree.stdout, new RegExp(`sockaddr_in 127\\.0\\.0\\.1:${socket.localPort}\n`));
      // The same tree out of the script, at the call.
      await tracer.until(() => tracer.stdout.includes(`sockaddr_in 127.0.0.1:${socket.localPort}\n`), 'the tree');
      assert.match(
        tracer.stdout,
        /^Envoy::Network::ServerConnectionImpl at 0x[\s\S]*^ +Envoy::Network::AcceptedSocketImpl at 0x/m,
      );
      socket.destroy();
      const { stdout } = await tracer.interrupt();
      const listeners = new Set(stdout.match(/^listener .*$/gm));
      assert.deepEqual([...listeners], ['listener Envoy::Network::TcpListenerImpl']);
    } finally {
      server.kill('SIGKILL');
    }
  });
});

describe('classes that a script declares', { skip: lacking('gcc', 'tracefs') }, () => {
  const declared = `class Base { public: virtual ~Base(); virtual int f() const; int kind; char small; };
class Side { public: virtual ~Side() {} long weight; };
struct Plain { int a; char b; };
struct Derived : Plain { char c; int d; };
class Leaf : public Base { public: char tail; STD::string text; };
class Top { public: virtual ~Top() {} long top; STD::string title; };
class Left : public virtual Top { public: virtual int left_function(int); int left; };
class Right : public virtual Top { public: int right; };
class Bottom : public Left, public Right { public: char bottom; };
class Root : public Base, private Side { public: STD::string name; Leaf *leaf; Left *across; Bottom *diamond; Derived derived; unsigned low : 3, high : 13; STD::vector<int> numbers; };
`;
  const source = (std: string): string => `#include <string>
#include <vector>
${declared.replaceAll('STD', 'std').replaceAll('virtual ~Base();', 'virtual ~Base() {}').replaceAll('virtual int f() const;', 'virtual int f() const { return 1; }').replaceAll('private Side', 'public Side').replaceAll('int left_function(int);', 'int left_function(int i) { return i; }')}
#include <cstdio>
extern "C" __attribute__((noinline)) void show(Root *r) {
  fprintf(stderr, "%d %d %ld %s\\n%d %d %d %d\\n%d %s\\n%d %d\\n[%d,%d]\\n%ld %s %d\\n%ld %s %d %d %d\\n", r->kind, r->small, r->weight, r->name.c_str(), r->derived.a, r->derived.b, r->derived.c,
    r->derived.d, r->leaf->tail, r->leaf->text.c_str(), r->low, r->high, r->numbers[0], r->numbers[1], r->across->top, r->across->title.c_str(), r->across->left, r->diamond->top, r->diamond->title.c_str(), r->diamond->left, r->diamond->right, r->diamond->bottom);
  asm volatile("" ::"r"(r) : "memory");
}
int main() {
  Root *r = new Root; r->kind = 3; r->small = 4; r->weight = 77; r->name = "${std}"; r->leaf = new Leaf; r->leaf->tail = 9; r->leaf->text = "a text that is on the heap";
  r->derived.a = 1; r->derived.b = 2; r->derived.c = 5; r->derived.d = 6; r->low = 5; r->high = 4097; r->numbers = {8, 9};
  Bottom *b = new Bottom; b->top = 123456789012; b->title = "shared"; b->left = 21; b->right = 22; b->bottom = 23; r->across = b; r->diamond = new Bottom; r->diamond->top = -1; r->diamond->title = "a title that is on the heap"; r->diamond->left = 31; r->diamond->right = 32; r->diamond->bottom = 33;
  show(r);
}
`;
  for (const [compiler, std, ...flags] of [
    ['g++', 'std'],
    ['clang++', 'std::__1', '-stdlib=libc++'],
  ] as const) {
    const missing = spawnSync(compiler, ['--version']).error !== undefined && `needs ${compiler}`;
    test(`${compiler} stripped`, { skip: missing, timeout: 60_000 }, async () => {
      const path = join(folder, `declared-${compiler}.cc`);
      writeFileSync(path, source(std));
      const program = path.replace(/\.cc$/, '');
      const built = spawnSync(compiler, ['-O1', '-rdynamic', '-s', ...flags, '-o', program, path], {
        encoding: 'utf8',
      });
      assert.equal(built.status, 0, built.stderr);
      const script = `${declared.replaceAll('STD', std)}
uprobe:${program}:show {
  $r = (Root *)arg0;
  printf("%d %d %ld %s\\n%d %d %d %d\\n", $r->kind, $r->small, $r->weight, $r->name, $r->derived.a, $r->derived.b, $r->derived.c, $r->derived.d);
  printf("%d %s\\n%d %d\\n%s\\n", $r->leaf->tail, $r->leaf->text, $r->low, $r->high, $r->numbers);
  printf("%ld %s %d\\n", $r->across->top, $r->across->title, $r->across->left);
  printf("%ld %s %d %d %d\\n", $r->diamond->top, $r->diamond->title, $r->diamond->left, $r->diamond->right, $r->diamond->bottom);
}`;
      const log = `${program}.log`;
      const { status, stdout, stderr } = await insitu(['-q', '-c', `sh -c "exec ${program} 2>${log}"`, '-e', script]);
      assert.equal(status, 0, stderr);
      assert.equal(stdout.trimEnd(), readFileSync(log, 'utf8').trimEnd());
    });
  }
});

describe('insitu object', { skip: lacking('gcc') }, () => {
  const source = `#include <string>
#include <cstdio>
#include <unistd.h>
#include <netinet/in.h>
struct Base { virtual ~Base() {} int kind = 3; };
struct Side { virtual ~Side() {} long weight = 77; };
struct Leaf : Base { std::string text = "the text of the leaf, on the heap"; };
struct Root : Base, Side { std::string name = "root"; Leaf *leaf = new Leaf; Side *side = this; const char *literal = "literal";
  unsigned (*function)(unsigned) = sleep; sockaddr_in address{AF_INET, htons(8080), {htonl(INADDR_LOOPBACK)}}; long number = 4242; };
int main() { printf("%p\\n", (void *)new Root); fflush(stdout); pause(); }
`;
  const tree = [
    'Root at ADDRESS',
    'vtable   vtable of Root',
    'number   3',
    'vtable   vtable of Root (part at 16)',
    'number   77',
    'string   "root"',
    'object   Leaf',
    'Leaf at ADDRESS',
    'vtable   vtable of Leaf',
    'number   3',
    'string   "the text of the leaf, on the heap"',
    'object   Root (part at 16)',
    'Root at ADDRESS (shown above)',
    'text     "literal"',
    'function sleep',
    'socket   sockaddr_in 127.0.0.1:8080',
    'number   4242',
  ];
  const linesOf = (text: string): string[] =>
    text
      .split('\n')
      .map((line) => line.replace(/^ *\+0x[0-9a-f]+ +/, '').replace(/0x[0-9a-f]{6,}/g, 'ADDRESS'))
      .filter((line) => line.trim() !== '')
      .map((line) => line.trim());
  for (const [compiler, ...flags] of [['g++'], ['clang++'], ['clang++', '-stdlib=libc++']] as const) {
    const missing = spawnSync(compiler, ['--version']).error !== undefined && `needs ${compiler}`;
    test([compiler, ...flags, 'stripped'].join(' '), { skip: missing, timeout: 60_000 }, async () => {
      const path = join(folder, `object${flags.length}${compiler}.cc`);
      writeFileSync(path, source);
      const program = path.replace(/\.cc$/, '');
      const built = spawnSync(compiler, ['-O1', '-s', ...flags, '-o', program, path], { encoding: 'utf8' });
      assert.equal(built.status, 0, built.stderr);
      const child = spawn(program, { stdio: ['ignore', 'pipe', 'ignore'] });
      try {
        const address = await new Promise<string>((resolve) => {
          child.stdout.setEncoding('utf8').once('data', (text: string) => resolve(text.trim()));
        });
        const { stdout, stderr, status } = await insitu(['object', String(child.pid), address]);
        assert.equal(status, 0, stderr);
        assert.deepEqual(linesOf(stdout), tree);
      } finally {
        child.kill('SIGKILL');
      }
    });
  }

  test('object() in a script: the object as the probe saw it', {
    skip: lacking('tracefs'),
    timeout: 60_000,
  }, async () => {
    const path = join(folder, 'seen.cc');
    // The object changes as soon as the probe is over; the process waits for the end.
    const changing = `${source.slice(0, source.indexOf('int main'))}
extern "C" __attribute__((noinline)) void seen(Root *root, void *none) { asm volatile("" ::"r"(root), "r"(none) : "memory"); }
int main() { Root *root = new Root; seen(root, nullptr); root->name = "changed"; root->kind = 0; root->number = 0; pause(); }
`;
    writeFileSync(path, changing);
    const program = path.replace(/\.cc$/, '');
    const built = spawnSync('g++', ['-O1', '-rdynamic', '-s', '-o', program, path], { encoding: 'utf8' });
    assert.equal(built.status, 0, built.stderr);
    const script = `uprobe:${program}:seen { object(arg0); object(arg1, 0); exit(); }`;
    const { status, stdout, stderr } = await insitu(['-q', '-c', program, '-e', script]);
    assert.equal(status, 0, stderr);
    assert.deepEqual(linesOf(stdout), [...tree, 'no object at 0: a null pointer']);
    const json = await insitu([
      '-q',
      '-f',
      'json',
      '-c',
      program,
      '-e',
      `uprobe:${program}:seen { object(arg0, 1); exit(); }`,
    ]);
    const [event] = json.stdout.split('\n').filter((line) => line.includes('"object"'));
    const { type, data } = JSON.parse(event ?? '{}');
    assert.equal(type, 'object');
    assert.equal(data.type, 'Root');
    assert.deepEqual(data.findings.map(({ kind }: { kind: string }) => kind).slice(0, 5), [
      'vtable',
      'number',
      'vtable',
      'number',
      'string',
    ]);
  });

  test('object() where it does not make sense', async () => {
    const kernel = await insitu(['-e', 'BEGIN { object(1); }']);
    assert.equal(kernel.status, 1);
    assert.match(kernel.stderr, /object\(\) looks into a program/);
  });

  test('an address that is none', async () => {
    const { status, stderr } = await insitu(['object', String(process.pid), '0x10']);
    assert.equal(status, 1);
    assert.match(stderr, /has nothing at 0x10/);
  });
});

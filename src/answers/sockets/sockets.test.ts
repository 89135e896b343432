import assert from 'node:assert/strict';
import { test } from 'node:test';
import { containerIn } from './container.ts';
import type { Facts, SocketEvent } from './event.ts';
import { readSockaddr } from './event.ts';
import { SocketOptions } from './options.ts';
import { chain, durationText, errorNaming, makeReport } from './report.ts';
import { openSocketsScript, socketCallsScript } from './script.ts';
import { Sockets } from './table.ts';

/** Numbers of the x86-64 headers (asm-generic/socket.h, linux/tcp.h, asm-generic/errno.h). */
const numbers: Readonly<Record<string, bigint>> = {
  SOL_SOCKET: 1n,
  SO_REUSEADDR: 2n,
  SO_LINGER: 13n,
  SO_RCVTIMEO_OLD: 20n,
  SO_SNDBUF: 7n,
  IPPROTO_TCP: 6n,
  TCP_NODELAY: 1n,
  TCP_CONGESTION: 13n,
  TCP_KEEPIDLE: 4n,
  EADDRINUSE: 98n,
  EAGAIN: 11n,
  EINPROGRESS: 115n,
};
const constant = (name: string): bigint | undefined => numbers[name];
const bytes = (...words: number[]): Uint8Array => new Uint8Array(new Int32Array(words).buffer);

test('options by name, their values by kind', () => {
  const options = new SocketOptions(constant);
  const read = (level: number, option: number, value: Uint8Array, size = value.length): string =>
    Object.values(options.read(level, option, value, size)).join(' ');
  assert.equal(read(1, 2, bytes(1)), 'SOL_SOCKET SO_REUSEADDR on');
  assert.equal(read(1, 2, bytes(0)), 'SOL_SOCKET SO_REUSEADDR off');
  assert.equal(read(1, 13, bytes(1, 7)), 'SOL_SOCKET SO_LINGER 7 s');
  assert.equal(read(1, 13, bytes(0, 7)), 'SOL_SOCKET SO_LINGER off');
  assert.equal(read(1, 20, bytes(2, 0, 500_000, 0)), 'SOL_SOCKET SO_RCVTIMEO 2.5 s');
  assert.equal(read(1, 7, bytes(65536)), 'SOL_SOCKET SO_SNDBUF 65536');
  assert.equal(read(6, 1, bytes(1)), 'IPPROTO_TCP TCP_NODELAY on');
  assert.equal(read(6, 4, bytes(30)), 'IPPROTO_TCP TCP_KEEPIDLE 30 s');
  assert.equal(read(6, 13, new TextEncoder().encode('cubic\0')), 'IPPROTO_TCP TCP_CONGESTION cubic');
  // The level is known, the option is not; then neither is.
  assert.equal(read(6, 99, bytes(1)), 'IPPROTO_TCP 99 1');
  assert.equal(read(270, 5, new Uint8Array([1, 0xff]), 40), '270 5 01 ff … (40 bytes)');
});

test('addresses as programs give them', () => {
  assert.equal(readSockaddr(new Uint8Array([2, 0, 0x27, 0x10, 127, 0, 0, 1]), 16), '127.0.0.1:10000');
  const six = new Uint8Array(28);
  six.set([10, 0, 0, 80]);
  six[23] = 1;
  assert.equal(readSockaddr(six, 28), '[::1]:80');
  const unix = (path: string): Uint8Array => new Uint8Array([1, 0, ...new TextEncoder().encode(path)]);
  assert.equal(readSockaddr(unix('/run/x.sock\0'), 14), '/run/x.sock');
  assert.equal(readSockaddr(unix('\0abstract'), 11), '@abstract');
  assert.equal(readSockaddr(new Uint8Array([16, 0, 0, 0, 0, 0, 0, 0]), 12), 'address family 16');
  assert.equal(readSockaddr(new Uint8Array(1), 1), '');
});

test('the frames that say who made a call', () => {
  const stack = [
    'setsockopt+10',
    '~A::B::vfunc[22]+83',
    '~A::Socket<A::Trait<(A::Type)0> >::setOption+179',
    '0x5558',
    '~called only from main+44',
    '~main+44',
  ];
  assert.equal(chain(stack), '~A::Socket<A::Trait<(A::Type)0> >::setOption ← ~main');
  assert.equal(chain(['accept4+88', '~A::vfunc[3]+1']), '~A::vfunc[3]');
  const rust =
    '<core::iter::adapters::GenericShunt<core::iter::adapters::map::Map<A, B>, core::result::Result<C, D>> as core::iter::Iterator>::next+9';
  assert.equal(chain([rust]), '<core::iter::adapters::GenericShunt as core::iter::Iterator>::next');
  assert.equal(chain(['bind+7', '0x1', '[depth limit 127]']), '');
});

test('containers by their control groups', () => {
  const id = '0123456789ab'.padEnd(64, 'c');
  for (const [groups, expected] of [
    [`0::/system.slice/docker-${id}.scope\n`, 'docker 0123456789ab'],
    [`12:cpu:/docker/${id}\n0::/\n`, 'docker 0123456789ab'],
    [
      `0::/kubepods.slice/kubepods-burstable.slice/kubepods-pod1.slice/cri-containerd-${id}.scope`,
      'containerd 0123456789ab',
    ],
    [`0::/kubepods/besteffort/pod1/${id}`, 'kubernetes 0123456789ab'],
    [`0::/machine.slice/libpod-${id}.scope/container`, 'podman 0123456789ab'],
    [`0::/kubepods.slice/crio-${id}.scope`, 'cri-o 0123456789ab'],
    ['0::/lxc.payload.web/system.slice', 'lxc web'],
    ['0::/machine.slice/machine-my\\x2dbox.scope', 'machine my-box'],
    ['0::/user.slice/user-0.slice/session-1.scope\n1:cpu:/\n', ''],
    ['', ''],
  ] as const)
    assert.equal(containerIn(groups), expected, groups);
});

test('durations', () => {
  assert.deepEqual([812, 40_000, 1_500, 2_340_000, 61e9].map(durationText), [
    '812 ns',
    '40 µs',
    '1.5 µs',
    '2.3 ms',
    '61 s',
  ]);
});

const facts = (more: Partial<Facts>): Facts => ({
  ...{ family: 2, type: 1, protocol: 6, state: 7, local: '', peer: '', reuseAddress: false, reusePort: false },
  ...{ keepAlive: false, noDelay: false, v6Only: false, shutdown: 0, backlog: 0, queue: 0, received: 0, sent: 0 },
  ...more,
});
const event = (call: string, at: number, more: Partial<SocketEvent> = {}): SocketEvent => ({
  ...{
    call,
    at,
    took: 5,
    pid: 7,
    tid: 7,
    comm: 'server',
    thread: 'server',
    ret: 0,
    fd: 3,
    sk: 'a',
    facts: undefined,
    stack: [`${call}+1`, `do_${call}+2`],
  },
  ...{ numbers: {}, bytes: new Uint8Array(), text: '' },
  ...more,
});
const option = (at: number, level: number, number: number, more: Partial<SocketEvent> = {}): SocketEvent =>
  event('setsockopt', at, { numbers: { level, option: number, size: 4 }, bytes: bytes(1), ...more });
const reportOf = (...events: SocketEvent[]): ReturnType<typeof makeReport> => {
  const sockets = new Sockets(new SocketOptions(constant));
  for (const one of events) sockets.take(one);
  return makeReport(sockets, errorNaming(constant));
};

test('the three questions', () => {
  const listening = facts({ state: 10, local: '0.0.0.0:80', backlog: 511, reuseAddress: true });
  const accepted = facts({ state: 1, local: '10.0.0.1:80', peer: '10.0.0.2:4000' });
  const report = reportOf(
    event('socket', 100, { ret: 3, facts: facts({}) }),
    option(200, 1, 2),
    event('bind', 300, { facts: facts({ local: '0.0.0.0:80', reuseAddress: true }) }),
    event('listen', 400, { facts: listening, numbers: { asked: 511 } }),
    event('accept', 1000, { ret: 4, fd: 4, sk: 'b', text: 'a', numbers: { listener_fd: 3 }, facts: accepted }),
    option(41_005, 6, 1, { fd: 4, sk: 'b' }),
    event('close', 900_000, { fd: 4, sk: 'b', facts: { ...accepted, noDelay: true, received: 78, sent: 120 } }),
    event('empty', 950_000, { fd: -1, sk: 'a', numbers: { empty: 1, spurious: 1 } }),
  );
  assert.deepEqual(report.findings, [
    'Port 80 (0.0.0.0:80, tcp) is listened on by server (pid 7, fd 3), by do_listen [1], with a backlog of 511.',
    '  SO_REUSEADDR is set on it, by do_setsockopt [2], before bind.',
    '  The accepted connection has TCP_NODELAY, set by do_setsockopt [2], 40 µs after accept.',
    '  1 time accept() gave EAGAIN right after epoll had reported a connection: another thread or process took it.',
  ]);
  assert.equal(report.listeners[0]?.accepted, 1);
  assert.equal(report.listeners[0]?.spuriousAccepts, 1);
  const [connection] = report.connections;
  assert.deepEqual(
    [connection?.way, connection?.listener, connection?.noDelay, connection?.received, connection?.sent],
    ['accepted', '0.0.0.0:80', true, 78, 120],
  );
  // From the return of accept() to close().
  assert.equal(connection?.lifetime, 900_000 - 1005);
  assert.equal(connection?.open, false);
});

test('a socket lives as long as a descriptor leads to it', () => {
  const peer = facts({ state: 1, local: '1.1.1.1:1', peer: '2.2.2.2:2' });
  const made = event('socket', 1, { ret: 3, facts: facts({}) });
  const connect = event('connect', 2, { facts: peer });
  const open = (...events: SocketEvent[]): boolean | undefined =>
    reportOf(made, connect, ...events).connections[0]?.open;
  assert.equal(open(event('close', 3)), false);
  assert.equal(open(event('dup', 3, { fd: 9 }), event('close', 4)), true);
  assert.equal(open(event('dup', 3, { fd: 9 }), event('close', 4), event('close', 5, { fd: 9 })), false);
  const fork = event('fork', 3, { sk: '', numbers: { child: 8 } });
  assert.equal(open(fork, event('close', 4)), true);
  assert.equal(open(fork, event('close', 4), event('exit', 5, { pid: 8, sk: '' })), false);
  assert.equal(open(event('exec', 4, { sk: '' })), true);
  const closing = event('socket', 1, { ret: 3, facts: facts({}), numbers: { flags: 0o2000001 } });
  assert.equal(reportOf(closing, connect, event('exec', 4, { sk: '' })).connections[0]?.open, false);
  // The descriptor's number, or the socket's address, is used again: the close was not seen.
  assert.equal(open(event('socket', 5, { ret: 3, sk: 'z', facts: facts({}) })), false);
  assert.equal(reportOf(made, connect, event('socket', 5, { ret: 4, fd: 4, facts: facts({}) })).connections.length, 1);
});

test('failures by name, connects that go on in the background', () => {
  const address = new Uint8Array([2, 0, 0, 80, 127, 0, 0, 1]);
  const report = reportOf(
    event('socket', 1, { ret: 3, facts: facts({}) }),
    event('bind', 2, { ret: -98, facts: facts({}), bytes: address, numbers: { size: 16 } }),
    event('connect', 3, {
      ret: -115,
      facts: facts({ state: 2, peer: '127.0.0.1:80' }),
      bytes: address,
      numbers: { size: 16 },
    }),
  );
  assert.deepEqual(report.findings, [
    'bind(127.0.0.1:80) failed with EADDRINUSE, in server (pid 7, fd 3), by do_bind [1].',
  ]);
  assert.equal(report.connections[0]?.result, 'in the background');
});

test('sockets that were open before; what no look shows any more is gone', () => {
  const sockets = new Sockets(new SocketOptions(constant));
  const seen = facts({ state: 10, local: '[::]:443', family: 10, reuseAddress: true, backlog: 128 });
  sockets.take(event('open', 10, { facts: seen, stack: [] }));
  const open = makeReport(sockets, errorNaming(constant));
  assert.deepEqual(open.findings, [
    'Port 443 ([::]:443, tcp) is listened on by server (pid 7, fd 3), since before the trace began, with a backlog of 128.',
    '  SO_REUSEADDR is set on it, since before the trace began.',
  ]);
  sockets.settle(new Set(['7:3']), new Set([7]), 20);
  assert.equal(makeReport(sockets, errorNaming(constant)).listeners[0]?.open, true);
  sockets.settle(new Set(), new Set([7]), 20);
  assert.equal(makeReport(sockets, errorNaming(constant)).listeners[0]?.open, false);
  // Its close() comes late out of the ring buffer: it is no other socket.
  sockets.take(event('close', 15, { facts: { ...seen, backlog: 99 } }));
  const closed = makeReport(sockets, errorNaming(constant)).listeners;
  assert.deepEqual(
    closed.map(({ open: isOpen, backlog }) => [isOpen, backlog]),
    [[false, 99]],
  );
});

test('calls that are told after a look that has shown their socket already', () => {
  const listening = facts({ state: 10, local: '0.0.0.0:80', backlog: 5, reuseAddress: true });
  const report = reportOf(
    // A look at 900; what happened before comes later out of the ring buffer.
    event('open', 900, { sk: 'a', facts: listening, stack: [] }),
    event('open', 900, {
      sk: 'b',
      fd: 4,
      facts: facts({ state: 1, local: '10.0.0.1:80', peer: '10.0.0.2:4000', received: 7 }),
      stack: [],
    }),
    event('socket', 100, { ret: 3, facts: facts({}) }),
    // Another one had the number that the accepted one has now.
    event('socket', 150, { ret: 4, fd: 4, sk: 'c', facts: facts({ family: 1 }) }),
    event('close', 160, { fd: 4, sk: 'c' }),
    event('bind', 300, { facts: facts({ local: '0.0.0.0:80' }) }),
    event('listen', 400, { facts: facts({ state: 10, local: '0.0.0.0:80', backlog: 5 }), numbers: { asked: 5 } }),
    event('accept', 500, {
      ret: 4,
      fd: 4,
      sk: 'b',
      text: 'a',
      numbers: { listener_fd: 3 },
      facts: facts({ state: 1, local: '10.0.0.1:80', peer: '10.0.0.2:4000' }),
    }),
  );
  assert.deepEqual(
    report.listeners.map(({ backlog, reuseAddress, accepted, listenedBy }) => [
      backlog,
      reuseAddress,
      accepted,
      listenedBy !== undefined,
    ]),
    [[5, true, 1, true]],
  );
  assert.deepEqual(
    report.connections.map(({ way, received, open }) => [way, received, open]),
    [['accepted', 7, true]],
  );
});

test('a socket in the place of one that is gone, shown by a look before either is told', () => {
  const report = reportOf(
    event('open', 900, { facts: facts({ state: 10, local: '0.0.0.0:80', backlog: 5, reusePort: true }), stack: [] }),
    event('socket', 100, { ret: 3, facts: facts({ type: 2 }) }),
    event('close', 200, { facts: facts({ type: 2 }) }),
    event('socket', 300, { ret: 3, facts: facts({}) }),
    event('bind', 400, { facts: facts({ local: '0.0.0.0:80' }) }),
    event('listen', 500, { facts: facts({ state: 10, local: '0.0.0.0:80', backlog: 5 }), numbers: { asked: 5 } }),
  );
  assert.deepEqual(
    report.listeners.map(({ open, reusePort, boundBy, listenedBy }) => [
      ...[open, reusePort],
      ...[boundBy !== undefined, listenedBy !== undefined],
    ]),
    [[true, true, true, true]],
  );
});

test('the scripts name what they watch, and never the tracer', () => {
  const script = socketCallsScript({ pids: [5, 6], child: false, self: 99, events: false });
  assert.match(script, /@traced\[\(uint32\)5\] = 1; @traced\[\(uint32\)6\] = 1;/);
  assert.doesNotMatch(script, /TRACED|\$SELF|undefined/);
  assert.match(socketCallsScript({ pids: [], child: false, self: 99, events: true }), /pid != 99/);
  assert.match(openSocketsScript({ pids: [], self: 99 }), /tgid != 99/);
});

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { constants as node } from 'node:os';
import { describe, it } from 'node:test';
import { constant, constantNames, errnoName, signalName, syscallName } from './index.ts';

describe('constant', () => {
  // From the manual pages and the System V ABI of x86-64.
  const known: Readonly<Record<string, bigint>> = {
    AF_UNSPEC: 0n,
    AF_UNIX: 1n,
    AF_INET: 2n,
    AF_INET6: 10n,
    PF_INET6: 10n,
    SOL_SOCKET: 1n,
    SOL_TCP: 6n,
    SO_REUSEADDR: 2n,
    SO_KEEPALIVE: 9n,
    SOCK_STREAM: 1n,
    SOCK_NONBLOCK: 0o4000n,
    IPPROTO_TCP: 6n,
    IPPROTO_UDP: 17n,
    IPPROTO_IPV6: 41n,
    TCP_NODELAY: 1n,
    TCP_ESTABLISHED: 1n,
    UDP_SEGMENT: 103n,
    IP_TTL: 2n,
    IPV6_V6ONLY: 26n,
    O_CREAT: 0o100n,
    O_CLOEXEC: 0o2000000n,
    S_IFMT: 0o170000n,
    S_IRUSR: 0o400n,
    ENOENT: 2n,
    EAGAIN: 11n,
    SIGKILL: 9n,
    CLONE_THREAD: 0x10000n,
    PROT_EXEC: 4n,
    MAP_ANONYMOUS: 0x20n,
    MADV_DONTNEED: 4n,
    EPOLLIN: 1n,
    EPOLLET: 1n << 31n,
    EPOLL_CTL_ADD: 1n,
    POLLIN: 1n,
    F_SETFD: 2n,
    FD_CLOEXEC: 1n,
    AT_FDCWD: -100n,
    MSG_DONTWAIT: 0x40n,
    SHUT_RDWR: 2n,
    FUTEX_WAIT: 0n,
    PR_SET_NAME: 15n,
    RLIMIT_NOFILE: 7n,
    RLIM_INFINITY: 0xffffffffffffffffn,
    LOCK_EX: 2n,
    SEEK_END: 2n,
    INADDR_LOOPBACK: 0x7f000001n,
    INADDR_ANY: 0n,
    IFF_UP: 1n,
    PTRACE_ATTACH: 16n,
    WNOHANG: 1n,
    __NR_read: 0n,
    __NR_openat: 257n,
    // The kernel's view, not glibc's 0.
    O_LARGEFILE: 0o100000n,
    DT_DIR: 4n,
    ETH_P_IP: 0x800n,
    CAP_SYS_ADMIN: 21n,
    NAME_MAX: 255n,
    INT_MIN: -(1n << 31n),
  };

  it('knows what scripts ask for', () => {
    for (const [name, value] of Object.entries(known)) assert.equal(constant(name), value, name);
  });

  it('knows no others', () => {
    for (const name of ['', 'AF_', 'AF_INET=2', 'nonsense', '__GNUC__', 'toString', 'NULL']) {
      assert.equal(constant(name), undefined, name);
    }
  });

  it('lists its names', () => {
    const names = [...constantNames()];
    assert.ok(names.includes('AF_INET') && names.includes('EPERM'));
    assert.equal(new Set(names).size, names.length);
    for (const name of names) assert.match(name, /^[A-Za-z_]\w*$/);
  });

  it('agrees with Node about errors and signals', () => {
    for (const [name, value] of Object.entries({ ...node.errno, ...node.signals })) {
      assert.equal(constant(name), BigInt(value), name);
    }
  });
});

describe('names of numbers', () => {
  it('has one name for each error', () => {
    assert.equal(errnoName(2), 'ENOENT');
    assert.equal(errnoName(-11), 'EAGAIN');
    assert.equal(errnoName(35), 'EDEADLK');
    assert.equal(errnoName(95), 'EOPNOTSUPP');
    assert.equal(errnoName(133), 'EHWPOISON');
    assert.equal(errnoName(0), undefined);
    assert.equal(errnoName(4096), undefined);
    for (const value of Object.values(node.errno)) assert.ok(errnoName(value) !== undefined, String(value));
  });

  it('has one name for each signal', () => {
    assert.equal(signalName(6), 'SIGABRT');
    assert.equal(signalName(17), 'SIGCHLD');
    assert.equal(signalName(29), 'SIGIO');
    assert.equal(signalName(31), 'SIGSYS');
    assert.equal(signalName(0), undefined);
    for (let number = 1; number <= 31; number++) assert.ok(signalName(number) !== undefined, String(number));
  });

  const table = '/usr/include/x86_64-linux-gnu/asm/unistd_64.h';
  it('has the system calls of the headers', { skip: existsSync(table) ? false : `${table} is not there` }, () => {
    let count = 0;
    for (const match of readFileSync(table, 'utf8').matchAll(/#define __NR_(\w+) (\d+)/g)) {
      assert.equal(syscallName(Number(match[2])), match[1]);
      count++;
    }
    assert.ok(count > 300);
    assert.equal(syscallName(100_000), undefined);
  });
});

describe('start-up', () => {
  it('parses nothing before the first question', () => {
    // In a process of its own: importing must not take what a parse of 7,000 names takes.
    const script = `
      const module = await import(${JSON.stringify(new URL(import.meta.url.endsWith('.ts') ? './index.ts' : './index.js', import.meta.url).href)});
      const settled = () => (gc(), process.memoryUsage().heapUsed);
      const imported = settled();
      module.constant('AF_INET');
      console.log(settled() - imported > 200_000);`;
    const args = [
      ...process.execArgv.filter((arg) => !arg.startsWith('--test')),
      '--expose-gc',
      '--input-type=module',
      '-e',
      script,
    ];
    assert.equal(execFileSync(process.execPath, args, { encoding: 'utf8' }).trim(), 'true');
  });
});

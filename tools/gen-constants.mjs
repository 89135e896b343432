#!/usr/bin/env node
// Writes src/kernel/host/constants/uapi.ts: the integer macros and enumerators of the
// kernel's uapi headers (Debian: linux-libc-dev) and, for what only they define, of the C
// library's (libc6-dev). Names come from `cc -E -dD`, header by header; values from a table
// of them that the compiler evaluates with that header alone. Where headers disagree
// (O_LARGEFILE), the kernel's view wins: it is what a tracer sees.
//
// With --check it writes nothing and ends with 1 when the file is not what the headers
// give; with headers of another version, when a constant in both has another value.
//
//   node tools/gen-constants.mjs [--check]
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const output = join(root, 'src/kernel/host/constants/uapi.ts');
const check = process.argv.includes('--check');

/** In order of precedence: the kernel's first. */
const HEADERS = [
  'asm/errno.h',
  'asm/unistd_64.h',
  'asm/signal.h',
  'asm/siginfo.h',
  'linux/fcntl.h',
  'asm/mman.h',
  'linux/mman.h',
  'asm/socket.h',
  'linux/socket.h',
  'linux/in.h',
  'linux/in6.h',
  'linux/ip.h',
  'linux/ipv6.h',
  'linux/tcp.h',
  'linux/udp.h',
  'linux/icmp.h',
  'linux/icmpv6.h',
  'linux/igmp.h',
  'linux/sctp.h',
  'linux/net.h',
  'linux/un.h',
  'linux/if.h',
  'linux/if_arp.h',
  'linux/if_ether.h',
  'linux/if_packet.h',
  'linux/if_tun.h',
  'linux/if_link.h',
  'linux/if_addr.h',
  'linux/vm_sockets.h',
  'linux/netlink.h',
  'linux/rtnetlink.h',
  'linux/neighbour.h',
  'linux/netfilter.h',
  'linux/netfilter_ipv4.h',
  'linux/sock_diag.h',
  'linux/inet_diag.h',
  'linux/errqueue.h',
  'linux/net_tstamp.h',
  'linux/tls.h',
  'linux/sockios.h',
  'asm/ioctls.h',
  'linux/stat.h',
  'linux/fs.h',
  'linux/mount.h',
  'linux/falloc.h',
  'linux/fiemap.h',
  'linux/magic.h',
  'linux/openat2.h',
  'linux/eventpoll.h',
  'asm/poll.h',
  'linux/inotify.h',
  'linux/fanotify.h',
  'linux/signalfd.h',
  'linux/timerfd.h',
  'linux/memfd.h',
  'linux/io_uring.h',
  'linux/aio_abi.h',
  'linux/userfaultfd.h',
  'linux/sched.h',
  'linux/sched/types.h',
  'linux/futex.h',
  'linux/prctl.h',
  'asm/prctl.h',
  'linux/seccomp.h',
  'linux/filter.h',
  'linux/audit.h',
  'linux/elf-em.h',
  'linux/capability.h',
  'linux/securebits.h',
  'linux/landlock.h',
  'linux/ptrace.h',
  'asm/ptrace-abi.h',
  'linux/wait.h',
  'linux/resource.h',
  'linux/time.h',
  'linux/times.h',
  'linux/timex.h',
  'linux/rseq.h',
  'linux/membarrier.h',
  'linux/random.h',
  'linux/reboot.h',
  'linux/personality.h',
  'linux/pidfd.h',
  'linux/kcmp.h',
  'linux/keyctl.h',
  'linux/mempolicy.h',
  'linux/ioprio.h',
  'linux/close_range.h',
  'linux/ipc.h',
  'linux/sem.h',
  'linux/shm.h',
  'linux/msg.h',
  'linux/mqueue.h',
  'linux/quota.h',
  'linux/nsfs.h',
  'linux/xattr.h',
  'linux/limits.h',
  'linux/oom.h',
  'linux/perf_event.h',
  'linux/taskstats.h',
  'linux/utsname.h',
  'linux/module.h',
  'linux/kexec.h',
  'linux/loop.h',
  'linux/binfmts.h',
  // The C library's, for what the uapi headers leave to it.
  'errno.h',
  'sys/socket.h',
  'sys/un.h',
  'netinet/in.h',
  'netinet/ip.h',
  'netinet/tcp.h',
  'netinet/udp.h',
  'net/ethernet.h',
  'netdb.h',
  'net/if.h',
  'arpa/inet.h',
  'fcntl.h',
  'sys/stat.h',
  'sys/mman.h',
  'sys/file.h',
  'sys/epoll.h',
  'sys/eventfd.h',
  'sys/signalfd.h',
  'sys/timerfd.h',
  'sys/inotify.h',
  'sys/wait.h',
  'sys/resource.h',
  'sys/ptrace.h',
  'sys/shm.h',
  'sys/mount.h',
  'sys/statvfs.h',
  'sys/ioctl.h',
  'sys/uio.h',
  'sys/random.h',
  'sys/xattr.h',
  'sys/swap.h',
  'sys/klog.h',
  'syslog.h',
  'dirent.h',
  'unistd.h',
  'signal.h',
  'sched.h',
  'poll.h',
  'time.h',
  'dlfcn.h',
  'limits.h',
  'stdint.h',
];

/** Not constants of an interface: feature switches, guards, what the compiler itself defines. */
const UNWANTED =
  /^(_(?!_NR_|_WALL|_WCLONE|_WNOTHREAD)|linux$|unix$|BPF_|PERF_(?!COUNT_|TYPE_|SAMPLE_|EVENT_IOC_|FLAG_)|L_|TMP_MAX|BUFSIZ|FILENAME_MAX|FOPEN_MAX|EXIT_|MB_|\w+_H_?$|LITTLE_ENDIAN|BIG_ENDIAN|PDP_ENDIAN|BYTE_ORDER)|_CS_|^_(PC|SC|CS)_|WIDTH$/;

const cc = (args, input) => {
  const run = spawnSync('cc', args, { input, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (run.error !== undefined) {
    const reason = run.error.code === 'ENOENT' ? 'there is no C compiler (cc)' : run.error.message;
    console.log(`gen-constants: skipped, ${reason}`);
    process.exit(check ? 0 : 1);
  }
  return run;
};

const builtin = new Set();
for (const line of cc(['-E', '-dM', '-'], '').stdout.split('\n')) builtin.add(line.split(' ')[1]);

if (!['/usr/include/linux/in.h', '/usr/include/netinet/in.h'].every((path) => existsSync(path))) {
  console.log('gen-constants: skipped, no headers (Debian: linux-libc-dev and libc6-dev)');
  process.exit(check ? 0 : 1);
}
if (process.arch !== 'x64') {
  console.log('gen-constants: skipped, the constants are those of x86-64');
  process.exit(check ? 0 : 1);
}

/** A header alone, and with the C library's types before it where it does not stand alone. */
const including = (header) => [
  `#define _GNU_SOURCE 1\n#include <${header}>\n`,
  `#define _GNU_SOURCE 1\n#include <stdint.h>\n#include <sys/types.h>\n#include <sys/socket.h>\n#include <${header}>\n`,
];

/** Enumerators: names in the braces of each enum of a preprocessed text. */
function enumerators(text) {
  const names = [];
  for (const body of text.replace(/^#.*$/gm, '').matchAll(/\benum\b[^{};()]*\{([^}]*)\}/g)) {
    for (const item of body[1].split(',')) {
      const name = /^\s*([A-Za-z_]\w*)/.exec(item);
      if (name !== null) names.push(name[1]);
    }
  }
  return names;
}

/** name → value of all integer constants of one header; undefined when it does not compile. */
function read(source) {
  const text = cc(['-E', '-P', '-dD', '-'], source);
  if (text.status !== 0) return undefined;
  const names = new Set(enumerators(text.stdout));
  for (const match of text.stdout.matchAll(/^#define ([A-Za-z_]\w*) .+$/gm)) names.add(match[1]);
  let candidates = [...names].filter((name) => !builtin.has(name) && !UNWANTED.test(name)).sort();
  const headLines = source.split('\n').length - 1;
  for (;;) {
    // Each stands alone on a line; the compiler says on which lines there is no integer constant, an
    // identifier that is not declared only once: therefore until nothing is left to say.
    const table = candidates.map((name, i) => `enum { insitu_${i} = (${name}) };`).join('\n');
    const values = candidates.map((name) => `(unsigned long long)(${name}), (${name}) < 0,`).join('\n');
    const unit = `${source}${table}\nunsigned long long insitu_values[] = {\n${values}\n1 };\n`;
    const run = cc(['-S', '-w', '-fmax-errors=0', '-x', 'c', '-o', '-', '-'], unit);
    if (run.status === 0) return decode(candidates, run.stdout);
    const bad = new Set();
    for (const match of run.stderr.matchAll(/^<stdin>:(\d+):/gm)) {
      const line = Number(match[1]) - headLines - 1;
      bad.add(line < candidates.length ? line : line - candidates.length - 1);
    }
    const left = candidates.filter((_, i) => !bad.has(i));
    if (left.length === candidates.length) return undefined;
    candidates = left;
  }
}

/** The values from the assembler text of the table: value and sign of each. */
function decode(names, assembler) {
  const words = [];
  const at = assembler.indexOf('insitu_values:');
  for (const match of assembler.slice(at).matchAll(/^\s+\.(quad|zero)\s+(-?\d+)/gm)) {
    if (match[1] === 'quad') words.push(BigInt.asUintN(64, BigInt(match[2])));
    else for (let i = 0; i < Number(match[2]); i += 8) words.push(0n);
  }
  if (words[names.length * 2] !== 1n)
    throw new Error('gen-constants: the table in the assembler text is not understood');
  return names.map((name, i) => [name, words[2 * i + 1] === 1n ? BigInt.asIntN(64, words[2 * i]) : words[2 * i]]);
}

const constants = new Map();
for (const header of HEADERS) {
  const [alone, helped] = including(header);
  const found = read(alone) ?? read(helped);
  if (found === undefined) console.log(`gen-constants: <${header}> is not there or does not compile`);
  for (const [name, value] of found ?? []) if (!constants.has(name)) constants.set(name, value);
}

const version = (() => {
  const source =
    '#include <linux/version.h>\n#include <features.h>\nkernel LINUX_VERSION_CODE\nlibc __GLIBC__ __GLIBC_MINOR__\n';
  const text = cc(['-E', '-P', '-'], source).stdout;
  const code = Number(/kernel (\d+)/.exec(text)[1]);
  const [, major, minor] = /libc (\d+) (\d+)/.exec(text);
  return `Linux ${code >> 16}.${(code >> 8) & 255}.${code & 255}, glibc ${major}.${minor}`;
})();

/** One line per family: the prefix up to the first underscore, then the names without it. */
function families() {
  const lines = new Map();
  for (const name of [...constants.keys()].sort()) {
    const at = name.startsWith('__NR_') ? 5 : name.indexOf('_', 1) + 1;
    const family = name.slice(0, at);
    if (!lines.has(family)) lines.set(family, []);
    lines.get(family).push(`${name.slice(at)}=${constants.get(name)}`);
  }
  return [...lines].map(([family, items]) => `${family} ${items.join(' ')}`);
}

const text = `// Generated by tools/gen-constants.mjs (${version}, x86-64): don't edit.
// Macros and enumerators of ${HEADERS.length} headers whose value is an integer constant.
// A line holds a family: its prefix, then name=value without the prefix.
export const UAPI: string = \`
${families().join('\n')}
\`;
`;

const current = existsSync(output) ? readFileSync(output, 'utf8') : '';
if (!check) {
  writeFileSync(output, text);
  console.log(`${output}: ${constants.size} constants of ${version}`);
} else if (current !== text) {
  if (current.includes(`(${version},`)) {
    console.error(`${output} is not what the headers give: run node tools/gen-constants.mjs`);
    process.exit(1);
  }
  // Other headers know other constants, but what both know is the ABI and does not change.
  let differences = 0;
  for (const line of current.split('\n')) {
    const at = line.indexOf(' ');
    for (const item of line.slice(at + 1).matchAll(/([A-Z0-9]\w*)=(-?\d+)(?= |$)/gi)) {
      const name = line.slice(0, at) + item[1];
      const value = constants.get(name);
      // Counts of what there is (…_MAX and the like) grow with every version.
      if (value === undefined || String(value) === item[2] || /MAX|LAST|NUM|COUNT|MASK|ALL|END|syscalls/.test(name))
        continue;
      console.error(`${name}: ${item[2]} in ${output}, ${value} in the headers of ${version}`);
      differences++;
    }
  }
  console.log(`gen-constants: headers of ${version} compared with constants of another version`);
  process.exit(differences === 0 ? 0 : 1);
}

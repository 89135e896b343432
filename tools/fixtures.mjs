// What the tests need besides npm: a compiler, the tools that say what is right (readelf,
// nm, gdb, strace), the peer, libc's debug file, two real programs, and an emulator with
// another kernel. Installs what is missing where it can; what stays missing is named, and
// the tests that need it skip.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { fetchKernel } from './kernels.mjs';
import { fetchEnvoy, fetchNginx, fetchWorkerd } from './programs.mjs';

const onPath = (name) => (process.env.PATH ?? '').split(':').some((folder) => existsSync(`${folder}/${name}`));
const debugFiles = () => existsSync('/usr/lib/debug/.build-id') && readdirSync('/usr/lib/debug/.build-id').length > 0;
/** Debian keeps each version of LLVM in a folder of its own. */
const inLlvm = (path) =>
  readdirSync('/usr/lib').some((name) => name.startsWith('llvm-') && existsSync(`/usr/lib/${name}/${path}`));

const packages = [
  ['gcc', () => onPath('gcc')],
  ['g++', () => onPath('g++')],
  ['clang', () => onPath('clang')],
  [
    'libc++-dev',
    () => existsSync('/usr/include/c++/v1/vector') || existsSync('/usr/lib/llvm-14/include/c++/v1/vector'),
  ],
  [
    'libc++abi-dev',
    () => existsSync('/usr/lib/x86_64-linux-gnu/libc++abi.so') || existsSync('/usr/lib/llvm-14/lib/libc++abi.so'),
  ],
  // Debian's own, beside another version that the machine may have: types of libraries differ.
  ['rustc', () => existsSync('/usr/bin/rustc')],
  ['golang-go', () => existsSync('/usr/lib/go/bin/go')],
  ['libabsl-dev', () => existsSync('/usr/include/absl/status/statusor.h')],
  ['libstdc++6-12-dbg', () => existsSync('/usr/lib/x86_64-linux-gnu/debug/libstdc++.so.6')],
  ['binutils', () => onPath('readelf')],
  ['clang', () => onPath('clang++')],
  ['lld', () => onPath('ld.lld')],
  ['libc++-dev', () => inLlvm('include/c++/v1/vector')],
  ['libc++abi-dev', () => inLlvm('lib/libc++abi.a')],
  ['g++-aarch64-linux-gnu', () => onPath('aarch64-linux-gnu-g++')],
  ['protobuf-compiler', () => onPath('protoc')],
  ['libprotobuf-dev', () => existsSync('/usr/include/google/protobuf/message.h')],
  ['gdb', () => onPath('gdb')],
  ['strace', () => onPath('strace')],
  ['iproute2', () => onPath('ss')],
  ['python3', () => existsSync('/usr/bin/python3')],
  ['wrk', () => onPath('wrk')],
  ['tmux', () => onPath('tmux')],
  ['man-db', () => onPath('man')],
  ['zsh', () => onPath('zsh')],
  ['fish', () => onPath('fish')],
  ['bpftrace', () => onPath('bpftrace')],
  ['libc6-dbg', debugFiles],
  [
    'systemtap-sdt-dev',
    () => existsSync('/usr/include/x86_64-linux-gnu/sys/sdt.h') || existsSync('/usr/include/sys/sdt.h'),
  ],
  ['dwarves', () => onPath('pahole')],
  ['python3-dbg', () => onPath('python3-dbg')],
  ['iproute2', () => onPath('ip') || existsSync('/usr/sbin/ip') || existsSync('/sbin/ip')],
  ['tcpdump', () => onPath('tcpdump')],
  ['dwz', () => onPath('dwz')],
  ['debuginfod', () => onPath('debuginfod')],
  ['qemu-system-x86', () => process.arch !== 'x64' || onPath('qemu-system-x86_64')],
  ['kmod', () => existsSync('/sbin/insmod') || existsSync('/usr/sbin/insmod')],
];

const lacking = () => packages.filter(([, present]) => !present()).map(([name]) => name);
const missing = lacking();
if (missing.length > 0 && onPath('apt-get') && process.getuid?.() === 0) {
  console.log(`fixtures: apt-get install ${missing.join(' ')} …`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const apt = (...args) => spawnSync('apt-get', args, { env, stdio: ['ignore', 'ignore', 'pipe'], timeout: 300_000 });
  const install = () => apt('install', '-y', '-qq', '--no-install-recommends', ...missing);
  if (install().status !== 0 && apt('update', '-qq').status === 0 && install().status !== 0) {
    // One that this release of Debian does not have must not keep the others away.
    for (const name of missing) apt('install', '-y', '-qq', '--no-install-recommends', name);
  }
}
for (const name of lacking()) console.log(`fixtures: without ${name} (Debian package); tests that need it skip`);

for (const [name, fetch] of [
  ['Envoy', fetchEnvoy],
  ['workerd', fetchWorkerd],
  ['nginx', fetchNginx],
  ['Linux 6.1', () => fetchKernel('6.1')],
]) {
  const problem = fetch();
  if (problem !== undefined) console.log(`fixtures: without ${name}; tests that need it skip: ${problem}`);
}

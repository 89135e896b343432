/**
 * The root file system of a test kernel: Debian packages of this machine as they are
 * installed here (a shell, the small commands, a C compiler), Node, and the built project.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, readdirSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { root } from '../insitu.ts';
import { CpioWriter } from './cpio.ts';

/** With all that they depend on. */
const packages = [
  'bash',
  'binutils',
  'bsdutils',
  'coreutils',
  'dash',
  'findutils',
  'gcc',
  'grep',
  'iproute2',
  'kmod',
  'libc-bin',
  'libc6-dev',
  'libstdc++6',
  'mount',
  'perl-base',
  'procps',
  'python3-minimal',
  'sed',
  'strace',
  'tcpdump',
  'util-linux',
];
/** Without: a header, whose package also has a command in Python. */
const packagesAlone = ['systemtap-sdt-dev'];
/** Parts of those packages that no test needs; they would double the size. */
const unneeded = /^\/usr\/share\/|\/lto1$|\/lto-dump|lib[altu]*san\.|\/libgprofng|\.so\.gprofng|^\/var\/|^\/etc\/pam/;
/** Of the project: what runs, and what tests read. */
const projectParts = [
  'package.json',
  'dist',
  'node_modules/koffi',
  'node_modules/@koromix',
  'node_modules/fast-check',
  'node_modules/pure-rand',
  'test/cases',
  'test/unwind',
];
/** Where it is in there. */
export const guestRoot = '/insitu';

/** Those of the packages that are installed, with all that `wanted` need, by dpkg's own tables. */
function closure(wanted: readonly string[], alone: readonly string[]): string[] {
  const fields = ['db:Status-Status', 'Package', 'Pre-Depends', 'Depends'].map((field) => `\${${field}}`);
  const format = ['-W', '-f', `${fields.join('\t')}\n`];
  const depends = new Map<string, string>();
  for (const line of execFileSync('dpkg-query', format, { encoding: 'utf8', maxBuffer: 1 << 26 }).split('\n')) {
    const [status, name = '', ...needs] = line.split('\t');
    if (status === 'installed') depends.set(name, needs.join(','));
  }
  const found = new Set<string>();
  const visit = (name: string): void => {
    const needs = depends.get(name);
    if (needs === undefined || found.has(name)) return;
    found.add(name);
    for (const group of needs.split(',')) {
      const names = group.split('|').map((word) => word.trim().split(/[ :(]/)[0] as string);
      const installed = names.find((one) => depends.has(one));
      if (installed !== undefined) visit(installed);
    }
  };
  for (const name of wanted) visit(name);
  for (const name of alone) if (depends.has(name)) found.add(name);
  return [...found];
}

/** A path with the links in its folders resolved (/bin is /usr/bin), its own name kept. */
const placed = (path: string): string => join(realpathSync(dirname(path)), basename(path));

function* below(path: string): Generator<string> {
  yield path;
  if (!lstatSync(path).isDirectory()) return;
  for (const name of readdirSync(path)) yield* below(join(path, name));
}

/** Shared libraries of a program, by the dynamic linker. */
const librariesOf = (program: string): string[] =>
  [...execFileSync('ldd', [program], { encoding: 'utf8' }).matchAll(/(?:=> |^\s+)(\/\S+) \(0x/gm)].map(
    (match) => match[1] as string,
  );

/** Writes the archive; `files` are more files by their path in there. */
export function writeInitramfs(path: string, init: string, files: Readonly<Record<string, Uint8Array | string>>): void {
  const archive = new CpioWriter(path);
  for (const name of readdirSync('/')) {
    const at = `/${name}`;
    if (lstatSync(at).isSymbolicLink()) archive.copy(at);
  }
  for (const folder of ['/dev', '/proc', '/sys', '/tmp', '/run', '/root', '/etc']) archive.folder(folder);
  archive.file('/init', init, 0o755);
  archive.file('/etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n');
  archive.file('/etc/group', 'root:x:0:\n');
  archive.copy('/etc/ld.so.cache');
  for (const [name, content] of Object.entries(files)) archive.file(name, content);
  const installed = execFileSync('dpkg', ['-L', ...closure(packages, packagesAlone)], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  for (const line of installed.split('\n')) {
    if (!line.startsWith('/') || unneeded.test(line) || !existsSync(line)) continue;
    archive.copy(placed(line));
  }
  // Alternatives (awk, which) are links that no package lists.
  if (existsSync('/bin/sh')) archive.copy(placed('/bin/sh'));
  const node = realpathSync(process.execPath);
  for (const library of [node, ...librariesOf(node)]) {
    archive.copy(placed(library));
    if (lstatSync(library).isSymbolicLink()) archive.copy(realpathSync(library));
  }
  for (const part of projectParts) {
    for (const file of below(join(root, part))) {
      if (!file.endsWith('.d.ts')) archive.copy(file, guestRoot + file.slice(root.length));
    }
  }
  archive.close();
}

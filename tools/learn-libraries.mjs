// node tools/learn-libraries.mjs
// Makes the files in names/: by what insitu knows functions of common libraries in
// stripped programs. From Debian's static libraries (fetched by apt-get, linked whole into
// one program each, so that their code is as in programs), and from what workerd, which
// has its symbols, brings of other projects: BoringSSL, absl, tcmalloc, libc++, sqlite.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { fetchWorkerd, workerdPath } from './programs.mjs';
import { buildExecutable, executable, fail, root } from './setup.mjs';

/** Debian package → its static libraries. */
const libraries = {
  'libevent-dev': ['libevent.a', 'libevent_pthreads.a', 'libevent_openssl.a'],
  'libnghttp2-dev': ['libnghttp2.a'],
  'libc-ares-dev': ['libcares.a'],
  'zlib1g-dev': ['libz.a'],
  'libbrotli-dev': ['libbrotlicommon.a', 'libbrotlidec.a', 'libbrotlienc.a'],
  'libzstd-dev': ['libzstd.a'],
  'libluajit-5.1-dev': ['libluajit-5.1.a'],
  'libxxhash-dev': ['libxxhash.a'],
  'libssl-dev': ['libssl.a', 'libcrypto.a'],
  'libre2-dev': ['libre2.a'],
  'libyaml-cpp-dev': ['libyaml-cpp.a'],
};
/** BoringSSL comes as shared libraries, whose exported functions have names. */
const shared = { 'android-libboringssl': ['libssl.so.0', 'libcrypto.so.0'] };
/** workerd's own, and what only its kind of program has (V8 is most of it). */
const notLibraries = /7workerd|2kj|5capnp|2v8|6cppgc|v8_inspector|6icu_\d\d|4node|8perfetto|^workerd|_\d\d$/;

const folder = mkdtempSync(join(tmpdir(), 'insitu-learn-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

function run(command, args, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 1 << 29,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
  });
  if (status !== 0) fail(`${command} ${args.join(' ')}: ${error?.message ?? stderr}`);
  return stdout;
}

function learn(path) {
  return run(process.execPath, [executable, 'symbols', 'learn', path]);
}

/** One program that holds all of the libraries, whoever misses what. */
function link(name, flags, archives) {
  writeFileSync(join(folder, 'main.c'), 'int main(void) { return 0; }\n');
  const whole = ['-Wl,--whole-archive', ...archives, '-Wl,--no-whole-archive'];
  const lax = ['-Wl,-z,muldefs', '-Wl,--unresolved-symbols=ignore-all', '-Wl,--no-warnings'];
  run('gcc', [...flags, '-o', name, 'main.c', ...lax, ...whole, '-lstdc++', '-lm']);
  return join(folder, name);
}

/** A file of names with only some of its functions and classes. */
function keep(text, wanted) {
  const lines = text.trimEnd().split('\n');
  const codeAt = lines.findIndex((line) => line.startsWith('code\t'));
  const head = lines.slice(0, codeAt).filter((line) => !line.startsWith('class\t') || wanted(line.split('\t')[1]));
  const code = lines.slice(codeAt).map((line) => line.split('\t'));
  const places = new Map();
  for (const [index, fields] of code.entries()) if (wanted(fields[1])) places.set(index, places.size);
  const kept = code
    .filter((_, index) => places.has(index))
    .map(([kind, name, shape, length, calls, texts]) => {
      const called = calls
        .split(',')
        .map((one) => (one === '' ? '' : (places.get(Number.parseInt(one, 36))?.toString(36) ?? '')))
        .join(',')
        .replace(/,+$/, '');
      return [kind, name, shape, length, called, texts].join('\t');
    });
  return `${[...head, ...kept].join('\n')}\n`;
}

function write(name, text) {
  const packed = gzipSync(text, { level: 9 });
  // The byte that tells the machine which made it would differ from one to another.
  packed[9] = 255;
  mkdirSync(join(root, 'names'), { recursive: true });
  writeFileSync(join(root, 'names', `${name}.names.gz`), packed);
  console.log(`names/${name}.names.gz: ${text.split('\n').length} lines, ${packed.length} bytes`);
}

buildExecutable();
const problem = fetchWorkerd();
if (problem !== undefined) fail(problem);

run('apt-get', ['download', ...Object.keys(libraries), ...Object.keys(shared), 'libc6-dev', 'libstdc++-12-dev']);
for (const deb of readdirSync(folder).filter((file) => file.endsWith('.deb'))) run('dpkg-deb', ['-x', deb, 'root']);
const found = new Map(
  readdirSync(join(folder, 'root'), { recursive: true }).map((path) => [path.split('/').pop(), path]),
);
const pathOf = (name) => join(folder, 'root', found.get(name) ?? fail(`no package has ${name}`));

write('debian-libraries', learn(link('debian-libraries', ['-O2'], Object.values(libraries).flat().map(pathOf))));
write('debian-libc', learn(link('debian-libc', ['-O2', '-static-pie'], ['-lc', '-lm-2.36', '-lgcc_eh', '-lstdc++'])));
for (const name of Object.values(shared).flat()) write(`android-boringssl-${name.split('.')[0]}`, learn(pathOf(name)));
write(
  'workerd-libraries',
  keep(learn(workerdPath), (name) => !notLibraries.test(name)),
);

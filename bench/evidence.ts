// npm run bench:evidence [-- FILE …] [--wrong] [--names FILE] [--no-names]
// Scores the names that insitu infers for programs without symbols: each program is
// stripped, named, and every name held against the symbols that were cut off. Prints
// coverage, and precision per rule and grade; ends with 1 where a grade, or what several
// programs together say of a rule, is less precise than claimed. Without arguments:
// workerd (two releases), node itself, programs compiled here, and Envoy, which has no
// symbols: its coverage alone.
//
// Names learnt from other programs are used as insitu uses them, but for what was learnt
// from the very program that is scored. `--names FILE` adds a file, `--no-names` takes none.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { ElfFile } from '../src/debuginfo/elf/elf.ts';
import { HostFile } from '../src/kernel/host/file.ts';
import { demangledBaseName } from '../src/symbolize/demangle/index.ts';
import { type EvidenceIndex, type Grade, nameFunctions } from '../src/symbolize/evidence/index.ts';
import { learnNames } from '../src/symbolize/evidence/learn.ts';
import { Learnt } from '../src/symbolize/evidence/learnt.ts';
import { rules } from '../src/symbolize/evidence/rules.ts';
import { isOfClass, isRight, readTruth } from './judge.ts';

const promised: Readonly<Record<Grade, number>> = { sure: 98, likely: 85, hint: 0 };
/** Classes of virtual functions. */
const promisedClasses = 97;
/** A handful tells nothing about a share of 98 %. */
const fewestJudged = 50;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    wrong: { type: 'boolean', default: false },
    names: { type: 'string', multiple: true, default: [] },
    'no-names': { type: 'boolean', default: false },
  },
});

interface Score {
  right: number;
  judged: number;
  named: number;
}

class Scores {
  readonly all: Map<string, Score> = new Map();

  count(key: string, right: boolean | undefined): void {
    const one = this.all.get(key) ?? { right: 0, judged: 0, named: 0 };
    this.all.set(key, one);
    one.named++;
    if (right === undefined) return;
    one.judged++;
    if (right) one.right++;
  }
}

const share = ({ right, judged }: Score): number => (100 * right) / judged;

function print(label: string, score: Score): void {
  const { right, judged, named } = score;
  const precision = judged === 0 ? '' : `${share(score).toFixed(2)} %`;
  console.log(
    `  ${label.padEnd(26)}${String(named).padStart(8)}${String(right).padStart(8)} /${String(judged).padStart(7)}${precision.padStart(10)}`,
  );
}

function open(path: string): { readonly elf: ElfFile; close(): void } {
  const file = HostFile.open(path);
  if (!file.ok) throw file.error;
  const elf = ElfFile.open(path, file.value);
  if (!elf.ok) throw elf.error;
  return { elf: elf.value, close: () => file.value.close() };
}

function readNames(path: string): Learnt {
  const bytes = readFileSync(path);
  const parsed = Learnt.parse((path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8'), path);
  if (!parsed.ok) throw parsed.error;
  return parsed.value;
}

const shippedFolder = join(realpathSync('.'), 'names');
const shipped = options['no-names']
  ? []
  : readdirSync(shippedFolder).map((name) => [name, readNames(join(shippedFolder, name))] as const);
const added = options.names.map(readNames);

const folder = mkdtempSync(join(tmpdir(), 'insitu-evidence-'));
const failures: string[] = [];
const wrong = new Map<string, string[]>();
/** Of all programs together, by rule. */
const together = new Scores();

/** A copy without .symtab; the file itself where it has none, or `strip` is not there. */
function stripped(path: string): string {
  const copy = join(folder, 'stripped');
  return spawnSync('strip', ['-s', '-o', copy, path]).status === 0 ? copy : path;
}

/** What insitu symbols learn makes of a program. */
function learn(path: string): Learnt {
  const { elf, close } = open(path);
  const symbols = [...readTruth(elf)].flatMap(([address, names]) => names.map((name) => ({ address, name })));
  const text = learnNames(elf, symbols);
  close();
  if (!text.ok) throw text.error;
  const parsed = Learnt.parse(text.value, path);
  if (!parsed.ok) throw parsed.error;
  return parsed.value;
}

/**
 * Names one program's functions and prints the score. `own`: files in names/ that were
 * learnt from this very program; `from`: a program to learn from instead of all of them.
 */
function score(path: string, title: string, own: RegExp | undefined, from?: string): void {
  const whole = open(path);
  const truth = readTruth(whole.elf);
  whole.close();
  const file = open(truth.size === 0 ? path : stripped(path));
  const usual = [...added, ...shipped.filter(([name]) => own?.test(name) !== true).map(([, one]) => one)];
  const learnt = from === undefined ? usual : [learn(from)];
  const start = process.hrtime.bigint();
  const named = nameFunctions(file.elf, { learnt });
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  if (!named.ok) throw named.error;
  const index: EvidenceIndex = named.value;
  const memory = process.resourceUsage().maxRSS / 1024;
  const byRule = new Scores();
  const byGrade = new Scores();
  const classes = new Scores();
  for (const name of index) {
    const symbols = truth.get(name.address);
    const right = symbols === undefined ? undefined : isRight(name, symbols);
    byRule.count(`${name.rule} (${name.grade})`, right);
    byGrade.count(name.grade, right);
    together.count(name.rule, right);
    const ofClass = symbols === undefined ? undefined : isOfClass(name, symbols);
    if (ofClass !== undefined) classes.count('classes of virtual ones', ofClass);
    if (right === false) {
      const list = wrong.get(name.rule) ?? [];
      wrong.set(name.rule, list);
      list.push(`${name.name}  <>  ${(symbols ?? []).map((one) => demangledBaseName(one) ?? one).join(' = ')}`);
    }
  }
  const counts = index.counts();
  const known = counts.sure + counts.likely;
  const percent = ((100 * known) / index.functionCount).toFixed(2);
  console.log(`\n${title}: ${index.functionCount} functions in ${seconds.toFixed(2)} s, peak ${memory.toFixed(0)} MB`);
  console.log(`  named sure or likely: ${known} (${percent} %); hints: ${counts.hint}`);
  console.log(`  ${'rule (grade)'.padEnd(26)}${'names'.padStart(8)}${'right'.padStart(8)} /${'judged'.padStart(7)}`);
  for (const [rule, one] of [...byRule.all].sort(([, a], [, b]) => b.named - a.named)) print(rule, one);
  for (const grade of ['sure', 'likely', 'hint'] as const) {
    const one = byGrade.all.get(grade);
    if (one === undefined) continue;
    print(`all that are ${grade}`, one);
    if (one.judged >= fewestJudged && share(one) < promised[grade]) failures.push(`${title}: ${grade}`);
  }
  for (const [label, one] of classes.all) {
    print(label, one);
    if (one.judged >= fewestJudged && share(one) < promisedClasses) failures.push(`${title}: ${label}`);
  }
  file.close();
}

/** Programs of this folder's, compiled with what compilers there are. */
function* fixtures(): Generator<{ readonly path: string; readonly title: string }> {
  const source = join(realpathSync('.'), 'bench', 'fixtures', 'classes.cc');
  const ways: readonly (readonly [title: string, command: string, flags: readonly string[]])[] = [
    ['g++ -O2, PIE', 'g++', ['-O2']],
    ['g++ -O2, fixed address', 'g++', ['-O2', '-no-pie', '-fno-pie']],
    ['g++ -O2, static', 'g++', ['-O2', '-static']],
    ['g++ -O2, RELR', 'g++', ['-O2', '-Wl,-z,pack-relative-relocs']],
    ['g++ -O1, frame pointers', 'g++', ['-O1', '-fno-omit-frame-pointer']],
    ['g++ -O3', 'g++', ['-O3']],
    ['clang++ -O2, libstdc++', 'clang++', ['-O2']],
    ['clang++ -O2, libc++', 'clang++', ['-O2', '-stdlib=libc++']],
    ['clang++ -O2, libc++ linked in', 'clang++', ['-O2', '-stdlib=libc++', '-static-libstdc++', '-fuse-ld=lld']],
  ];
  for (const [title, command, flags] of ways) {
    const path = join(folder, title.replaceAll(/\W+/g, '-'));
    const made = spawnSync(command, ['-std=c++17', ...flags, '-o', path, source, '-lpthread'], { encoding: 'utf8' });
    if (made.status === 0) yield { path, title };
    else console.log(`\nwithout ${title}: ${made.error?.message ?? made.stderr.trim().split('\n')[0]}`);
  }
}

/** Programs with messages of protocol buffers, by Debian's library, as a library and linked in. */
function* messages(): Generator<{ readonly path: string; readonly title: string }> {
  const source = join(realpathSync('.'), 'bench', 'fixtures');
  const protoc = spawnSync('protoc', [`--cpp_out=${folder}`, '-I', source, join(source, 'messages.proto')]);
  if (protoc.status !== 0) {
    console.log("\nwithout messages of protocol buffers: protoc (Debian's protobuf-compiler) is not there");
    return;
  }
  const files = [join(source, 'messages.cc'), join(folder, 'messages.pb.cc')];
  const ways: readonly (readonly [title: string, command: string, flags: readonly string[]])[] = [
    ['protobuf 3.21, g++', 'g++', ['-lprotobuf']],
    ['protobuf 3.21 linked in, g++', 'g++', ['-l:libprotobuf.a', '-lz']],
    ['protobuf 3.21, clang++ at a fixed address', 'clang++', ['-no-pie', '-fno-pie', '-lprotobuf']],
  ];
  for (const [title, command, flags] of ways) {
    const path = join(folder, title.replaceAll(/\W+/g, '-'));
    const args = ['-std=c++17', '-O2', `-I${folder}`, '-o', path, ...files, ...flags, '-lpthread'];
    const made = spawnSync(command, args, { encoding: 'utf8' });
    if (made.status === 0) yield { path, title };
    else console.log(`\nwithout ${title}: ${made.error?.message ?? made.stderr.trim().split('\n')[0]}`);
  }
}

const cache = process.env['INSITU_TEST_CACHE'] ?? join(homedir(), '.cache', 'insitu-test');
const programs: readonly (readonly [path: string, title: string, own?: RegExp])[] = [
  [join(cache, 'workerd', 'package', 'bin', 'workerd'), 'workerd', /^workerd/],
  [join(cache, 'workerd-1.20260515.1', 'package', 'bin', 'workerd'), 'workerd, half a year older'],
  [realpathSync(process.execPath), 'node'],
  [join(cache, 'ortools', 'ortools', '.libs', 'libortools.so.9'), 'OR-Tools (a library; protobuf 33)'],
  [join(cache, 'envoy', 'envoy', '_bin', 'envoy'), 'Envoy'],
];
try {
  if (positionals.length > 0) for (const path of positionals) score(path, basename(path), undefined);
  else {
    for (const [path, title, own] of programs) {
      if (existsSync(path)) score(path, title, own);
      else console.log(`\nwithout ${title}: ${path} is not there (node tools/programs.mjs fetches it)`);
    }
    const [workerd, old] = programs.map(([path]) => path);
    if (workerd !== undefined && old !== undefined && existsSync(workerd) && existsSync(old)) {
      score(workerd, 'workerd, with what its older release teaches alone', undefined, old);
    }
    for (const { path, title } of fixtures()) score(path, title, undefined);
    for (const { path, title } of messages()) score(path, title, undefined);
  }
} finally {
  rmSync(folder, { recursive: true });
}
console.log('\nAll programs together');
for (const { id, grade } of rules) {
  const one = together.all.get(id);
  if (one === undefined) continue;
  print(`${id} (${grade})`, one);
  if (one.judged >= fewestJudged && share(one) < promised[grade]) failures.push(`all together: ${id}`);
}
if (options.wrong) {
  for (const [rule, list] of wrong) {
    console.log(`\n${rule}: ${list.length} wrong, among them`);
    const step = Math.max(1, Math.floor(list.length / 12));
    for (let at = 0; at < list.length; at += step) console.log(`  ${(list[at] as string).slice(0, 240)}`);
  }
}
if (failures.length > 0) {
  console.log(`\nless precise than claimed: ${failures.join('; ')}`);
  process.exitCode = 1;
}

// npm run bench:evidence [-- FILE …]
// Scores the names that insitu infers for code without symbols: each program has its
// .symtab, which the inference never looks at, and every inferred name is held against it.
// Prints coverage, and precision per rule and grade; ends with 1 where a grade is not as
// precise as it claims. Without arguments: workerd (from npm) and Envoy in the tests'
// cache, node itself, and programs compiled here.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { SHT_SYMTAB } from '../src/debuginfo/elf/constants.ts';
import { ElfFile } from '../src/debuginfo/elf/elf.ts';
import { HostFile } from '../src/kernel/host/file.ts';
import { demangledBaseName } from '../src/symbolize/demangle/index.ts';
import { type EvidenceIndex, type Grade, type InferredName, nameFunctions } from '../src/symbolize/evidence/index.ts';
import { SymbolTable } from '../src/symbolize/symbols/table.ts';

const promised: Readonly<Record<Grade, number>> = { sure: 98, likely: 85, hint: 0 };

/** Address → names of the functions there. */
type Truth = ReadonlyMap<number, readonly string[]>;

function readTruth(elf: ElfFile): Truth {
  const truth = new Map<number, string[]>();
  const section = elf.sections.find((one) => one.type === SHT_SYMTAB);
  if (section === undefined) return truth;
  new SymbolTable(elf, section, 'function').forEach(({ address, name }) => {
    const names = truth.get(address);
    if (names === undefined) truth.set(address, [name]);
    else names.push(name);
  });
  return truth;
}

/** One spelling for what compilers and macros write differently; parts that a compiler split off bear the whole's name. */
function plain(name: string): string {
  return name
    .replace(/^(?:non-virtual thunk to |virtual thunk to |covariant return thunk to )/, '')
    .replace(/\[abi:\w+\]/g, '')
    .replace(/ \[clone [^\]]*\]/g, '')
    .replace(/\.(?:part|constprop|isra|cold|llvm)(?:\.\d+)*$/, '')
    .replaceAll('{anonymous}', '(anonymous namespace)');
}

/** A name's scope and last part; brackets keep `::` inside of them together. */
function split(name: string): { readonly scope: string; readonly last: string } {
  let depth = 0;
  for (let at = name.length - 1; at > 0; at--) {
    const char = name[at];
    const before = name.slice(0, at);
    if (char === '>' && !/(?:operator|operator-|operator>|operator<=)$/.test(before)) depth++;
    else if (char === '<' && !/(?:operator|operator<)$/.test(before)) depth--;
    else if (char === ')' || char === '}' || char === ']') depth++;
    else if (char === '(' || char === '{' || char === '[') depth--;
    else if (depth <= 0 && char === ':' && name[at - 1] === ':') {
      return { scope: name.slice(0, at - 1), last: name.slice(at + 1) };
    }
  }
  return { scope: '', last: name };
}

const bare = (last: string): string => last.replace(/^(~?[A-Za-z_]\w*)[<(].*$/s, '$1').replace(/\(\)$/, '');

/** The alternatives of `A|B`, split outside of brackets. */
function alternatives(scope: string): string[] {
  const found: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at < scope.length; at++) {
    const char = scope[at] as string;
    if ('<({['.includes(char)) depth++;
    else if ('>)}]'.includes(char)) depth--;
    else if (char === '|' && depth <= 0) {
      found.push(scope.slice(start, at));
      start = at + 1;
    }
  }
  found.push(scope.slice(start));
  return found;
}

/** Whether an inferred name says the truth; undefined for those that a symbol's name can't tell. */
function isRight({ name, rule }: InferredName, symbols: readonly string[]): boolean | undefined {
  // That a function is an initialiser, or starts a thread, its symbol does not say; stubs have no symbols.
  if (rule === 'callers' || rule === 'file') return undefined;
  if (rule === 'plt' || rule === 'thread' || rule === 'initializer') return undefined;
  const bases = symbols.map((one) => plain(demangledBaseName(one) ?? one));
  const claim = split(plain(name));
  const scopes = alternatives(claim.scope);
  return bases.some((base) => {
    const { scope, last } = split(base);
    if (rule === 'finalizer') return last.startsWith('~') || /array_dtor|::~/.test(base);
    if (rule === 'virtual' || rule === 'member') return scopes.includes(scope);
    if (bare(last) !== bare(claim.last)) return false;
    if (claim.scope === '') return true;
    // `__PRETTY_FUNCTION__` has a template's parameters, not its arguments.
    if (rule === 'signature') return scope.replace(/<.*>/s, '').endsWith(claim.scope.replace(/<.*>/s, ''));
    return scopes.includes(scope);
  });
}

interface Score {
  right: number;
  judged: number;
  named: number;
}

function print(label: string, { right, judged, named }: Score): void {
  const precision = judged === 0 ? '' : `${((100 * right) / judged).toFixed(2)} %`;
  console.log(
    `  ${label.padEnd(26)}${String(named).padStart(8)}${String(right).padStart(8)} /${String(judged).padStart(7)}${precision.padStart(10)}`,
  );
}

/** Names one program's functions and prints the score; returns the grades that are less precise than they claim. */
function score(path: string, title: string, wrong: Map<string, string[]>): string[] {
  const file = HostFile.open(path);
  if (!file.ok) throw file.error;
  const elf = ElfFile.open(path, file.value);
  if (!elf.ok) throw elf.error;
  const start = process.hrtime.bigint();
  const named = nameFunctions(elf.value);
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  if (!named.ok) throw named.error;
  const index: EvidenceIndex = named.value;
  const memory = process.resourceUsage().maxRSS / 1024;
  const truth = readTruth(elf.value);
  const rules = new Map<string, Score>();
  const grades = new Map<string, Score>();
  const count = (scores: Map<string, Score>, key: string, right: boolean | undefined): void => {
    const one = scores.get(key) ?? { right: 0, judged: 0, named: 0 };
    scores.set(key, one);
    one.named++;
    if (right === undefined) return;
    one.judged++;
    if (right) one.right++;
  };
  for (const name of index) {
    const symbols = truth.get(name.address);
    const right = symbols === undefined ? undefined : isRight(name, symbols);
    count(rules, `${name.rule} (${name.grade})`, right);
    count(grades, name.grade, right);
    if (right === false) {
      const list = wrong.get(name.rule) ?? [];
      wrong.set(name.rule, list);
      list.push(`${name.name}  <>  ${(symbols ?? []).map((one) => demangledBaseName(one) ?? one).join(' = ')}`);
    }
  }
  const counts = index.counts();
  const share = (100 * (counts.sure + counts.likely)) / index.functionCount;
  console.log(`\n${title}: ${index.functionCount} functions in ${seconds.toFixed(2)} s, peak ${memory.toFixed(0)} MB`);
  console.log(`  named sure or likely: ${counts.sure + counts.likely} (${share.toFixed(2)} %); hints: ${counts.hint}`);
  console.log(`  ${'rule (grade)'.padEnd(26)}${'names'.padStart(8)}${'right'.padStart(8)} /${'judged'.padStart(7)}`);
  for (const [rule, one] of [...rules].sort(([, a], [, b]) => b.named - a.named)) print(rule, one);
  const failures: string[] = [];
  for (const grade of ['sure', 'likely', 'hint'] as const) {
    const one = grades.get(grade);
    if (one === undefined) continue;
    print(`all that are ${grade}`, one);
    // A handful tells nothing about a share of 98 %.
    if (one.judged >= 50 && (100 * one.right) / one.judged < promised[grade]) failures.push(`${title}: ${grade}`);
  }
  file.value.close();
  return failures;
}

/** Programs of this folder's, compiled with what compilers there are. */
function* fixtures(folder: string): Generator<{ readonly path: string; readonly title: string }> {
  const source = join(realpathSync('.'), 'bench', 'fixtures', 'classes.cc');
  const ways: readonly (readonly [title: string, command: string, flags: readonly string[]])[] = [
    ['g++ -O2, PIE', 'g++', ['-O2']],
    ['g++ -O2, fixed address', 'g++', ['-O2', '-no-pie', '-fno-pie']],
    ['g++ -O2, static', 'g++', ['-O2', '-static']],
    ['g++ -O2, RELR', 'g++', ['-O2', '-Wl,-z,pack-relative-relocs']],
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

const cache = process.env['INSITU_TEST_CACHE'] ?? join(homedir(), '.cache', 'insitu-test');
const given = process.argv.slice(2).filter((one) => !one.startsWith('--'));
const wrong = new Map<string, string[]>();
const failures: string[] = [];
if (given.length > 0) for (const path of given) failures.push(...score(path, basename(path), wrong));
else {
  for (const path of [
    join(cache, 'workerd', 'package', 'bin', 'workerd'),
    realpathSync(process.execPath),
    join(cache, 'envoy', 'envoy', '_bin', 'envoy'),
  ]) {
    if (existsSync(path)) failures.push(...score(path, basename(path), wrong));
    else console.log(`\nwithout ${path}: it is not there`);
  }
  const folder = mkdtempSync(join(tmpdir(), 'insitu-evidence-'));
  try {
    for (const { path, title } of fixtures(folder)) failures.push(...score(path, title, wrong));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
if (process.argv.includes('--wrong')) {
  for (const [rule, list] of wrong) {
    console.log(`\n${rule}: ${list.length} wrong, among them`);
    const step = Math.max(1, Math.floor(list.length / 12));
    for (let at = 0; at < list.length; at += step)
      console.log(`  ${(list[at] as string).slice(0, Number(process.env['WIDTH'] ?? 240))}`);
  }
}
if (failures.length > 0) {
  console.log(`\nless precise than claimed: ${failures.join('; ')}`);
  process.exitCode = 1;
}

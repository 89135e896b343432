/**
 * npm run test:demangle: every mangled name of node, workerd, libstdc++ and a Rust program
 * (and rustc, where it is), against c++filt and Rust's own demangler. Prints the number
 * of differences; ends with 1 when there are any.
 */
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { demangle } from '../../src/symbolize/demangle/index.ts';
import { lacking, nodePath, output, Workshop, workerdPath } from '../binaries.ts';
import { cxxfilt, mangledNames, misreadByCxxfilt, rustDemangler, rustProgram } from './corpus.ts';

let wrong = 0;

function compare(what: string, names: readonly string[], expected: readonly string[], verbose: boolean): void {
  let same = 0;
  let unread = 0;
  let misread = 0;
  const differ: string[] = [];
  for (const [at, name] of names.entries()) {
    const ours = demangle(name, { verbose }) ?? name;
    if (ours === expected[at]) same++;
    else if (expected[at] === name) unread++;
    else if (verbose && misreadByCxxfilt(name)) misread++;
    else differ.push(`  ${name}\n    insitu: ${ours}\n    other:  ${expected[at]}`);
  }
  wrong += differ.length;
  const rest = `${unread} that the other can't read${misread > 0 ? `, ${misread} that it is known to misread` : ''}`;
  console.log(`${what}: ${names.length} names, ${same} the same, ${differ.length} different; ${rest}`);
  for (const one of differ.slice(0, 10)) console.log(one);
}

const missing = lacking('nm', 'c++filt');
if (missing !== false) throw new Error(missing);
console.log(output(process.env['INSITU_TEST_CXXFILT'] ?? 'c++filt', ['--version']).split('\n')[0]);
const library = (name: string): string => output('gcc', [`-print-file-name=${name}`]).trim();
for (const path of [nodePath, workerdPath, library('libstdc++.so.6'), library('libstdc++.a')]) {
  if (!existsSync(path)) {
    console.log(`${path}: not there`);
    continue;
  }
  const names = mangledNames(path);
  compare(realpathSync(path), names, cxxfilt(names), true);
}

const noRust = lacking('cargo', 'rustc');
if (noRust !== false) console.log(`Rust left out: ${noRust}`);
else {
  using workshop = new Workshop();
  const source = workshop.write('names.rs', rustProgram);
  const names = new Set<string>();
  for (const mangling of ['legacy', 'v0']) {
    const path = workshop.path(mangling);
    const environment = 'RUSTC_BOOTSTRAP=1 exec rustc "$@"';
    const options = ['-Zunstable-options', `-Csymbol-mangling-version=${mangling}`, '--edition=2021', '-Copt-level=0'];
    output('sh', ['-c', environment, '', ...options, '-o', path, source]);
    for (const name of mangledNames(path)) names.add(name);
  }
  const libraries = join(output('rustc', ['--print', 'sysroot']).trim(), 'lib');
  for (const file of readdirSync(libraries).filter((name) => name.startsWith('librustc_driver'))) {
    for (const name of mangledNames(join(libraries, file))) names.add(name);
  }
  const all = [...names].filter((name) => /^_R/.test(name) || /17h[0-9a-f]{16}E/.test(name));
  compare('Rust, by c++filt', all, cxxfilt(all), true);
  compare('Rust, by rustc-demangle', all, rustDemangler(workshop.path('crate'))(all), false);
}
process.exitCode = wrong === 0 ? 0 : 1;

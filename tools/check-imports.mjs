// The import direction: a folder of src/ imports only what stands above it in `layers`,
// pure folders know nothing of Node, only kernel/sys knows koffi and one file of apps/cli
// each other package, no file imports itself through others. Prints every breach with its place; ends with 1 when there is one.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { root } from './setup.mjs';

const pure = [
  'base',
  'bytes',
  'diag',
  'types',
  'bpf',
  'target',
  'program',
  'compiler',
  'debuginfo',
  'symbolize',
  'values',
  'render',
  'answers',
];
const layers = [...pure, 'kernel', 'session', 'apps'];

/** The file that imports a package. */
const importers = { 'pprof-format': 'apps/cli/pprof.ts', 'iced-x86': 'apps/cli/disassembly.ts' };

const source = join(root, 'src');
const files = readdirSync(source, { recursive: true }).filter((file) => file.endsWith('.ts'));
const breaches = [];
const graph = new Map();

/** The text with comments blanked, so that examples in them count for nothing. */
const withoutComments = (text) =>
  text.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' ')).replace(/(^|\s)\/\/[^\n]*/g, '$1');

for (const file of files) {
  const text = withoutComments(readFileSync(join(source, file), 'utf8'));
  const layer = file.split('/')[0];
  const isTest = file.endsWith('.test.ts');
  const say = (index, what) => breaches.push(`src/${file}:${text.slice(0, index).split('\n').length}: ${what}`);
  if (!layers.includes(layer)) say(0, `folder ${layer} has no place in the layer list of tools/check-imports.mjs`);

  const edges = [];
  graph.set(file, edges);
  const imports =
    /(?:^|\n)\s*(?:import|export)\b[^'";]*?\bfrom\s*['"]([^'"]+)['"]|(?:\bimport\s*\(|(?:^|\n)\s*import)\s*['"]([^'"]+)['"]/g;
  for (const match of text.matchAll(imports)) {
    const name = match[1] ?? match[2];
    if (name.startsWith('.')) {
      const path = normalize(join(dirname(file), name));
      if (!existsSync(join(source, path))) {
        say(match.index + 1, `imports ${name}, which does not exist`);
        continue;
      }
      // An import of types alone is erased: it has a direction, but makes no cycle.
      if (!/^\s*(?:import|export)\s+type\b/.test(match[0])) edges.push(path);
      const other = path.split('/')[0];
      if (!isTest && path.endsWith('.test.ts')) say(match.index + 1, 'imports a test');
      if (layers.indexOf(other) > layers.indexOf(layer) && !isTest) {
        say(match.index + 1, `${layer} imports ${other}, which stands below it`);
      }
    } else if (name === 'koffi') {
      if (!file.startsWith('kernel/sys/')) say(match.index + 1, 'only kernel/sys imports koffi');
    } else if (name in importers) {
      if (file !== importers[name]) say(match.index + 1, `only ${importers[name]} imports ${name}`);
    } else if (!isTest && pure.includes(layer)) {
      say(match.index + 1, `${layer} is pure and imports ${name}`);
    } else if (!isTest && !name.startsWith('node:')) {
      say(match.index + 1, `imports the package ${name}`);
    }
  }
  if (!isTest && pure.includes(layer)) {
    for (const match of text.matchAll(
      /\bprocess\.(?:env|argv|hrtime|platform|cwd|stdout)\b|\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b/g,
    )) {
      say(match.index, `${layer} is pure and uses ${match[0]}`);
    }
  }
}

// Cycles, by depth-first search; each is told once, from its first file.
const state = new Map();
const path = [];
function visit(file) {
  if (state.get(file) === 'done') return;
  if (state.get(file) === 'open') {
    const cycle = [...path.slice(path.indexOf(file)), file];
    breaches.push(`src/${file}: imports itself: ${cycle.join(' → ')}`);
    return;
  }
  state.set(file, 'open');
  path.push(file);
  for (const next of graph.get(file) ?? []) visit(next);
  path.pop();
  state.set(file, 'done');
}
for (const file of [...graph.keys()].sort()) visit(file);

for (const breach of breaches) console.log(breach);
console.log(
  `${files.length} files of ${relative(root, source)}/ looked at, ${breaches.length} breaches of the import direction`,
);
process.exit(breaches.length === 0 ? 0 : 1);

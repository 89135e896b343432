// npm run conformance: writes docs/CONFORMANCE.md, every name of the language and the command
// line (test/checklist.txt) with the tests that use it. With --check it only says which names
// no test uses.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './setup.mjs';

/** Most tests that are listed of a name. */
const most = 5;

/** Names by section: a line `## section`, then names, each with the pattern that finds it where that is not its word. */
function readNames() {
  const sections = [];
  for (const line of readFileSync(join(root, 'test', 'checklist.txt'), 'utf8').split('\n')) {
    if (line.startsWith('## ')) sections.push({ title: line.slice(3), names: [] });
    else if (line !== '' && !line.startsWith('# ')) {
      const [name, pattern] = line.split(/\t+/);
      const escaped = name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
      const source = pattern ?? `(?<![\\w-])${escaped}(?![\\w-])`;
      sections.at(-1).names.push({ name, pattern: new RegExp(source, 'm') });
    }
  }
  return sections;
}

/** All tests: the cases one by one, and the files of other tests as a whole. */
function readTests() {
  const tests = [];
  for (const folder of ['cases', 'differential']) {
    for (const file of readdirSync(join(root, 'test', folder)).filter((name) => name.endsWith('.txt'))) {
      const text = readFileSync(join(root, 'test', folder, file), 'utf8');
      for (const part of text.split(/^== /m).slice(1)) {
        const end = part.indexOf('\n');
        // What a case expects is no use of a name.
        const body = part.slice(end).replace(/^(output|matches|errors|differs):.*(\n( {2}.*|$))*/gm, '');
        tests.push({
          where: `${folder}/${file}: ${part.slice(0, end)}`,
          text: body,
          order: folder === 'cases' ? 0 : 2,
        });
      }
    }
  }
  for (const top of ['src', 'test']) {
    for (const file of readdirSync(join(root, top), { recursive: true }).filter((name) => name.endsWith('.test.ts')))
      tests.push({ where: `${top}/${file}`, text: readFileSync(join(root, top, file), 'utf8'), order: 1 });
  }
  return tests.sort((a, b) => a.order - b.order);
}

const sections = readNames();
const tests = readTests();
let page = `# Conformance

Every name of bpftrace 0.26's language and command line, with the tests that use it
(at most ${most} of each are listed). Written by \`npm run conformance\` from the tests. How expected
outputs were found stands at the head of each file of cases; \`npm run test:differential\`
compares programs with Debian's bpftrace 0.17.

## Where insitu differs on purpose

| | bpftrace | insitu |
| --- | --- | --- |
| quotients, remainders and \`>>\` of negative numbers | 0.17 and 0.27.1 take them as unsigned | as C: toward zero, with the sign |
| \`-x\` of a small unsigned integer | 0.17 and 0.27.1: 251 for 5 | C's promotion: -5 |
| \`~x\` | the operand's width | 64 bits, unsigned |
| \`strstr\` of what is not there | 0.27.1: -2 (documented: -1) | -1 |
| \`is_err\` of -4095 | 0.27.1: false | true, as the kernel's IS_ERR |
| maps of small integers | 0.27.1 prints them unsorted | sorted by value |
| \`.3d\`, \`+d\`, \`#x\` in printf | 0.27.1 drops precision | as C |
| JSON numbers from 2^63 on | 0.27.1: strings | numbers |
| an index outside of a string | 0.27.1: what lies there | told, 0 |
| ends of \`lhist\` below zero | 0.27.1 refuses negative minima | taken |
| a full map | a warning each time | one line at the end: name and count |

Not there: \`skboutput()\` and \`comm(pid)\` are refused; \`len()\` of a stack that was kept in a variable; texts over 16,384 bytes.
`;
const without = [];
for (const { title, names } of sections) {
  page += `\n## ${title}\n\n| name | tests |\n| --- | --- |\n`;
  for (const { name, pattern } of names) {
    const found = tests.filter(({ text }) => pattern.test(text));
    if (found.length === 0) without.push(`${title}: ${name}`);
    const listed = found.slice(0, most).map(({ where }) => where.replaceAll('|', '\\|'));
    const rest = found.length > most ? [`and ${found.length - most} more`] : [];
    page += `| \`${name.replaceAll('|', '\\|')}\` | ${[...listed, ...rest].join('; ') || '**none**'} |\n`;
  }
}
const count = sections.reduce((sum, { names }) => sum + names.length, 0);
if (!process.argv.includes('--check')) writeFileSync(join(root, 'docs', 'CONFORMANCE.md'), page);
process.stdout.write(`${count} names, ${without.length} without a test\n`);
for (const name of without) process.stdout.write(`  ${name}\n`);
process.exit(process.argv.includes('--check') && without.length > 0 ? 1 : 0);

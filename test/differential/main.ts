/** npm run test:differential: all programs, two at a time; INSITU_PEER names another tracer than Debian's. */
import { compare, peer, programs } from './compare.ts';

let next = 0;
const problems: string[] = [];

async function work(): Promise<void> {
  for (let item = programs[next++]; item !== undefined; item = programs[next++]) {
    const problem = await compare(item);
    if (problem !== undefined) problems.push(problem);
  }
}

await Promise.all([work(), work()]);
const explained = programs.filter(({ differs }) => differs !== undefined).length;
for (const problem of problems) process.stdout.write(`${problem}\n\n`);
process.stdout.write(
  `${programs.length} programs beside ${peer}: ${programs.length - explained - problems.length} print the same, ${explained} differ for a reason, ${problems.length} are wrong\n`,
);
process.exit(problems.length === 0 ? 0 : 1);

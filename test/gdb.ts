/** What gdb says of a program's values and types, in the form that insitu gives them. */
import { spawnSync } from 'node:child_process';

/** What gdb prints where the function begins, in the form that insitu gives it. */
export function gdbValues(program: string, place: string, expressions: readonly string[]): string[] {
  const prints = expressions.flatMap((one) => ['-ex', `output ${one}`, '-ex', 'echo \\n']);
  const { stdout } = spawnSync(
    'gdb',
    [
      '-nx',
      '-batch',
      '-ex',
      'set print address off',
      '-ex',
      `break *${place}`,
      '-ex',
      'run 2>/dev/null',
      ...prints,
      program,
    ],
    { encoding: 'utf8' },
  );
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .slice(-expressions.length)
    .map((line) =>
      line
        .replace(/\{(\w)/g, '{ .$1')
        .replace(/, (\w+ =)/g, ', .$1')
        .replace(/\}/g, ' }')
        .replace(/(-?\d+) '.*'$/, '$1')
        .replace(/^"(.*)"$/, '$1'),
    );
}

/** `name offset size` of members of a structure. */
export function gdbMembers(program: string, type: string, names: readonly string[]): string[] {
  const member = (name: string): string => `((${type} *)0)->${name}`;
  const prints = names.flatMap((name) => [
    '-ex',
    `printf "%d %d\\n", (int)(long)&${member(name)}, (int)sizeof(${member(name)})`,
  ]);
  const { stdout } = spawnSync('gdb', ['-nx', '-batch', ...prints, program], { encoding: 'utf8' });
  return stdout.split('\n').flatMap((line, at) => (line === '' ? [] : [`${names[at]} ${line}`]));
}

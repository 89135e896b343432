/** `insitu completion SHELL`: what bash, zsh and fish offer behind `insitu`, from the tables of words.ts. */
import { type CommandName, commands, type Kind, type OptionWord, options } from './words.ts';

export type Shell = 'bash' | 'zsh' | 'fish';

export function completion(shell: Shell): string {
  return { bash, zsh, fish }[shell]();
}

const others = commands.filter(({ name }) => name !== 'run');
const optionsOf = (name: CommandName): readonly OptionWord[] => options.filter(({ of }) => of.includes(name));
const wordsOf = (name: CommandName): string =>
  optionsOf(name)
    .flatMap(({ words }) => words)
    .join(' ');

/** Options with a value, by what is offered for it. */
function valueGroups(): ReadonlyMap<string, { readonly kind: Kind | undefined; readonly words: readonly string[] }> {
  const groups = new Map<string, { kind: Kind | undefined; words: string[] }>();
  for (const { kind, value, words } of options) {
    if (value === undefined) continue;
    const key = JSON.stringify(kind ?? '');
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { kind, words: [...words] });
    else group.words.push(...words);
  }
  return groups;
}

/** bash(1), "Programmable Completion". */
function bash(): string {
  const offer = (kind: Kind | undefined): string => {
    if (kind === undefined) return 'return';
    if (typeof kind !== 'string') return `mapfile -t COMPREPLY < <(compgen -W '${kind.join(' ')}' -- "$word"); return`;
    return {
      file: 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return',
      folder: 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$word"); return',
      process: 'mapfile -t COMPREPLY < <(cd /proc && compgen -W "$(echo [0-9]*)" -- "$word"); return',
      program: 'mapfile -t COMPREPLY < <(compgen -c -- "$word"); return',
    }[kind];
  };
  const values = [...valueGroups().values()].map(({ kind, words }) => `    ${words.join('|')}) ${offer(kind)} ;;\n`);
  const cases = others.map(({ name, operands }) => {
    const [operand] = operands;
    return `    ${name})
      [[ $word == -* ]] && { mapfile -t COMPREPLY < <(compgen -W '${wordsOf(name)}' -- "$word"); return; }
      ${offer(operand)} ;;\n`;
  });
  return `# bash completion of insitu
_insitu() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  case $before in
${values.join('')}  esac
  (( COMP_CWORD > 1 )) && case \${COMP_WORDS[1]} in
${cases.join('')}  esac
  [[ $word == -* ]] && { mapfile -t COMPREPLY < <(compgen -W '${wordsOf('run')}' -- "$word"); return; }
  compopt -o filenames
  mapfile -t COMPREPLY < <(compgen -f -- "$word")
  (( COMP_CWORD == 1 )) && COMPREPLY+=($(compgen -W '${others.map(({ name }) => name).join(' ')}' -- "$word"))
}
complete -F _insitu insitu
`;
}

/** Without what ends a text in single quotes, or means something in an _arguments specification (zshcompsys(1)). */
const zshText = (text: string): string => text.replace(/'/g, "'\\''").replace(/[[\]:]/g, '\\$&');

function zsh(): string {
  const offer = (kind: Kind | undefined, value: string): string => {
    const title = zshText(value.replace(/'/g, ''));
    if (kind === undefined) return `:${title}: `;
    if (typeof kind !== 'string') return `:${title}:(${kind.join(' ')})`;
    return `:${title}:${{ file: '_files', folder: '_files -/', process: '_pids', program: '_command_names -e' }[kind]}`;
  };
  const specification = ({ words, value, kind, text }: OptionWord): string[] => {
    const spelling = words.length === 1 ? `'${words[0]}` : `'(${words.join(' ')})'{${words.join(',')}}'`;
    return [`    ${spelling}[${zshText(text)}]${value === undefined ? '' : offer(kind, value)}'`];
  };
  const cases = others.map(({ name, operands }) => {
    const rest = operands.map((kind, at) => `    '${at + 1}${offer(kind, typeof kind === 'string' ? kind : 'word')}'`);
    return `  ${name}) _arguments -s \\\n${[...optionsOf(name).flatMap(specification), ...rest].join(' \\\n')} ;;\n`;
  });
  return `#compdef insitu
_insitu() {
  local -a insitu_commands=(
${others.map(({ name, summary }) => `    '${name}:${zshText(summary)}'\n`).join('')}  )
  if (( CURRENT > 2 )); then
    local insitu_command=$words[2]
    if (( \${insitu_commands[(I)$insitu_command:*]} )); then
      shift words
      (( CURRENT-- ))
    fi
    case $insitu_command in
${cases.map((one) => one.replace(/^ {2}/, '    ')).join('')}    *) _insitu_script ;;
    esac
  elif [[ $words[CURRENT] == -* ]]; then
    _insitu_script
  else
    _describe -t commands command insitu_commands
    _files
  fi
}
_insitu_script() {
  _arguments -s \\
${optionsOf('run').flatMap(specification).join(' \\\n')} \\
    '*:script or parameter:_files'
}
if [[ $funcstack[1] == _insitu ]]; then _insitu "$@"; else compdef _insitu insitu; fi
`;
}

function fish(): string {
  const quoted = (text: string): string => `'${text.replace(/\\/g, '\\\\').replace(/'/g, "\\'")}'`;
  const offer = (kind: Kind | undefined): string => {
    if (kind === undefined) return '-x';
    if (typeof kind !== 'string') return `-x -a ${quoted(kind.join(' '))}`;
    return {
      file: '-r -F',
      folder: "-x -a '(__fish_complete_directories)'",
      process: "-x -a '(__fish_complete_pids)'",
      program: "-x -a '(__fish_complete_command)'",
    }[kind];
  };
  const names = others.map(({ name }) => name).join(' ');
  const lines = others.map(
    ({ name, summary }) => `complete -c insitu -n '__fish_is_first_token' -a ${name} -d ${quoted(summary)}\n`,
  );
  for (const { name, operands } of others) {
    const [operand] = operands;
    if (operand !== undefined && operand !== 'file')
      lines.push(
        `complete -c insitu -n '__fish_seen_subcommand_from ${name}' ${offer(operand).replace(/^-x/, '-f')}\n`,
      );
  }
  for (const { words, value, kind, text, of } of options) {
    const wanted = of.filter((name) => name !== 'run');
    const conditions = [
      ...(of.includes('run') ? [`not __fish_seen_subcommand_from ${names}`] : []),
      ...(wanted.length > 0 ? [`__fish_seen_subcommand_from ${wanted.join(' ')}`] : []),
    ];
    const spelling = words.map((word) => (word.startsWith('--') ? `-l ${word.slice(2)}` : `-s ${word.slice(1)}`));
    const condition = conditions.length === 2 ? conditions.join('; or ') : conditions[0];
    lines.push(
      `complete -c insitu -n ${quoted(condition ?? '')} ${spelling.join(' ')} -d ${quoted(text)}${value === undefined ? '' : ` ${offer(kind)}`}\n`,
    );
  }
  return `# fish completion of insitu\n${lines.join('')}`;
}

/** Splits a command as a shell does (POSIX XCU 2.2 Quoting), without any expansion. */
import { MachineError } from '../../base/errors.ts';

/**
 * Words of a command: blanks separate, `'…'` is literal, in `"…"` a backslash escapes
 * `$ \` " \` and a newline, elsewhere any character. Throws for an unterminated quote.
 */
export function splitWords(command: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let i = 0;
  while (i < command.length) {
    const c = command[i] as string;
    if (c === "'") {
      const end = command.indexOf("'", i + 1);
      if (end < 0) throw unterminated(command, i, 'single quote');
      word = (word ?? '') + command.slice(i + 1, end);
      i = end + 1;
    } else if (c === '"') {
      const { text, end } = doubleQuoted(command, i);
      word = (word ?? '') + text;
      i = end;
    } else if (c === '\\') {
      if (i + 1 === command.length) throw unterminated(command, i, 'backslash');
      // A backslash before a newline joins the lines.
      if (command[i + 1] !== '\n') word = (word ?? '') + (command[i + 1] as string);
      i += 2;
    } else if (c === ' ' || c === '\t' || c === '\n') {
      if (word !== undefined) words.push(word);
      word = undefined;
      i++;
    } else {
      word = (word ?? '') + c;
      i++;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}

function doubleQuoted(command: string, start: number): { text: string; end: number } {
  let text = '';
  for (let i = start + 1; i < command.length; i++) {
    const c = command[i] as string;
    if (c === '"') return { text, end: i + 1 };
    const next = command[i + 1];
    if (c === '\\' && next !== undefined && '$`"\\\n'.includes(next)) {
      if (next !== '\n') text += next;
      i++;
    } else text += c;
  }
  throw unterminated(command, start, 'double quote');
}

function unterminated(command: string, at: number, what: string): MachineError {
  return new MachineError(`unterminated ${what} in the command, at character ${at + 1}: ${command}`, {
    code: 'E_UNTERMINATED_QUOTE',
    hints: ['quote the quote: \\" or \\\' stands for itself'],
  });
}

/** The text of attach points: parts, wildcards, names. */

/** Splits at colons that are not inside double quotes and not part of `::`. */
export function splitColons(text: string): string[] {
  const parts: string[] = [];
  let part = '';
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i] as string;
    if (char === '"') quoted = !quoted;
    if (char === ':' && !quoted) {
      if (text[i + 1] === ':') {
        part += '::';
        i++;
        continue;
      }
      parts.push(part);
      part = '';
      continue;
    }
    part += char;
  }
  parts.push(part);
  return parts;
}

/** Whether a pattern has wildcards. */
export const isGlob = (text: string): boolean => /[*?[\]]/.test(text);

/** A glob (`*`, `?`, `[…]`) as a regular expression over the whole text. */
export function globToRegExp(glob: string): RegExp {
  let source = '';
  for (let i = 0; i < glob.length; i++) {
    const char = glob[i] as string;
    if (char === '*') source += '.*';
    else if (char === '?') source += '.';
    else if (char === '[') {
      const close = glob.indexOf(']', i + 1);
      if (close < 0) source += '\\[';
      else {
        source += `[${glob
          .slice(i + 1, close)
          .replace(/\\/g, '\\\\')
          .replace(/^!/, '^')}]`;
        i = close;
      }
    } else source += char.replace(/[.+^${}()|\]\\]/g, '\\$&');
  }
  return new RegExp(`^${source}$`, 's');
}

/** Letters, digits and `_`, for names of programs in the kernel. */
export const kernelName = (text: string): string => text.replace(/[^A-Za-z0-9_]+/g, '_').slice(0, 40);

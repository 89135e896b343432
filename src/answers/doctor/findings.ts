/** What `insitu doctor` finds: what works, what does not, and the command that mends it. */

/**
 * yes: it works. part: with a loss that the detail tells. no: it does not. told: neither
 * good nor bad.
 */
export type Verdict = 'yes' | 'part' | 'no' | 'told';

export interface Finding {
  readonly what: string;
  readonly verdict: Verdict;
  /** In words: how it is, or what is missing. */
  readonly detail: string;
  /** A command, or what is to be done by hand; undefined where nothing helps, or need be done. */
  readonly mend?: string | undefined;
  /** Without it nothing can be traced at all. */
  readonly essential?: boolean;
}

export interface Section {
  readonly title: string;
  readonly findings: readonly Finding[];
}

/** True when scripts can run. */
export const isAble = (sections: readonly Section[]): boolean =>
  sections.every(({ findings }) => findings.every(({ essential, verdict }) => essential !== true || verdict !== 'no'));

const marks: Readonly<Record<Verdict, string>> = { yes: 'ok', part: 'part', no: 'NO', told: '' };

/** `style` colours a mark where the text goes to a terminal. */
export function doctorText(
  sections: readonly Section[],
  style: (verdict: Verdict, mark: string) => string = (_, mark) => mark,
): string {
  const width = Math.max(...sections.flatMap(({ findings }) => findings.map(({ what }) => what.length)));
  const out = sections.map(
    ({ title, findings }) =>
      `${title}\n${findings
        .map(({ what, verdict, detail, mend }) => {
          const mark = style(verdict, marks[verdict].padEnd(4));
          const help = mend === undefined ? '' : `  ${''.padEnd(4)}  ${''.padEnd(width)}  -> ${mend}\n`;
          return `  ${mark}  ${what.padEnd(width)}  ${detail}\n${help}`;
        })
        .join('')}`,
  );
  const all = sections.flatMap(({ findings }) => findings);
  const lacking = all.filter(({ verdict }) => verdict === 'no').map(({ what }) => what);
  const mends = all.filter(({ mend }) => mend !== undefined).length;
  const able = isAble(sections) ? 'insitu can trace here' : 'insitu cannot trace here';
  const missing = lacking.length === 0 ? '' : `; missing: ${lacking.join(', ')}`;
  const help = mends === 0 ? '' : `; ${mends} ${mends === 1 ? 'line tells' : 'lines tell'} what helps (->)`;
  return `${out.join('\n')}\n${able}${missing}${help}.\n`;
}

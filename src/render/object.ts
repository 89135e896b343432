/** An object of a process as a tree. */
import type { ExploredObject } from '../symbolize/objects/explore.ts';

/** A line for each word that says something; what it points to is indented below it. */
export function objectText(explored: ExploredObject, indent = ''): string {
  const type = explored.type === '' ? 'object without a vtable' : explored.type;
  const note = explored.note === undefined ? '' : ` (${explored.note})`;
  let text = `${indent}${type} at 0x${explored.address.toString(16)}${note}\n`;
  let zeros = 0;
  for (const { offset, kind, detail, target } of explored.findings) {
    if (kind === 'nothing') {
      zeros++;
      continue;
    }
    if (zeros > 0) text += `${indent}  … ${zeros} word${zeros === 1 ? '' : 's'} of 0\n`;
    zeros = 0;
    text += `${indent}  +0x${offset.toString(16).padStart(3, '0')}  ${kind.padEnd(8)} ${detail}\n`;
    if (target !== undefined) text += objectText(target, `${indent}    `);
  }
  return text;
}

const bigAsText = (_key: string, value: unknown): unknown =>
  typeof value === 'bigint' ? `0x${value.toString(16)}` : value;

/** The same as JSON; numbers beyond 2^53 as text in hex. */
export const objectJson = (explored: ExploredObject): string => JSON.stringify(explored, bigAsText);

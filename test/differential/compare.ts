/**
 * The same programs on insitu and on Debian's bpftrace 0.17: what both print, without
 * what must differ (the line that counts the probes, blanks at ends of lines, empty lines).
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Case, readCases } from '../cases.ts';
import { executable, root } from '../insitu.ts';

/** The other tracer. */
export const peer: string = process.env['INSITU_PEER'] ?? '/usr/bin/bpftrace';

export const programs: readonly Case[] = readCases(
  readFileSync(join(root, 'test', 'differential', 'programs.txt'), 'utf8'),
);

function output(command: string, item: Case): Promise<string> {
  const child = spawn(command, [...item.options, '-e', item.program, ...item.arguments], {
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: 20_000,
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => resolve(normal(text)));
  });
}

/** Entries of equal value, which 0.17 leaves in the kernel's random order, in the order of their keys. */
function ordered(text: string): string {
  const lines = text.split('\n');
  const value = (line: string | undefined): string | undefined => /^@\w*\[.*\](: .*)$/.exec(line ?? '')?.[1];
  for (let start = 0; start < lines.length; start++) {
    let end = start;
    while (value(lines[start]) !== undefined && value(lines[end]) === value(lines[start])) end++;
    if (end > start + 1) lines.splice(start, end - start, ...lines.slice(start, end).sort());
  }
  return lines.join('\n');
}

function normal(text: string): string {
  const plain = text
    .replace(/^Attaching \d+ probes?\.\.\.\n/, '')
    .replace(/^\{"type": "attached_probes".*\n/m, '')
    .replace(/[ \t]+$/gm, '')
    .replace(/\n{2,}/g, '\n')
    .replaceAll('}, {', '},{')
    .replace(/^\n+|\n+$/g, '');
  return ordered(plain);
}

/** What is wrong with a program's outputs: undefined when they are as they should be. */
export async function compare(item: Case): Promise<string | undefined> {
  const ours = await output(executable, item);
  const theirs = await output(peer, item);
  if ((ours === theirs) === (item.differs === undefined)) return undefined;
  if (item.differs !== undefined) return `${item.name}: the outputs are the same, but ${item.differs}\n${ours}`;
  return `${item.name}:\n${item.program}\n-- insitu\n${ours}\n-- ${peer}\n${theirs}`;
}

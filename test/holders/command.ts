/**
 * Holds a command as a tracer does for -c: tells pid and exit on descriptor 3, starts
 * the command when a line comes on descriptor 4, and hands the other streams on.
 */
import { writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { holdCommand } from '../../src/kernel/host/child.ts';

const child = await holdCommand(process.argv[2] ?? '');
writeSync(3, `${child.pid}\n`);
new Socket({ fd: 4 }).once('data', () => child.start());
const { code, signal } = await child.exited;
writeSync(3, `${code} ${signal}\n`);
process.exit(0);

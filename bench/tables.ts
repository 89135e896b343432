// Part of bench:unwind: makes the tables of a program in a process of its own, and tells time and memory.
import { readFileSync } from 'node:fs';
import { ElfFile } from '../src/debuginfo/elf/elf.ts';
import { HostFile } from '../src/kernel/host/file.ts';
import { processBytes } from '../src/program/unwind.ts';
import { buildTable, decodeTable, encodeTable } from '../src/symbolize/unwind/table.ts';

const path = process.argv[2] ?? '';
const file = HostFile.open(path);
if (!file.ok) throw file.error;
const elf = ElfFile.open(path, file.value);
if (!elf.ok) throw elf.error;
const before = performance.now();
const table = buildTable(elf.value);
if (!table.ok) throw table.error;
const built = performance.now();
const bytes = encodeTable(table.value);
const encoded = performance.now();
decodeTable(bytes);
const decoded = performance.now();
const peak = Number(/^VmHWM:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0) / 1024;
const { functions, rows, unsupported, damaged, cutRows } = table.value.counts;
console.log(
  `tables of ${path}: ${functions} functions, ${rows} rows, ${table.value.rules.length / 4} rules (${unsupported} unsupported, ${damaged} damaged, ${cutRows} cut): ` +
    `${(built - before).toFixed(0)} ms, peak memory ${peak.toFixed(0)} MB; ` +
    `from the cache ${(decoded - encoded).toFixed(0)} ms; ${(table.value.blocks.length / 2 ** 18).toFixed(1)} MB in the kernel; ` +
    `${(processBytes / 1024).toFixed(1)} KiB more for each process`,
);

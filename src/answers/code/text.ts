/** A function's instructions for a screen. */
import { type Instruction, type Listed, type Row, sourceText } from './listing.ts';

/** Bytes shown in a row; longer instructions go on in the next one, as objdump(1) does it. */
const bytesInRow = 7;

export interface Shown {
  /** How a probe names the file. */
  readonly file: string;
  readonly listed: Listed;
  readonly rows: readonly Row[];
  /** What the addresses of the file must be moved by to be the process's; undefined without a process. */
  readonly bias: number | undefined;
  /** Offset of the instruction that is asked for: that of the function itself is 0. */
  readonly asked: number;
  /** By offset: the bytes that the process has there, where they are others than the file's. */
  readonly changed: ReadonlyMap<number, Uint8Array>;
  /** A line of a source file, where the file is here. */
  readonly sourceLine: (file: string, line: number) => string | undefined;
}

const hex = (value: number): string => value.toString(16);

export const bytesText = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');

/** `uprobe:FILE:NAME+OFFSET`, as a script has it. */
export function probeText(file: string, { name }: Listed, offset: number): string {
  const plain = /^[\w.$@]+$/.test(name) ? name : `"${name}"`;
  return `uprobe:${file}:${plain}${offset === 0 ? '' : `+${offset}`}`;
}

/** The row whose instruction covers an offset. */
export function rowAt(rows: readonly Row[], offset: number): Row | undefined {
  return rows.find((row) => offset >= row.offset && offset < row.offset + row.instruction.bytes.length);
}

export function codeText(shown: Shown): string {
  const { file, listed, rows, bias, asked, changed } = shown;
  const at = rowAt(rows, asked);
  const size = listed.sizeKnown
    ? `${listed.size} bytes`
    : `the first ${listed.size} bytes, as nothing tells where it ends`;
  const out = [`${listed.shown}: ${rows.length} instructions, ${size}, of ${file}\n`];
  if (at !== undefined) out.push(`  ${placeText(shown, at)}\n`);
  const shift = bias ?? 0;
  const last = rows.at(-1);
  const widths = {
    address: Math.max(7, hex((last?.instruction.address ?? 0) + shift).length),
    file: Math.max(...rows.map(({ fileOffset }) => hex(fileOffset ?? 0).length), 4),
    offset: String(last?.offset ?? 0).length + 1,
  };
  out.push(
    `\n  ${[(bias === undefined ? 'address' : 'in process').slice(0, widths.address).padStart(widths.address), 'file'.padStart(widths.file), '+'.padStart(widths.offset), 'bytes'.padEnd(bytesInRow * 3 - 1), 'instruction'].join('  ')}\n`,
  );
  let source = '';
  for (const row of rows) {
    const { instruction, fileOffset, offset } = row;
    const where = sourceText(row.source);
    if (where !== source) {
      source = where;
      const [frame] = row.source?.frames ?? [];
      const line = frame && where !== '' ? shown.sourceLine(frame.file, frame.line)?.trim() : undefined;
      out.push(where === '' ? '  (no source line)\n' : `  ${where}${line ? `    ${line}` : ''}\n`);
    }
    const text = `${instruction.mnemonic.padEnd(6)} ${operandsText(instruction, shift)}`.trimEnd();
    const inMemory = changed.get(offset);
    const notes = [
      referenceText(row, shift),
      inMemory === undefined ? '' : `in memory: ${bytesText(inMemory)}${inMemory[0] === 0xcc ? ' (a breakpoint)' : ''}`,
    ].filter((note) => note !== '');
    const cells = [
      hex(instruction.address + shift).padStart(widths.address),
      hex(fileOffset ?? 0).padStart(widths.file),
      `+${offset}`.padStart(widths.offset),
      bytesText(instruction.bytes.subarray(0, bytesInRow)).padEnd(bytesInRow * 3 - 1),
      notes.length === 0 ? text : `${text}  ${notes.join('  ')}`,
    ];
    out.push(`${row === at ? '>' : ' '} ${cells.join('  ')}\n`);
    if (instruction.bytes.length > bytesInRow) {
      const indent = 2 + widths.address + 2 + widths.file + 2 + widths.offset + 2;
      out.push(`${' '.repeat(indent)}${bytesText(instruction.bytes.subarray(bytesInRow))}\n`);
    }
  }
  return out.join('');
}

/** A target as an address of the process. */
function operandsText({ target, operands }: Instruction, shift: number): string {
  return target === undefined ? operands : `0x${hex(target + shift)}`;
}

/** `<name>` of a target, `# address <name>` of data. */
function referenceText({ instruction, reference }: Row, shift: number): string {
  const name = reference === undefined ? '' : `<${reference}>`;
  const { memory } = instruction;
  return memory === undefined ? name : `# ${hex(memory + shift)} ${name}`.trimEnd();
}

/** Where a uprobe sits. */
function placeText({ file, listed, bias, asked }: Shown, { instruction, fileOffset, offset }: Row): string {
  const place = `0x${hex(instruction.address)}${fileOffset === undefined ? '' : `, file offset 0x${hex(fileOffset)}`}${bias === undefined ? '' : `, in the process 0x${hex(instruction.address + bias)}`}`;
  if (offset === asked) return `${probeText(file, listed, offset)} sits on ${place}`;
  return `+${asked} is inside the instruction at ${place}: a uprobe there would break the program, ${probeText(file, listed, offset)} sits on its start`;
}

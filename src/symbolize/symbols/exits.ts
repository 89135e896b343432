/**
 * Where the code of a function leaves it: its ret instructions, and the jumps that hand its
 * frame on to another function (tail calls). x86-64 (Intel SDM volume 2).
 *
 * Jumps through registers and memory are tail calls or jump tables: compilers index a table
 * (`jmp *table(,%rax,8)`), or load an offset from it with movslq and jump to the sum, or
 * mark the jump with notrack (CET). What is none of these is taken for a tail call.
 */
import { type VirtualAddress, virtualAddress } from '../../base/numbers.ts';
import type { ElfFile } from '../../debuginfo/elf/elf.ts';
import type { FunctionExit, FunctionExits } from '../../target/target.ts';
import { Decoder, NONE, RSP } from '../evidence/x86.ts';
import type { CodeBounds } from './instructions.ts';

/** Longest function that is looked through. */
const mostCodeBytes = 1 << 20;
/** Instructions before an indirect jump in which its table's load is looked for. */
const tableDistance = 8;
const movslq = 0x63;
const notrack = 0x3e;

export interface ExitsOf {
  /** The whole function, or a part of it that lies elsewhere. */
  readonly bounds: CodeBounds;
  /** Whether an address outside of `bounds` belongs to the function all the same: its `.cold` part. */
  readonly partAt: (address: VirtualAddress) => CodeBounds | undefined;
}

/** All places where a function is left; undefined where its bytes are no instructions all the way. */
export function functionExits(elf: ElfFile, { bounds, partAt }: ExitsOf): FunctionExits | undefined {
  const parts: CodeBounds[] = [bounds];
  const exits: FunctionExit[] = [];
  let calls = false;
  let entry = virtualAddress(bounds.address);
  const decoder = new Decoder();
  const partOf = (address: number): CodeBounds | undefined =>
    parts.find((one) => address >= one.address && address < one.address + one.size);
  for (const part of parts) {
    const offset = elf.toFileOffset(virtualAddress(part.address));
    if (!offset.ok || part.size === 0 || part.size > mostCodeBytes) return undefined;
    const code = elf.reader.read(offset.value, part.size);
    if (code.length < part.size) return undefined;
    // Distance to the last load of an offset from a table.
    let sinceTable = tableDistance + 1;
    for (let at = 0; at < code.length; at += decoder.length) {
      if (!decoder.decode(code, at, code.length)) return undefined;
      const { opcode } = decoder;
      const address = virtualAddress(part.address + at);
      // endbr64 is stepped over in a slow way, and nothing has changed behind it.
      if (part === bounds && at === 0 && isEndbr(code)) entry = virtualAddress(bounds.address + 4);
      sinceTable = opcode === movslq && decoder.rm === NONE ? 0 : sinceTable + 1;
      if (opcode === 0xe8 || (opcode === 0xff && ((decoder.modrm >>> 4) & 3) === 1)) calls = true;
      else if (opcode === 0xc3 || opcode === 0xc2) exits.push({ address, kind: 'ret' });
      else if (isDirectJump(opcode)) {
        const target = virtualAddress(address + decoder.length + decoder.immediate);
        if (partOf(target) !== undefined) continue;
        const other = partAt(target);
        if (other !== undefined) parts.push(other);
        else if (opcode === 0xe9 || opcode === 0xeb) exits.push({ address, kind: 'jump' });
        else exits.push({ address, kind: 'conditional', condition: opcode & 15 });
      } else if (opcode === 0xff && ((decoder.modrm >>> 3) & 7) === 4) {
        const table = decoder.index !== NONE || code[at] === notrack || sinceTable <= tableDistance;
        if (!table && decoder.base !== RSP) exits.push({ address, kind: 'jump' });
      }
    }
  }
  return { entry, exits, leaf: !calls && exits.every(({ kind }) => kind === 'ret') };
}

const isEndbr = (code: Uint8Array): boolean =>
  code[0] === 0xf3 && code[1] === 0x0f && code[2] === 0x1e && code[3] === 0xfa && code.length > 4;

const isDirectJump = (opcode: number): boolean =>
  opcode === 0xe9 || opcode === 0xeb || (opcode >= 0x70 && opcode <= 0x7f) || (opcode >= 0x180 && opcode <= 0x18f);

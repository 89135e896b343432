/** How the program takes the texts of arguments and results (TextSpec of program/calls.ts). */
import { TextKind, textBytes } from '../../program/calls.ts';
import type { Reg } from '../ir/ir.ts';
import { bpfHelper } from '../lower/bpfhelper.ts';
import type { Writer } from './writer.ts';

interface TextPlace {
  readonly frame: Reg;
  /** Value of `calls_functions`, and where the TextSpec lies in it. */
  readonly spec: Reg;
  readonly specAt: number;
  /** In the frame: where the text goes, and the words that it comes from. */
  readonly slotAt: number;
  readonly wordsAt: number;
  readonly words: number;
  readonly sleepable: boolean;
}

/** Reads the text that a TextSpec describes, if it describes one. */
export function takeText(f: Writer, { frame, spec, specAt, slotAt, wordsAt, words, sleepable }: TextPlace): void {
  const { b } = f;
  const [done, read, counted] = [b.label(), b.label(), b.label()];
  const kind = b.load(spec, specAt, 1);
  b.branch('eq', kind, { imm: TextKind.none }, done);
  b.store(frame, slotAt, 8, { imm: 0 });
  const word = (at: number): Reg => {
    const index = b.reg();
    b.mov(index, b.load(spec, specAt + at, 1));
    f.when('uge', index, { imm: words }, () => f.assign(index, { imm: 0 }));
    return b.load(b.alu('add', frame, b.alu('shl', index, { imm: 3 })), wordsAt, 8);
  };
  const address = b.reg();
  const length = b.reg();
  b.mov(address, word(1));
  f.assign(length, { imm: 0 });
  const target = b.alu('add', frame, { imm: slotAt + 8 });
  const put = (result: Reg): void => b.store(frame, slotAt, 4, result);
  f.when('eq', kind, { imm: TextKind.string }, () => {
    const once = (): Reg => b.call(bpfHelper.probe_read_user_str, [target, { imm: textBytes }, address]);
    const result = b.reg();
    b.mov(result, once());
    retry(f, result, address, sleepable, () => b.mov(result, once()));
    put(result);
    b.jump(done);
  });
  f.when('eq', kind, { imm: TextKind.counted }, () => {
    b.mov(length, word(2));
    b.jump(counted);
  });
  // An object: its first three words, at the place where the text will be.
  const result = b.reg();
  const object = (): Reg => b.call(bpfHelper.probe_read_user, [target, { imm: 24 }, address]);
  b.mov(result, object());
  retry(f, result, address, sleepable, () => b.mov(result, object()));
  f.when('ne', result, { imm: 0 }, () => {
    put(result);
    b.jump(done);
  });
  const inObject = (at: number): Reg => {
    const offset = b.reg();
    b.mov(offset, b.load(spec, specAt + at, 1));
    f.when('ugt', offset, { imm: 16 }, () => f.assign(offset, { imm: 0 }));
    return b.load(b.alu('add', target, offset), 0, 8);
  };
  f.when('eq', kind, { imm: TextKind.short }, () => {
    const first = b.load(target, 0, 1);
    f.when('eq', b.alu('and', first, { imm: 1 }), { imm: 0 }, () => {
      f.assign(length, b.alu('lshr', first, { imm: 1 }));
      f.change(address, 'add', { imm: 1 });
      b.jump(counted);
    });
  });
  b.mov(length, inObject(4));
  b.mov(address, inObject(3));
  b.place(counted);
  b.store(frame, slotAt + 4, 4, length);
  const size = b.reg();
  b.mov(size, length);
  f.when('ugt', size, { imm: textBytes }, () => f.assign(size, { imm: textBytes }));
  b.branch('eq', size, { imm: 0 }, done);
  const bytes = (): Reg => b.call(bpfHelper.probe_read_user, [target, size, address]);
  b.mov(result, bytes());
  retry(f, result, address, sleepable, () => b.mov(result, bytes()));
  f.when('eq', result, { imm: 0 }, () => b.mov(result, size));
  put(result);
  b.jump(read);
  b.place(read);
  b.place(done);
}

/** Where the program may sleep: brings the page of an address that could not be read, and reads again. */
function retry(f: Writer, result: Reg, address: Reg, sleepable: boolean, again: () => void): void {
  if (!sleepable) return;
  const { b } = f;
  const fine = b.label();
  b.push({ op: 'branch', condition: 'sge', bits: 64, left: result, right: { imm: 0 }, to: fine });
  const byte = b.slotAddress(b.newSlot(8, 8, 'byte'));
  b.call(bpfHelper.copy_from_user, [byte, { imm: 1 }, address]);
  again();
  b.place(fine);
}

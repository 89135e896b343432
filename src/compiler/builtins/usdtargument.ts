/** argN of usdt probes: reads the operand that the probe's note names (probes/usdtargs.ts). */
import { intType, type Type, uint64 } from '../../types/model.ts';
import type { Reg } from '../ir/ir.ts';
import type { Lower } from '../lower/lower.ts';
import { loadRegister, registersOf } from '../lower/registers.ts';
import type { UsdtArgument, UsdtIndex } from '../probes/usdtargs.ts';
import type { Sema } from '../sema/sema.ts';
import type { Identifier } from '../syntax/ast.ts';

export function usdtArgumentType(sema: Sema, node: Identifier, index: number): Type {
  const args = sema.probe.usdtArguments ?? [];
  const arg = args[index];
  if (arg === undefined) {
    const name = sema.probe.attachments[0]?.name ?? 'the probe';
    sema.error(
      'no-argument',
      `${name} has ${args.length === 0 ? 'no arguments' : args.length === 1 ? 'one argument' : `${args.length} arguments`}: there is no ${node.name}`,
      node.span,
    );
    return uint64;
  }
  if (arg.operand.kind === 'unreadable') {
    sema.error('unreadable-argument', `${node.name} (${arg.text}) cannot be read: ${arg.operand.reason}`, node.span);
  }
  return intType(arg.size, arg.signed);
}

export function readUsdtArgument(low: Lower, index: number): Reg {
  const arg = (low.probe.usdtArguments ?? [])[index] as UsdtArgument;
  const type = intType(arg.size, arg.signed);
  const { operand } = arg;
  const { b } = low;
  switch (operand.kind) {
    case 'constant': {
      const bits = arg.size * 8;
      return b.const(arg.signed ? BigInt.asIntN(bits, operand.value) : BigInt.asUintN(bits, operand.value));
    }
    case 'register': {
      const whole = loadRegister(low, operand.register);
      return low.narrowed(operand.shift === 0 ? whole : b.alu('lshr', whole, { imm: operand.shift }), type);
    }
    case 'memory': {
      let address = operand.base === undefined ? undefined : loadRegister(low, operand.base);
      if (operand.index) {
        const index = scaled(low, operand.index);
        address = address === undefined ? index : b.alu('add', address, index);
      }
      return fromMemory(low, address, operand.displacement, type);
    }
    case 'object':
      return fromMemory(
        low,
        loadRegister(low, registersOf(low.options.target).instruction),
        BigInt(arg.distance ?? 0),
        type,
      );
    case 'unreadable':
      return b.const(0);
  }
}

function scaled(low: Lower, index: UsdtIndex): Reg {
  let value = loadRegister(low, index.register);
  if (index.half !== undefined) value = low.narrowed(value, intType(4, index.half === 'signed'));
  return index.scale === 1 ? value : low.b.alu('mul', value, { imm: index.scale });
}

function fromMemory(low: Lower, base: Reg | undefined, displacement: bigint, type: Type): Reg {
  const { b } = low;
  let address: Reg;
  if (base === undefined) address = b.const(displacement);
  else if (displacement === 0n) address = base;
  else if (BigInt.asIntN(32, displacement) === displacement)
    address = b.alu('add', base, { imm: Number(displacement) });
  else address = b.alu('add', base, b.const(displacement));
  return low.readScalar({ kind: 'memory', address, offset: 0, space: 'user' }, type);
}

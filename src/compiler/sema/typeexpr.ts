/** From a type as written to a type of the model. */
import { nearest } from '../../base/near.ts';
import { boolType, inetType, intType, pointerTo, type Type, voidType } from '../../types/model.ts';
import type { TypeKeyword } from '../../types/source.ts';
import type { TypeExpr } from '../syntax/ast.ts';
import type { Names } from './names.ts';
import type { Sema } from './sema.ts';

const words: Readonly<Record<string, Type>> = {
  bool: boolType,
  _Bool: boolType,
  void: voidType,
  char: intType(1, true),
  'signed char': intType(1, true),
  'unsigned char': intType(1, false),
  inet: inetType,
};

const fixedWidth: Readonly<Record<string, readonly [1 | 2 | 4 | 8, boolean]>> = {
  int8: [1, true],
  int16: [2, true],
  int32: [4, true],
  int64: [8, true],
  uint8: [1, false],
  uint16: [2, false],
  uint32: [4, false],
  uint64: [8, false],
  int8_t: [1, true],
  int16_t: [2, true],
  int32_t: [4, true],
  int64_t: [8, true],
  uint8_t: [1, false],
  uint16_t: [2, false],
  uint32_t: [4, false],
  uint64_t: [8, false],
  s8: [1, true],
  s16: [2, true],
  s32: [4, true],
  s64: [8, true],
  u8: [1, false],
  u16: [2, false],
  u32: [4, false],
  u64: [8, false],
  __s8: [1, true],
  __s16: [2, true],
  __s32: [4, true],
  __s64: [8, true],
  __u8: [1, false],
  __u16: [2, false],
  __u32: [4, false],
  __u64: [8, false],
  size_t: [8, false],
  ssize_t: [8, true],
  uintptr_t: [8, false],
  intptr_t: [8, true],
};

/** The integer that a sequence of C words (`unsigned long int`) means. */
function cInteger(name: string): Type | undefined {
  const parts = name.split(' ');
  if (!parts.every((part) => /^(unsigned|signed|int|long|short|char)$/.test(part))) return undefined;
  const unsigned = parts.includes('unsigned');
  if (parts.includes('char')) return intType(1, !unsigned);
  if (parts.includes('short')) return intType(2, !unsigned);
  if (parts.includes('long')) return intType(8, !unsigned);
  return intType(4, !unsigned);
}

/** The type of that spelling, undefined when nothing has it. In a program's probe its own types come before the kernel's. */
function named(type: TypeExpr, sema: Sema, names: Names): Type | undefined {
  const look = (keyword: TypeKeyword): Type | undefined =>
    names.ownType(keyword, type.name) ??
    sema.probe.programTypes?.()?.find(keyword, type.name) ??
    names.type(keyword, type.name);
  if (type.keyword) return look(type.keyword);
  const known = words[type.name];
  if (known) return known;
  const fixed = fixedWidth[type.name];
  if (fixed) return intType(fixed[0], fixed[1]);
  return cInteger(type.name) ?? look('typedef') ?? look('struct') ?? look('union') ?? look('enum');
}

export function resolveTypeExpr(type: TypeExpr, sema: Sema, names: Names): Type | undefined {
  let base: Type | undefined;
  let dimensions = [...type.dimensions];
  if (type.typeOf !== undefined) {
    base = type.typeOf.node === 'type' ? resolveTypeExpr(type.typeOf, sema, names) : sema.expr(type.typeOf);
  } else if (type.keyword === undefined && (type.name === 'string' || type.name === 'buffer')) {
    const size = dimensions[0] ?? sema.config.maxStrlen;
    if (size < 1 || size > 65536) {
      sema.error('type-size', `${type.name}[${size}] is not a size that a value can have`, type.span);
      return undefined;
    }
    base = { kind: type.name, size };
    dimensions = dimensions.slice(1);
  } else {
    base = named(type, sema, names);
  }
  if (base === undefined) {
    const keyword = type.keyword ?? 'typedef';
    const candidates = type.keyword
      ? [...names.typeNames(keyword)]
      : [...Object.keys(fixedWidth), ...Object.keys(words), ...names.typeNames('typedef')];
    const near = nearest(type.name, candidates, 2);
    sema.error(
      'unknown-type',
      `Cannot resolve unknown type "${type.keyword ? `${type.keyword} ` : ''}${type.name}"`,
      type.span,
      ...(near.length > 0
        ? [`did you mean ${near.map((n) => `'${n}'`).join(' or ')}?`]
        : ['declare it in the script, or #include the header that does']),
      ...(sema.target.kernelTypes() === undefined
        ? ["the kernel's own types are not there: it has no /sys/kernel/btf/vmlinux; BPFTRACE_BTF names another file"]
        : []),
    );
    return undefined;
  }
  let result: Type = base;
  for (let i = 0; i < type.pointers; i++) {
    const to = result;
    result = pointerTo(to, sema.probe.userMemory ? 'user' : 'either');
  }
  for (const dimension of dimensions.reverse()) result = { kind: 'array', of: result, length: dimension ?? 0 };
  return result;
}

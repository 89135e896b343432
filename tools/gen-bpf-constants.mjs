#!/usr/bin/env node
// Writes src/bpf/constants.ts and src/bpf/helpers.ts from the kernel's uapi headers
// (linux/bpf.h and linux/perf_event.h; Debian: linux-libc-dev). With --check it writes
// nothing and fails when the files differ from the headers, or when a value (the
// hand-kept src/bpf/supplement.ts included) differs from the running kernel's own BTF.
//
//   node tools/gen-bpf-constants.mjs [--check] [--include DIR]
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const check = process.argv.includes('--check');
const includeAt = process.argv.indexOf('--include');
const include = includeAt > 0 ? process.argv[includeAt + 1] : '/usr/include';
const outputs = { constants: join(root, 'src/bpf/constants.ts'), helpers: join(root, 'src/bpf/helpers.ts') };

/** Enums taken whole. */
const ENUMS = {
  'bpf.h': [
    'bpf_cmd',
    'bpf_map_type',
    'bpf_prog_type',
    'bpf_attach_type',
    'bpf_link_type',
    'bpf_stack_build_id_status',
    'bpf_stats_type',
  ],
  'perf_event.h': [
    'perf_type_id',
    'perf_sw_ids',
    'perf_hw_id',
    'perf_hw_cache_id',
    'perf_hw_cache_op_id',
    'perf_hw_cache_op_result_id',
    'perf_event_type',
  ],
};
/** Names of macros and anonymous enums that are collected under one object. */
const GROUPS = {
  bpf_flag:
    /^BPF_(ANY|NOEXIST|EXIST|F_(LOCK|NO_PREALLOC|NO_COMMON_LRU|NUMA_NODE|RDONLY|WRONLY|STACK_BUILD_ID|ZERO_SEED|RDONLY_PROG|WRONLY_PROG|MMAPABLE|PRESERVE_ELEMS|INNER_MAP|SLEEPABLE|STRICT_ALIGNMENT|ANY_ALIGNMENT|TEST_RND_HI32|TEST_STATE_FREQ|TEST_RUN_ON_CPU|KPROBE_MULTI_RETURN|SKIP_FIELD_MASK|USER_STACK|FAST_STACK_CMP|REUSE_STACKID|USER_BUILD_ID|INDEX_MASK|CURRENT_CPU|CTXLEN_MASK|GET_BRANCH_RECORDS_SIZE)|RB_\w+|RINGBUF_\w+|OBJ_NAME_LEN|BUILD_ID_SIZE|TAG_SIZE)$/,
  bpf_pseudo: /^BPF_PSEUDO_\w+$/,
  perf_flag:
    /^PERF_(FLAG_\w+|EVENT_IOC_\w+|SAMPLE_RAW|SAMPLE_TID|SAMPLE_TIME|SAMPLE_ADDR|SAMPLE_IP|RECORD_MISC_MMAP_BUILD_ID|RECORD_MISC_COMM_EXEC|RECORD_MISC_USER|RECORD_MISC_KERNEL)$/,
};
/** Bit of each one-bit field of perf_event_attr that the loader sets; counted in the header. */
const ATTR_FLAGS = [
  'disabled',
  'inherit',
  'exclude_user',
  'exclude_kernel',
  'mmap',
  'comm',
  'freq',
  'enable_on_exec',
  'task',
  'watermark',
  'sample_id_all',
  'mmap2',
  'comm_exec',
  'use_clockid',
  'ksymbol',
  'bpf_event',
  'build_id',
  'inherit_thread',
  'remove_on_exec',
];

const stripComments = (text) => text.replace(/\/\*[\s\S]*?\*\//g, ' ').replace(/\/\/.*$/gm, ' ');

/** Sizes of the types that _IOW and friends are applied to in perf_event.h. */
const IOCTL_SIZES = {
  __u64: 8,
  __u32: 4,
  'char *': 8,
  '__u64 *': 8,
  'struct perf_event_query_bpf *': 8,
  'struct perf_event_attr *': 8,
};
const IOCTL_DIRECTIONS = { _IO: 0n, _IOW: 1n, _IOR: 2n, _IOWR: 3n };

/** Value of a C constant expression of numbers, names, ( ) - << | ~; undefined when it holds something else. */
function evaluate(expression, names) {
  const ioctl = /^(_IOW?R?|_IOR)\s*\(\s*'(.)'\s*,\s*(\d+)\s*(?:,\s*([^)]+?)\s*)?\)$/.exec(expression.trim());
  if (ioctl) {
    const size = ioctl[4] === undefined ? 0 : IOCTL_SIZES[ioctl[4]];
    if (size === undefined) return undefined;
    return (
      (IOCTL_DIRECTIONS[ioctl[1]] << 30n) |
      (BigInt(size) << 16n) |
      (BigInt(ioctl[2].charCodeAt(0)) << 8n) |
      BigInt(ioctl[3])
    );
  }
  const tokens = expression.match(/0[xX][0-9a-fA-F]+[uUlL]*|\d+[uUlL]*|\w+|<<|[()|~+-]|\S/g) ?? [];
  let at = 0;
  const primary = () => {
    const token = tokens[at++];
    if (token === '(') {
      const value = binary(0);
      if (tokens[at++] !== ')') throw new SyntaxError(expression);
      return value;
    }
    if (token === '-') return -primary();
    if (token === '~') return ~primary();
    if (/^\d/.test(token ?? '')) return BigInt(token.replace(/[uUlL]+$/, ''));
    const value = names.get(token);
    if (value === undefined) throw new SyntaxError(expression);
    return value;
  };
  const levels = [['|'], ['<<'], ['+', '-']];
  const binary = (level) => {
    if (level === levels.length) return primary();
    let value = binary(level + 1);
    while (levels[level].includes(tokens[at])) {
      const operator = tokens[at++];
      const right = binary(level + 1);
      value =
        operator === '|'
          ? value | right
          : operator === '<<'
            ? value << right
            : operator === '+'
              ? value + right
              : value - right;
    }
    return value;
  };
  try {
    const value = binary(0);
    return at === tokens.length ? value : undefined;
  } catch {
    return undefined;
  }
}

/** All enumerators and object-like macros of a header, in order, and the enums by name. */
function readHeader(path) {
  const text = stripComments(readFileSync(path, 'utf8')).replace(/\\\n/g, ' ');
  const names = new Map();
  const enums = new Map();
  for (const [, name, body] of text.matchAll(/enum\s+(\w*)\s*\{([^}]*)\}/g)) {
    let next = 0n;
    const members = [];
    for (const part of body.split(',')) {
      const [, key, expression] = /^\s*(\w+)\s*(?:=([\s\S]*))?$/.exec(part) ?? [];
      if (key === undefined) continue;
      const value = expression === undefined ? next : evaluate(expression, names);
      if (value === undefined) continue;
      names.set(key, value);
      members.push([key, value]);
      next = value + 1n;
    }
    if (name !== '') enums.set(name, members);
  }
  for (const [, name, expression] of text.matchAll(/^[ \t]*#[ \t]*define[ \t]+(\w+)[ \t]+(\S.*?)[ \t]*$/gm)) {
    const value = names.has(name) ? undefined : evaluate(expression, names);
    if (value !== undefined) names.set(name, value);
  }
  return { text, names, enums };
}

/** Positions of the one-bit fields after read_format in struct perf_event_attr. */
function attrFlags(text) {
  const body = /struct perf_event_attr\s*\{([\s\S]*?)\n\};/.exec(text)?.[1] ?? '';
  const positions = [];
  let bit = 0;
  for (const [, name, width] of (/__u64\s+disabled[\s\S]*?;/.exec(body)?.[0] ?? '').matchAll(/(\w+)\s*:\s*(\d+)/g)) {
    if (ATTR_FLAGS.includes(name)) positions.push([name, BigInt(bit)]);
    bit += Number(width);
  }
  return positions;
}

/** Names of the helpers, by number. */
function helperNames(text) {
  const body = /#define\s+___?_?BPF_FUNC_MAPPER\s*\([^)]*\)([\s\S]*?)\n/.exec(text)?.[1] ?? '';
  const names = [];
  for (const [, name, number] of body.matchAll(/FN\(\s*(\w+)\s*(?:,\s*(\d+)\s*,[^)]*)?\)/g)) {
    names[number === undefined ? names.length : Number(number)] = name;
  }
  return names;
}

const literal = (value) => (value > 0xffff_ffffn ? `${value}n` : String(value));
// The tables are kept whole, whoever uses them: @public tells the unused-code check.
const objectText = (name, members, what) =>
  `/** ${what} @public */\nexport const ${name} = {\n${members.map(([key, value]) => `  ${key}: ${literal(value)},\n`).join('')}} as const;\n`;

function constantsText(version, headers) {
  const parts = [
    '/**\n' +
      " * Numbers of the kernel's bpf(2) and perf_event_open(2) interfaces, under the kernel's names.\n" +
      ` * Generated by tools/gen-bpf-constants.mjs from the uapi headers of Linux ${version}; newer values are in supplement.ts.\n` +
      ' */\n',
  ];
  for (const [file, enums] of Object.entries(ENUMS)) {
    for (const name of enums) {
      const members = (headers[file].enums.get(name) ?? []).filter(
        ([key]) => !/^(__)?(MAX_|PERF_.*_MAX|PERF_RECORD_MAX)|_MAX$/.test(key),
      );
      if (members.length === 0) throw new Error(`enum ${name} is not in linux/${file}`);
      parts.push(objectText(name, members, `enum ${name} of linux/${file}.`));
    }
  }
  for (const [group, pattern] of Object.entries(GROUPS)) {
    const members = Object.values(headers).flatMap((header) => [...header.names].filter(([key]) => pattern.test(key)));
    parts.push(objectText(group, members, 'Macros and members of anonymous enums.'));
  }
  const bits = attrFlags(headers['perf_event.h'].text);
  parts.push(
    objectText('perf_event_attr_bit', bits, 'Bit numbers in the flag word of struct perf_event_attr (at byte 40).'),
  );
  return parts.join('\n');
}

function helpersText(version, names) {
  return (
    '/**\n * Helpers a BPF program may call (enum bpf_func_id), by number.\n' +
    ` * Generated by tools/gen-bpf-constants.mjs from linux/bpf.h of Linux ${version}; newer ones are in supplement.ts.\n */\n` +
    `import { NEWER_HELPERS } from './supplement.ts';\n\n` +
    '/** HELPERS[n] is the name of helper n without `bpf_`. */\nexport const HELPERS: readonly string[] = [\n' +
    names.map((name, number) => `  '${name}', // ${number}\n`).join('') +
    '  ...NEWER_HELPERS.map((helper) => helper.name),\n];\n\n' +
    'let numbers: ReadonlyMap<string, number> | undefined;\n\n' +
    "/** The kernel's name of a helper, `bpf_map_lookup_elem`; undefined for an unknown number. */\n" +
    'export function helperName(number: number): string | undefined {\n' +
    '  const name = HELPERS[number];\n  return name && ' +
    '`bpf_$' +
    '{name}`;\n}\n\n' +
    '/** Number of a helper by its name, with or without `bpf_`; undefined when there is none. */\n' +
    'export function helperNumber(name: string): number | undefined {\n' +
    '  numbers ??= new Map(HELPERS.map((helper, number) => [helper, number]));\n' +
    "  return numbers.get(name.replace(/^bpf_/, ''));\n}\n"
  );
}

/** Enumerators of all enums in a little-endian BTF blob (Documentation/bpf/btf.rst). */
function btfEnumerators(blob) {
  const typesAt = blob.readUInt32LE(4) + blob.readUInt32LE(8);
  const typesEnd = typesAt + blob.readUInt32LE(12);
  const stringsAt = blob.readUInt32LE(4) + blob.readUInt32LE(16);
  const name = (offset) => blob.toString('latin1', stringsAt + offset, blob.indexOf(0, stringsAt + offset));
  const extra = {
    1: [4, 0],
    3: [12, 0],
    4: [0, 12],
    5: [0, 12],
    6: [0, 8],
    13: [0, 8],
    14: [4, 0],
    15: [0, 12],
    17: [4, 0],
    19: [0, 12],
  };
  const found = new Map();
  for (let at = typesAt; at < typesEnd; ) {
    const info = blob.readUInt32LE(at + 4);
    const kind = (info >>> 24) & 31;
    const count = info & 0xffff;
    at += 12;
    for (let i = 0; i < count && (kind === 6 || kind === 19); i++) {
      const entry = at + i * (kind === 6 ? 8 : 12);
      const key = name(blob.readUInt32LE(entry));
      if (/^(BPF|PERF)_/.test(key)) {
        const low = kind === 6 ? BigInt(blob.readInt32LE(entry + 4)) : blob.readBigUInt64LE(entry + 4);
        found.set(key, low);
      }
    }
    const [fixed, each] = extra[kind] ?? [0, 0];
    at += fixed + each * count;
  }
  return found;
}

/** `KEY: value` and helper entries of the written files, read as text (they are not compiled here). */
function writtenValues() {
  const values = new Map();
  for (const file of [outputs.constants, join(root, 'src/bpf/supplement.ts')]) {
    for (const [, key, value] of readFileSync(file, 'utf8').matchAll(/^ {2}(\w+): (-?\d+)n?,/gm))
      values.set(key, BigInt(value));
  }
  for (const [, name, number] of readFileSync(outputs.helpers, 'utf8').matchAll(/^ {2}'(\w+)', \/\/ (\d+)$/gm)) {
    values.set(`BPF_FUNC_${name}`, BigInt(number));
  }
  for (const [, name, number] of readFileSync(join(root, 'src/bpf/supplement.ts'), 'utf8').matchAll(
    /name: '(\w+)', number: (\d+)/g,
  )) {
    values.set(`BPF_FUNC_${name}`, BigInt(number));
  }
  return values;
}

const problems = [];
const versionFile = join(include, 'linux/version.h');
if (!existsSync(join(include, 'linux/bpf.h')) || !existsSync(versionFile)) {
  console.log(
    `gen-bpf-constants: skipped the headers: no ${join(include, 'linux/bpf.h')} (Debian: apt-get install linux-libc-dev)`,
  );
} else {
  const code = Number(/LINUX_VERSION_CODE (\d+)/.exec(readFileSync(versionFile, 'utf8'))?.[1]);
  const version = `${code >> 16}.${(code >> 8) & 255}`;
  const headers = {
    'bpf.h': readHeader(join(include, 'linux/bpf.h')),
    'perf_event.h': readHeader(join(include, 'linux/perf_event.h')),
  };
  const texts = {
    constants: constantsText(version, headers),
    helpers: helpersText(version, helperNames(headers['bpf.h'].text)),
  };
  if (!check) {
    for (const [name, path] of Object.entries(outputs)) writeFileSync(path, texts[name]);
  } else if (readFileSync(outputs.constants, 'utf8').includes(`of Linux ${version};`)) {
    for (const [name, path] of Object.entries(outputs)) {
      if (readFileSync(path, 'utf8') !== texts[name])
        problems.push(`${path} differs from the headers; run node tools/gen-bpf-constants.mjs`);
    }
  } else {
    // Headers of another kernel have more names or fewer; those in both must agree.
    const written = writtenValues();
    for (const header of Object.values(headers)) {
      for (const [key, value] of header.names) {
        if (written.has(key) && written.get(key) !== value)
          problems.push(`${key} is ${written.get(key)}, in the headers of ${version} ${value}`);
      }
    }
  }
}

if (check) {
  if (!existsSync('/sys/kernel/btf/vmlinux')) {
    console.log('gen-bpf-constants: skipped the running kernel: no /sys/kernel/btf/vmlinux');
  } else {
    const kernel = btfEnumerators(readFileSync('/sys/kernel/btf/vmlinux'));
    let compared = 0;
    for (const [key, value] of writtenValues()) {
      if (!kernel.has(key)) continue;
      compared++;
      if (BigInt.asIntN(32, kernel.get(key)) !== BigInt.asIntN(32, value))
        problems.push(`${key} is ${value}, in the running kernel ${kernel.get(key)}`);
    }
    console.log(`gen-bpf-constants: ${compared} values compared with the running kernel`);
  }
}
for (const problem of problems) console.error(`gen-bpf-constants: ${problem}`);
process.exitCode = problems.length > 0 ? 1 : 0;

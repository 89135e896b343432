import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { TracepointFormat } from '../../target/target.ts';
import { describe, sizeOf } from '../../types/layout.ts';
import { pointerTo, type Type, uint8, uint32 } from '../../types/model.ts';
import type { TypeKeyword, TypeSource } from '../../types/source.ts';
import { openBtf } from '../btf/btf.ts';
import { parseTracepoint } from './tracepoint.ts';

const noTypes = (): undefined => undefined;

function parse(text: string, category: string, types: () => TypeSource | undefined = noTypes): TracepointFormat {
  const result = parseTracepoint(text, category, types);
  if (!result.ok) throw result.error;
  return result.value;
}

const withFields = (...fields: string[]): string =>
  `name: some\nID: 7\nformat:\n${fields.map((field) => `\tfield:${field}\n`).join('')}\nprint fmt: "field:x y; %d", REC->x\n`;

const typeOf = (field: string, category = 'sched', types: () => TypeSource | undefined = noTypes): string => {
  const first = parse(withFields(field), category, types).fields[0];
  assert.ok(first !== undefined);
  return `${first.dataLoc ? `loc${first.relative ? '+' : ''} ` : ''}${describe(first.type)} ${first.name}@${first.offset}`;
};

/** Types from a table, and what was asked for. */
function table(entries: Readonly<Record<string, Type>>): { source: () => TypeSource; asked: string[] } {
  const asked: string[] = [];
  const source: TypeSource = {
    find(keyword: TypeKeyword, name: string) {
      asked.push(`${keyword} ${name}`);
      return entries[`${keyword} ${name}`];
    },
    findEnumerator: noTypes,
    findFunction: noTypes,
    names: () => [],
  };
  return { source: () => source, asked };
}

// cat /sys/kernel/tracing/events/syscalls/sys_enter_setsockopt/format on Linux 6.18
const setsockopt = `name: sys_enter_setsockopt
ID: 2220
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:unsigned char common_flags;	offset:2;	size:1;	signed:0;
	field:unsigned char common_preempt_count;	offset:3;	size:1;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:int __syscall_nr;	offset:8;	size:4;	signed:1;
	field:int fd;	offset:16;	size:8;	signed:0;
	field:int level;	offset:24;	size:8;	signed:0;
	field:int optname;	offset:32;	size:8;	signed:0;
	field:char * optval;	offset:40;	size:8;	signed:0;
	field:int optlen;	offset:48;	size:8;	signed:0;

print fmt: "fd: 0x%08lx, level: 0x%08lx", ((unsigned long)(REC->fd)), ((unsigned long)(REC->level))
`;

test('a system call: size and sign of the file win over the C type', () => {
  const format = parse(setsockopt, 'syscalls');
  assert.deepEqual([format.id, format.category, format.event], [2220, 'syscalls', 'sys_enter_setsockopt']);
  // bpftrace 0.27.1 -d types says the same of fd, optval and __syscall_nr.
  assert.deepEqual(
    format.fields.map((field) => `${describe(field.type)} ${field.name}@${field.offset}`),
    [
      'uint16 common_type@0',
      'uint8 common_flags@2',
      'uint8 common_preempt_count@3',
      'int32 common_pid@4',
      'int32 __syscall_nr@8',
      'uint64 fd@16',
      'uint64 level@24',
      'uint64 optname@32',
      'uint8 * optval@40',
      'uint64 optlen@48',
    ],
  );
  const optval = format.fields[8];
  assert.ok(optval?.type.kind === 'pointer');
  assert.equal(optval.type.space, 'user');
  assert.equal(optval.declaration, 'char * optval');
});

test('integers, text, arrays, booleans', () => {
  assert.equal(typeOf('pid_t prev_pid;	offset:24;	size:4;	signed:1;'), 'int32 prev_pid@24');
  assert.equal(typeOf('umode_t mode;	offset:40;	size:8;	signed:0;', 'syscalls'), 'uint64 mode@40');
  assert.equal(typeOf('unsigned long long a;	offset:8;	size:8;	signed:0;'), 'uint64 a@8');
  assert.equal(typeOf('const size_t size;	offset:8;	size:8;	signed:0;'), 'uint64 size@8');
  assert.equal(typeOf('unsigned flags;	offset:8;	size:4;	signed:0;'), 'uint32 flags@8');
  assert.equal(typeOf('char prev_comm[16];	offset:8;	size:16;	signed:0;'), 'int8[16] prev_comm@8');
  assert.equal(typeOf('unsigned char addr[6];	offset:16;	size:6;	signed:0;'), 'uint8[6] addr@16');
  assert.equal(typeOf('__u8 saddr[28];	offset:8;	size:28;	signed:0;'), 'uint8[28] saddr@8');
  assert.equal(typeOf('unsigned long args[6];	offset:16;	size:48;	signed:0;'), 'uint64[6] args@16');
  assert.equal(typeOf('long sysctl_mem[3];	offset:8;	size:24;	signed:1;'), 'int64[3] sysctl_mem@8');
  assert.equal(typeOf('uint32_t w[2][3];	offset:8;	size:24;	signed:0;'), 'uint32[2][3] w@8');
  assert.equal(typeOf('bool group_dead;	offset:32;	size:1;	signed:0;'), 'bool group_dead@32');
  assert.equal(typeOf('bool b;	offset:32;	size:8;	signed:0;', 'syscalls'), 'uint64 b@32');
  assert.equal(typeOf('char buf[];	offset:16;	size:0;	signed:0;'), 'int8[] buf@16');
  // Kernels before 5.17 print the macro's name.
  assert.equal(typeOf('char comm[TASK_COMM_LEN];	offset:8;	size:16;	signed:1;'), 'int8[16] comm@8');
});

test('pointers: spaces, qualifiers, levels, functions', () => {
  const spaceOf = (field: string, category: string): string => {
    const type = parse(withFields(field), category).fields[0]?.type;
    assert.ok(type?.kind === 'pointer');
    const to = type.to();
    return to.kind === 'pointer' ? `${type.space} ${to.space}` : type.space;
  };
  assert.equal(typeOf('const char *const * argv;	offset:24;	size:8;	signed:0;', 'syscalls'), 'uint8 ** argv@24');
  assert.equal(spaceOf('const char *const * argv;	offset:24;	size:8;	signed:0;', 'syscalls'), 'user user');
  assert.equal(spaceOf('struct page ** p;	offset:24;	size:8;	signed:0;', 'mm'), 'kernel kernel');
  assert.equal(spaceOf('const void __user * p;	offset:24;	size:8;	signed:0;', 'mm'), 'user');
  assert.equal(typeOf('void __seg_gs * ptr;	offset:56;	size:8;	signed:0;'), 'void * ptr@56');
  assert.equal(
    typeOf('const struct landlock_ruleset_attr *const attr;	offset:16;	size:8;	signed:0;'),
    'struct landlock_ruleset_attr * attr@16',
  );
  assert.equal(typeOf('void (*func)(void *, int);	offset:16;	size:8;	signed:0;'), 'void * func@16');
});

test('data that the record holds elsewhere', () => {
  assert.equal(typeOf('__data_loc char[] filename;	offset:8;	size:4;	signed:0;'), 'loc int8[] filename@8');
  assert.equal(typeOf('__rel_loc char[] name;	offset:8;	size:4;	signed:1;'), 'loc+ int8[] name@8');
  assert.equal(typeOf('__data_loc unsigned int[] x;	offset:8;	size:4;	signed:0;'), 'loc uint32[] x@8');
  assert.equal(typeOf('__data_loc u64[] addrs;	offset:8;	size:4;	signed:0;'), 'loc uint64[] addrs@8');
  assert.equal(typeOf('__data_loc cpumask_t cpumask;	offset:8;	size:4;	signed:0;'), 'loc uint64[] cpumask@8');
});

test("the kernel's types are asked for by name, and only when needed", () => {
  const sockaddr: Type = { kind: 'struct', name: 'sockaddr', size: 16, fields: () => [] };
  const reason: Type = { kind: 'enum', name: 'skb_drop_reason', size: 4, signed: false, members: [] };
  const mask: Type = { kind: 'struct', name: '', size: 8, fields: () => [] };
  const { source, asked } = table({
    'struct sockaddr': sockaddr,
    'enum skb_drop_reason': reason,
    'typedef header_t': pointerTo(sockaddr, 'kernel'),
    'typedef nodemask_t': mask,
    'typedef my_t': uint32,
  });
  const format = parse(withFields('struct sockaddr * addr;	offset:24;	size:8;	signed:0;'), 'syscalls', source);
  const type = format.fields[0]?.type;
  assert.deepEqual(asked, []);
  assert.ok(type?.kind === 'pointer');
  assert.equal(type.to(), sockaddr);
  assert.deepEqual(asked, ['struct sockaddr']);
  assert.equal(
    typeOf('enum skb_drop_reason reason;	offset:36;	size:4;	signed:0;', 'skb', source),
    'enum skb_drop_reason reason@36',
  );
  assert.equal(
    typeOf('enum skb_drop_reason reason;	offset:36;	size:8;	signed:0;', 'syscalls', source),
    'uint64 reason@36',
  );
  assert.equal(typeOf('nodemask_t m;	offset:8;	size:8;	signed:0;', 'mm', source), 'struct {…} m@8');
  assert.equal(typeOf('my_t m;	offset:8;	size:4;	signed:1;', 'mm', source), 'int32 m@8');
  assert.equal(typeOf('unheard_t m;	offset:8;	size:2;	signed:0;', 'mm', source), 'uint16 m@8');
  assert.equal(typeOf('unheard_t m;	offset:8;	size:24;	signed:0;', 'mm', source), 'uint8[24] m@8');
  const header = parse(withFields('header_t h;	offset:16;	size:8;	signed:0;'), 'syscalls', source).fields[0]?.type;
  assert.ok(header?.kind === 'pointer');
  assert.equal(header.space, 'user');
});

test('text that is no format is refused', () => {
  for (const text of [
    '',
    'name: x\n',
    'ID: 4\n',
    'name: x\nID: y\n',
    'name: x\nID: 1\nformat:\n\tfield:int x;\toffset:y;\n',
  ]) {
    const result = parseTracepoint(text, 'c', noTypes);
    assert.ok(!result.ok && result.error.code === 'E_TRACEPOINT_FORMAT', JSON.stringify(text));
  }
});

test('all tracepoints of this kernel', (t) => {
  const root = '/sys/kernel/tracing';
  if (!existsSync(`${root}/events`)) {
    try {
      execFileSync('mount', ['-t', 'tracefs', 'none', root], { stdio: 'pipe' });
    } catch (error) {
      return t.skip(`tracefs is not mounted and cannot be: ${(error as Error).message.trim()}`);
    }
  }
  const bytes = existsSync('/sys/kernel/btf/vmlinux') ? readFileSync('/sys/kernel/btf/vmlinux') : undefined;
  const opened = bytes === undefined ? undefined : openBtf(bytes);
  const types = opened?.ok === true ? opened.value : undefined;
  const wrong: string[] = [];
  let events = 0;
  let fields = 0;
  for (const category of readdirSync(`${root}/events`, { withFileTypes: true })) {
    if (!category.isDirectory()) continue;
    for (const event of readdirSync(`${root}/events/${category.name}`, { withFileTypes: true })) {
      const path = `${root}/events/${category.name}/${event.name}/format`;
      if (!event.isDirectory() || !existsSync(path)) continue;
      const text = readFileSync(path, 'latin1');
      const format = parse(text, category.name, () => types);
      const lines = text.split('print fmt:')[0]?.match(/field:.*;/g) ?? [];
      events++;
      fields += lines.length;
      if (format.fields.length !== lines.length) wrong.push(`${path}: ${format.fields.length} fields`);
      for (const [index, field] of format.fields.entries()) {
        const size = Number(/size:(\d+);/.exec(lines[index] ?? '')?.[1]);
        const own = field.dataLoc ? 4 : sizeOf(field.type);
        if (own !== size) wrong.push(`${category.name}:${event.name} ${field.declaration}: ${own}, not ${size}`);
        if (field.declaration.includes('*') !== (field.type.kind === 'pointer') && !/_t\b/.test(field.declaration)) {
          wrong.push(`${category.name}:${event.name} ${field.declaration}: ${describe(field.type)}`);
        }
      }
    }
  }
  assert.deepEqual(wrong.slice(0, 10), []);
  assert.ok(events > 500, `${events} tracepoints`);
  t.diagnostic(`${events} tracepoints, ${fields} fields`);
});

test('a char scalar is what the file says', () => {
  assert.deepEqual(parse(withFields('char status;	offset:40;	size:1;	signed:0;'), 'ext4').fields[0]?.type, uint8);
});

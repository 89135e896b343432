/**
 * A small machine for compiler tests and golden files: the same everywhere. Formats are
 * those of Linux 6.18 (without their print fmt), types and constants those of the uapi
 * headers.
 */
import { parseTracepoint } from '../src/debuginfo/text/tracepoint.ts';
import { createFixedTarget, type FixedTargetData } from '../src/target/fixed.ts';
import type { Target } from '../src/target/target.ts';
import {
  type ArrayType,
  int8,
  int32,
  int64,
  pointerTo,
  type Type,
  uint8,
  uint16,
  uint32,
  uint64,
} from '../src/types/model.ts';
import type { TypeSource } from '../src/types/source.ts';
import { layOut, typeTable } from '../src/types/table.ts';

const common = `format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;
`;

const format = (name: string, id: number, fields: readonly string[]): string =>
  `name: ${name}\nID: ${id}\n${common}\n${fields.map((field) => `\tfield:${field}\n`).join('')}`;

const formats: Readonly<Record<string, string>> = {
  'syscalls:sys_enter_setsockopt': format('sys_enter_setsockopt', 2220, [
    'int __syscall_nr; offset:8; size:4; signed:1;',
    'int fd; offset:16; size:8; signed:0;',
    'int level; offset:24; size:8; signed:0;',
    'int optname; offset:32; size:8; signed:0;',
    'char * optval; offset:40; size:8; signed:0;',
    'int optlen; offset:48; size:8; signed:0;',
  ]),
  'syscalls:sys_enter_bind': format('sys_enter_bind', 2238, [
    'int __syscall_nr; offset:8; size:4; signed:1;',
    'int fd; offset:16; size:8; signed:0;',
    'struct sockaddr * umyaddr; offset:24; size:8; signed:0;',
    'int addrlen; offset:32; size:8; signed:0;',
  ]),
  'syscalls:sys_enter_accept4': format('sys_enter_accept4', 2234, [
    'int __syscall_nr; offset:8; size:4; signed:1;',
    'int fd; offset:16; size:8; signed:0;',
    'struct sockaddr * upeer_sockaddr; offset:24; size:8; signed:0;',
    'int * upeer_addrlen; offset:32; size:8; signed:0;',
    'int flags; offset:40; size:8; signed:0;',
  ]),
  'syscalls:sys_exit_accept4': format('sys_exit_accept4', 2233, [
    'int __syscall_nr; offset:8; size:4; signed:1;',
    'long ret; offset:16; size:8; signed:1;',
  ]),
  'syscalls:sys_enter_openat': format('sys_enter_openat', 782, [
    'int __syscall_nr; offset:8; size:4; signed:1;',
    'int dfd; offset:16; size:8; signed:0;',
    'const char * filename; offset:24; size:8; signed:0;',
    'int flags; offset:32; size:8; signed:0;',
    'umode_t mode; offset:40; size:8; signed:0;',
  ]),
  'syscalls:sys_exit_openat': format('sys_exit_openat', 781, [
    'int __syscall_nr; offset:8; size:4; signed:1;',
    'long ret; offset:16; size:8; signed:1;',
  ]),
  'syscalls:sys_enter_execve': format('sys_enter_execve', 862, [
    'int __syscall_nr; offset:8; size:4; signed:1;',
    'const char * filename; offset:16; size:8; signed:0;',
    'const char *const * argv; offset:24; size:8; signed:0;',
    'const char *const * envp; offset:32; size:8; signed:0;',
  ]),
  'syscalls:sys_enter_read': format('sys_enter_read', 842, [
    'int __syscall_nr; offset:8; size:4; signed:1;',
    'unsigned int fd; offset:16; size:8; signed:0;',
    'char * buf; offset:24; size:8; signed:0;',
    'size_t count; offset:32; size:8; signed:0;',
  ]),
  'syscalls:sys_exit_read': format('sys_exit_read', 841, [
    'int __syscall_nr; offset:8; size:4; signed:1;',
    'long ret; offset:16; size:8; signed:1;',
  ]),
  'raw_syscalls:sys_enter': format('sys_enter', 443, [
    'long id; offset:8; size:8; signed:1;',
    'unsigned long args[6]; offset:16; size:48; signed:0;',
  ]),
  'sched:sched_switch': format('sched_switch', 372, [
    'char prev_comm[16]; offset:8; size:16; signed:0;',
    'pid_t prev_pid; offset:24; size:4; signed:1;',
    'int prev_prio; offset:28; size:4; signed:1;',
    'long prev_state; offset:32; size:8; signed:1;',
    'char next_comm[16]; offset:40; size:16; signed:0;',
    'pid_t next_pid; offset:56; size:4; signed:1;',
    'int next_prio; offset:60; size:4; signed:1;',
  ]),
  'sched:sched_process_exec': format('sched_process_exec', 365, [
    '__data_loc char[] filename; offset:8; size:4; signed:0;',
    'pid_t pid; offset:12; size:4; signed:1;',
    'pid_t old_pid; offset:16; size:4; signed:1;',
  ]),
};

const array = (of: Type, length: number): ArrayType => ({ kind: 'array', of, length });

const inAddress = layOut('struct', 'in_addr', [['s_addr', uint32]]);
const in6Union = layOut('union', '', [
  ['u6_addr8', array(uint8, 16)],
  ['u6_addr16', array(uint16, 8)],
  ['u6_addr32', array(uint32, 4)],
]);
const in6Address = layOut('struct', 'in6_addr', [['in6_u', in6Union]]);
const namespace = layOut('struct', 'nsproxy', [['count', int32]]);
const task = layOut('struct', 'task_struct', [
  ['flags', uint32],
  ['pid', int32],
  ['tgid', int32],
  ['real_parent', pointerTo(() => task, 'kernel')],
  ['comm', array(int8, 16)],
  ['nsproxy', pointerTo(namespace, 'kernel')],
  ['utime', uint64],
]);

/** Socket addresses as linux/in.h and linux/in6.h have them, and a task_struct of a few members. */
export const sampleTypes: TypeSource = typeTable({
  types: [
    layOut('struct', 'sockaddr', [
      ['sa_family', uint16],
      ['sa_data', array(int8, 14)],
    ]),
    layOut('struct', 'sockaddr_in', [
      ['sin_family', uint16],
      ['sin_port', uint16],
      ['sin_addr', inAddress],
      ['__pad', array(uint8, 8)],
    ]),
    layOut('struct', 'sockaddr_in6', [
      ['sin6_family', uint16],
      ['sin6_port', uint16],
      ['sin6_flowinfo', uint32],
      ['sin6_addr', in6Address],
      ['sin6_scope_id', uint32],
    ]),
    inAddress,
    in6Address,
    namespace,
    task,
    {
      kind: 'enum',
      name: 'sample_state',
      size: 4,
      signed: false,
      members: [
        { name: 'SAMPLE_IDLE', value: 0n },
        { name: 'SAMPLE_BUSY', value: 2n },
      ],
    },
  ],
  typedefs: { char: uint8, int: int32, pid_t: int32, uid_t: uint32, size_t: uint64, ssize_t: int64, u64: uint64 },
});

/** Include anything else, or other values, through `data`. */
export function sampleTarget(data: FixedTargetData = {}): Target {
  return createFixedTarget({
    types: sampleTypes,
    formats,
    parseFormat: parseTracepoint,
    constants: { AF_UNSPEC: 0n, AF_UNIX: 1n, AF_INET: 2n, AF_INET6: 10n, SOL_SOCKET: 1n, O_RDONLY: 0n, O_CREAT: 64n },
    kernelSymbols: { vfs_read: 0xffffffff81234560n, vfs_write: 0xffffffff81234890n, jiffies: 0xffffffff82000000n },
    headers: { 'linux/types.h': 'typedef unsigned int sample_u32;\n' },
    binaries: {
      '/usr/bin/sample': {
        functions: [
          { name: 'main', address: 0x1139, size: 64 },
          { name: 'read_line', address: 0x1180, size: 32 },
          { name: '_ZN6Server5startEi', demangled: 'Server::start(int)', address: 0x11a0, size: 48 },
          { name: '_ZN6Server4stopEv', demangled: 'Server::stop()', address: 0x11d0, size: 16 },
        ],
        objects: { counter: { address: 0x4010, size: 4 } },
        segments: [{ address: 0x1000, offset: 0x800, size: 0x400 }],
        buildId: '00112233445566778899aabbccddeeff00112233',
      },
      '/usr/bin/bare': { stripped: true, buildId: 'ffeeddccbbaa99887766554433221100ffeeddcc', version: 'bare 1.2' },
    },
    pids: [1, 1234],
    ...data,
  });
}

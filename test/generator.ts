/**
 * Random well-typed programs of the tracing language, from a seed: for the promise that
 * what the checker accepts the verifier accepts. Covers what the language has so far;
 * widen it with the language.
 */
import { ScriptWriter } from './writer.ts';

type Kind =
  | 'int'
  | 'bool'
  | 'string'
  | 'tuple'
  | 'pointer'
  | 'object'
  | 'part'
  | 'stack'
  | 'inet'
  | 'symbol'
  | 'buffer';

/** What may stand in a map's key; a pair is two places of it. */
type KeyKind = 'int' | 'string' | 'bool' | 'pair' | 'stack' | 'inet' | 'symbol' | 'buffer' | 'chars';

interface MapShape {
  readonly name: string;
  readonly keys: readonly KeyKind[];
  readonly value: Kind | 'count' | 'sum' | 'avg' | 'min' | 'max' | 'stats' | 'hist' | 'lhist';
}

/** What a probe gives to read. */
interface Head {
  readonly text: string;
  readonly integers: readonly string[];
  readonly pointers: readonly string[];
  readonly strings: readonly string[];
}

const none = { integers: [], pointers: [], strings: [] };
const registers = {
  integers: ['arg0', 'arg1', '(int32)arg2', 'arg5', 'reg("ip")', 'reg("sp")', '*(uint64 *)(reg("sp") + 8)'],
  pointers: ['(uint8 *)arg0', '(uint8 *)arg1'],
  strings: ['str(arg0)', 'str(arg1, 20)'],
};

/** Probes that every kernel here can load. */
const heads: readonly Head[] = [
  { ...none, text: 'BEGIN' },
  { ...none, text: 'END' },
  { ...none, text: 'interval:s:1' },
  { ...none, text: 'software:page-faults:100' },
  { ...none, text: 'BEGIN, interval:ms:100' },
  {
    text: 'tracepoint:syscalls:sys_enter_setsockopt',
    integers: ['args.fd', 'args->optname', 'args.level', 'args.optlen', '*(int32 *)args.optval', '*args.optval'],
    pointers: ['(uint8 *)args.optval'],
    strings: ['str(args.optval)', 'str(args.optval, args.optlen)'],
  },
  {
    text: 'tracepoint:syscalls:sys_enter_bind',
    integers: [
      'args.fd',
      '((struct sockaddr *)args.umyaddr)->sa_family',
      '((struct sockaddr_in *)args.umyaddr)->sin_port >> 8',
      '((struct sockaddr_in *)args.umyaddr)->sin_addr.s_addr',
      '((struct sockaddr_in6 *)args.umyaddr)->sin6_addr.in6_u.u6_addr8[3]',
      'args.umyaddr->sa_family',
    ],
    pointers: ['(uint8 *)args.umyaddr'],
    strings: ['str((uint8 *)args.umyaddr, 8)'],
  },
  { ...none, text: 'tracepoint:syscalls:sys_exit_accept4', integers: ['args.ret', 'args->ret'] },
  { ...none, text: 'tracepoint:syscalls:sys_exit_accept*', integers: ['args.ret'] },
  {
    ...none,
    text: 'tracepoint:sched:sched_switch',
    integers: ['args.prev_pid', 'args.next_prio', 'args.prev_state'],
    strings: ['args.prev_comm', 'args.next_comm'],
  },
  { ...none, text: 'tracepoint:sched:sched_process_exec', integers: ['args.old_pid'], strings: ['args.filename'] },
  { ...none, text: 'tracepoint:raw_syscalls:sys_enter', integers: ['args.id', 'args.args[2]', 'args.args[cpu & 3]'] },
  { ...registers, text: 'uprobe:libc:setsockopt' },
  { ...registers, text: 'uprobe:libc:connect, uprobe:libc:bind' },
  {
    text: 'uretprobe:libc:accept4',
    integers: ['retval', '(int32)retval'],
    pointers: ['(uint8 *)retval'],
    strings: ['str(retval)', 'str(retval, 9)'],
  },
];

/** Declarations that a script may begin with, for its objects. */
const preamble = `#include <linux/in.h>
#define LIMIT 17
#define WIDE (1 << 40)
enum shape { ROUND = 3, FLAT, DEEP = -5 };
struct inner { char name[12]; short s; unsigned char bytes[8]; };
union number { int i; char c[4]; long l; struct { short low, high; }; };
struct outer {
  int a; struct inner in; struct inner list[3]; union number u; struct outer *next;
  unsigned flag : 3; int wide : 20; long grid[2][3]; const char *text; enum shape shape; unsigned char raw[16];
};
`;

export class ProgramGenerator extends ScriptWriter<MapShape, Kind> {
  #head: Head = heads[0] as Head;
  #objects = false;

  /** A whole script. */
  script(): string {
    const values: MapShape['value'][] = [
      'int',
      'int',
      'bool',
      'string',
      'tuple',
      'count',
      'sum',
      'avg',
      'min',
      'max',
      'stats',
      'hist',
      'lhist',
      'pointer',
      'stack',
      'inet',
      'symbol',
      'buffer',
    ];
    this.#objects = this.chance(0.6);
    if (this.#objects) values.push('object', 'part');
    const keys: KeyKind[] = [
      'int',
      'int',
      'int',
      'string',
      'string',
      'bool',
      'pair',
      'stack',
      'inet',
      'symbol',
      'buffer',
    ];
    if (this.#objects) keys.push('chars');
    this.maps = Array.from({ length: 2 + this.int(5) }, (_, i) => ({
      name: `@m${i}`,
      keys: Array.from({ length: this.int(4) }, () => this.pick(keys)),
      value: this.pick(values),
    }));
    const blocks = Array.from({ length: 1 + this.int(2) }, () => this.#block());
    // Every map gets its type somewhere.
    this.#head = heads[0] as Head;
    this.scopes = [[]];
    const shapes = this.maps;
    this.maps = [];
    const seeds = shapes.map((map) => this.#assignMap(map, '=')).join(' ');
    const ties = this.chance(0.3) ? ' @self = @self + 1; @best = @best < 5 ? @best + 2 : 0;' : '';
    return `${this.#objects ? preamble : ''}BEGIN { ${seeds}${ties} }\n${blocks.join('\n')}\n`;
  }

  #block(): string {
    this.#head = this.pick(heads);
    this.startBlock();
    const predicate = this.chance(0.3) ? ` / ${this.condition(2)} /` : '';
    const body = this.statements(1 + this.int(8), 0);
    return `${this.#head.text}${predicate} {\n${body}\n}`;
  }

  protected override statement(depth: number): string {
    this.budget--;
    const deep = depth >= 3 || this.budget < 0;
    const choice = this.int(deep ? 11 : 21);
    switch (choice) {
      case 0:
      case 1:
      case 2:
        return this.assignVariable();
      case 3:
      case 4:
        return this.#assignMap(this.pick(this.maps));
      case 5:
        return this.#printf();
      case 6:
        return this.step('int');
      case 7:
        return this.#mapCall();
      case 8:
        return this.#print();
      case 9:
        return this.pick(['time("%H:%M\\n");', 'time();', 'if (cpu > 900) { exit(); }', 'if (pid == 1) { return; }']);
      case 10:
        return this.chance(0.5)
          ? `1 < 2 ? ${this.#printf().slice(0, -1)} : print(${this.integer(1)});`
          : `join(${this.pointer(0)}); // of what may be no array of strings`;
      case 11:
      case 12:
        return this.branch(depth);
      case 13:
        return `unroll(${1 + this.int(4)}) ${this.nested(depth)}`;
      case 14:
        return this.whileLoop(depth);
      case 15: {
        const maps = this.maps.filter((map) => map.keys.length > 0 && ['int', 'string', 'bool'].includes(map.value));
        if (this.loops >= 1 || maps.length === 0) return this.assignVariable();
        const name = `$kv${this.names++}`;
        this.loops += 2;
        const inner = this.nested(depth);
        this.loops -= 2;
        return `for (${name} : ${this.pick(maps).name}) { print(${name}.1); print(${name}.0); ${inner.slice(1)}`;
      }
      case 16: {
        const name = `$v${this.names++}`;
        this.scopes.push([]);
        const inner = this.statements(1 + this.int(3), depth + 1);
        const value = this.integer(1);
        this.scopes.pop();
        this.scopes.at(-1)?.push({ name, kind: 'int', shape: 'int' });
        return `${name} = {\n${inner}\n  ${value} };`;
      }
      case 17: {
        const map = this.pick(this.maps);
        return map.keys.length === 0 ? this.step('int') : `if (has_key(${this.key(map)})) ${this.nested(depth)}`;
      }
      case 18:
        return this.nested(depth);
      default:
        return this.rangeLoop(depth, 'int');
    }
  }

  protected override assignVariable(): string {
    const kinds: Kind[] = ['int', 'int', 'int', 'int', 'string', 'string', 'bool', 'tuple', 'pointer', 'stack', 'inet'];
    kinds.push('symbol', 'buffer');
    if (this.#objects) kinds.push('object', 'object', 'part');
    const kind = this.pick(kinds);
    const value = this.value(kind, 3);
    const known = this.variables(kind);
    if (known.length > 0 && this.chance(0.5)) return this.changeVariable(known, kind, value);
    const name = `$v${this.names++}`;
    this.scopes.at(-1)?.push({ name, kind, shape: kind });
    if (kind === 'int' && this.chance(0.1)) return `let ${name}: int64 = (int64)${value};`;
    if (kind !== 'part' && this.chance(0.1)) return `let ${name}; ${name} = ${value};`;
    return this.chance(0.2) ? `let ${name} = ${value};` : `${name} = ${value};`;
  }

  protected override key(map: MapShape): string {
    if (map.keys.length === 0) return map.name;
    return `${map.name}[${map.keys.map((kind) => this.#keyPart(kind)).join(', ')}]`;
  }

  #keyPart(kind: KeyKind): string {
    switch (kind) {
      case 'pair':
        return `(${this.integer(1)}, ${this.string(1)})`;
      case 'chars':
        return `${this.#object(1)}->${this.pick(['in.name', 'list[1].name', 'list[cpu % 3].name'])}`;
      default:
        return this.value(kind, 1);
    }
  }

  #assignMap(map: MapShape, operator?: '='): string {
    const target = this.key(map);
    const aggregation = this.aggregation(map, target);
    if (aggregation !== undefined) return aggregation;
    switch (map.value) {
      case 'int':
        if (operator === undefined && this.chance(0.3))
          return `${target} ${this.pick(['+=', '-=', '*=', '&=', '|=', '^='])} ${this.integer(2)};`;
        return `${target} = ${this.chance(0.2) ? `${target} + ` : ''}${this.integer(3)};`;
      default:
        return `${target} = ${this.value(map.value as Kind, 2)};`;
    }
  }

  #mapCall(): string {
    const map = this.pick(this.maps);
    const choice = this.int(6);
    const kept = ['tuple', 'string', 'part', 'stack', 'inet', 'symbol', 'buffer'].includes(map.value);
    if (choice === 4 && map.keys.length === 1) return `delete(${map.name}, ${this.#keyPart(map.keys[0] as KeyKind)});`;
    if (choice === 5 && !kept) return `print(${map.name}, ${1 + this.int(5)}${this.chance(0.5) ? ', 10' : ''});`;
    if (choice === 0) return `clear(${map.name});`;
    if (choice === 1 && !kept) return `zero(${map.name});`;
    if (choice === 2) return `print(${map.name});`;
    return `delete(${this.key(map)});`;
  }

  #print(): string {
    return `print(${this.value(this.pick(['int', 'string', 'bool', 'tuple', 'pointer', 'stack', 'inet', 'symbol', 'buffer'] as const), 2)});`;
  }

  #printf(): string {
    return this.printfOf([
      () => [this.pick(['%s', '%-16s', '%.3s', '%20.8s', '%-5s|']), this.string(2)],
      () => [
        '%s',
        this.pick([
          'ustack',
          'kstack',
          'ustack(5)',
          'usym(0x1000)',
          'ntop(0x100007f)',
          'strftime("%H", nsecs)',
          'kstack(perf, 3)',
          'ksym(0xffffffff81000000)',
          'probe',
          'comm',
          'pton("::1")',
          this.value('inet', 1),
          this.value('symbol', 1),
          this.value('stack', 1),
          this.comparison(1),
        ]),
      ],
      () => [this.pick(['%r', '%rx', '%rh']), `buf(${this.pointer(1)}, ${1 + this.int(40)})`],
      () => [this.#conversion(), this.integer(3)],
    ]);
  }

  /** One of C's conversions of integers. */
  #conversion(): string {
    if (this.chance(0.1)) return this.pick(['%c', '%p', '%%%d', '%5c', '%-18p']);
    const flags = this.pick(['', '', '-', '+', ' ', '#', '0', '-#', '+0']);
    const width = this.chance(0.4) ? String(1 + this.int(12)) : '';
    const precision = this.chance(0.2) ? `.${this.int(9)}` : '';
    return `%${flags}${width}${precision}${this.pick(['', '', 'hh', 'h', 'l', 'll', 'z', 'j'])}${this.pick(['d', 'i', 'u', 'x', 'X', 'o'])}`;
  }

  protected override value(kind: Kind, depth: number): string {
    const known = this.variables(kind);
    if (known.length > 0 && kind !== 'int' && this.chance(0.3)) return this.pick(known);
    switch (kind) {
      case 'object':
        return this.#object(depth);
      case 'part':
        return `${this.#object(depth - 1)}->${this.pick(['in', 'list[0]', 'list[2]'])}`;
      case 'stack':
        return 'ustack(4)';
      case 'inet':
        return this.pick([
          'ntop(0x100007f)',
          `ntop(${this.integer(1)})`,
          'ntop(AF_INET, 7)',
          `ntop(AF_INET6, pton("fe80::1"))`,
        ]);
      case 'symbol':
        return `usym(${this.integer(1)})`;
      case 'buffer':
        return `buf(${this.pointer(1)}, 8)`;
      default:
        return this.commonValue(kind, depth) ?? '0';
    }
  }

  protected override comparison(depth: number): string {
    if (this.chance(0.25)) return `${this.string(1)} ${this.pick(['==', '!='])} ${this.string(1)}`;
    return `${this.integer(depth - 1)} ${this.pick(['==', '!=', '<', '<=', '>', '>='])} ${this.integer(depth - 1)}`;
  }

  protected override integer(depth: number): string {
    const known = this.variables('int');
    if (depth <= 0 || this.chance(0.25)) {
      const options = [
        '0',
        '1',
        '42',
        '-7',
        '0xffffffff',
        '9223372036854775807',
        '1000000',
        'pid',
        'tid',
        'uid',
        'cpu',
        'nsecs',
        'elapsed',
        'rand',
      ];
      options.push('AF_INET6', 'SOL_SOCKET', '0777', '1e6', '100ms', 'sizeof(struct task_struct)', 'kaddr("schedule")');
      options.push(...this.#head.integers, ...this.#head.integers);
      if (this.#objects)
        options.push('LIMIT', 'WIDE', 'FLAT', 'DEEP', 'sizeof(struct outer)', 'offsetof(struct outer, u)');
      return known.length > 0 && this.chance(0.5) ? this.pick(known) : this.pick(options);
    }
    const choice = this.int(this.#objects ? 17 : 13);
    const common = this.commonInteger(choice, depth);
    if (common !== undefined) return common;
    switch (choice) {
      case 3:
        return `(${this.integer(depth - 1)} ${this.pick(['/', '%'])} ${this.chance(0.5) ? this.nonZero() : `(${this.integer(depth - 1)} | 1)`})`;
      case 11: {
        const maps = this.maps.filter((m) => m.keys.length > 0);
        return maps.length > 0 ? `(has_key(${this.key(this.pick(maps))}) ? 1 : 0)` : 'rand';
      }
      case 13:
      case 14:
        return this.#member(depth);
      case 15:
        return this.#member(depth - 1);
      case 16: {
        const parts = this.variables('part');
        if (parts.length === 0) return this.#member(0);
        return `${this.pick(parts)}.${this.pick(['s', 'bytes[3]', 'bytes[cpu & 7]'])}`;
      }
      default: {
        const tuples = this.variables('tuple');
        return tuples.length > 0 ? `${this.pick(tuples)}.${this.pick(['0', '2'])}` : 'tid';
      }
    }
  }

  /** A pointer to a struct outer. */
  #object(depth: number): string {
    const known = this.variables('object');
    if (known.length > 0 && this.chance(0.5)) return this.pick(known);
    if (depth > 0 && this.chance(0.3)) return `${this.#object(depth - 1)}->next`;
    const maps = this.maps.filter((map) => map.value === 'object');
    if (depth > 0 && maps.length > 0 && this.chance(0.3)) return this.key(this.pick(maps));
    return `((struct outer *)${this.pick(['curtask', 'tid', '(uint8 *)0xdead', ...this.#head.pointers])})`;
  }

  /** An integer in an object. */
  #member(depth: number): string {
    const object = this.#object(depth);
    const path = this.pick([
      'a',
      'in.s',
      'in.bytes[5]',
      'list[1].s',
      'list[cpu % 3].bytes[tid & 7]',
      'u.i',
      'u.l',
      'u.low',
      'next->a',
      'next->next->u.i',
      'flag',
      'wide',
      'grid[1][2]',
      'grid[cpu & 1][tid % 3]',
      'shape',
      'raw[9]',
    ]);
    return this.chance(0.2)
      ? `(*${object}).${path}`
      : this.chance(0.1)
        ? `(${object} + 1)->${path}`
        : `${object}->${path}`;
  }

  protected override pointer(_depth: number): string {
    const known = this.variables('pointer');
    if (known.length > 0 && this.chance(0.4)) return this.pick(known);
    return this.pick([
      '(uint8 *)curtask',
      '(uint8 *)0',
      '((uint8 *)curtask + 8)',
      '(uint8 *)0x7fff00000000',
      ...this.#head.pointers,
    ]);
  }

  protected override string(depth: number): string {
    const known = this.variables('string');
    if (known.length > 0 && this.chance(0.3)) return this.pick(known);
    const choice = this.int(depth > 0 ? 9 : 3);
    switch (choice) {
      case 7:
        if (this.#head.strings.length > 0) return this.pick(this.#head.strings);
        return `str(${this.string(0)}, ${this.chance(0.5) ? this.int(9) : 'cpu'})`;
      case 8: {
        if (!this.#objects) return 'str("literal", 3)';
        const parts = this.variables('part');
        if (parts.length > 0 && this.chance(0.5)) return `${this.pick(parts)}.name`;
        return `${this.#object(0)}->${this.pick(['in.name', 'list[2].name', 'list[cpu % 3].name', 'u.c', 'next->in.name'])}`;
      }
      default:
        return this.commonString(choice);
    }
  }
}

/**
 * Random programs over the newer half of the grammar: records, arrays and their casts,
 * addresses, macros, declared maps and variables, loops over maps, block expressions and
 * the builtins that have no probe of their own. generator.ts has the probes, the structs
 * and what they hold.
 */
import { ScriptWriter } from './writer.ts';

type Kind = 'int' | 'bool' | 'string' | 'tuple' | 'pointer' | 'record' | 'bytes' | 'stack';

interface MapShape {
  readonly name: string;
  readonly keys: readonly ('int' | 'string')[];
  readonly value: Kind | 'count' | 'sum' | 'avg' | 'min' | 'max' | 'stats' | 'hist' | 'lhist' | 'tseries';
  /** `let @m = kind(n);` */
  readonly declared?: string;
}

/** What every script begins with: declarations of its own, macros, a config block. */
const preamble = `config = { max_map_keys = 64; max_strlen = 128; unstable_tseries = enable }
#define ONE 1
enum colour { RED, GREEN = 5 };
struct pair { int a; short b; unsigned low:3; unsigned high:5; union { long whole; char parts[8]; }; int grid[2][3]; }
macro seven() { 7 }
macro twice(x) { let $x = x; $x + $x }
macro add(x, y) { x + y }
macro bump(@m, x) { @m += x; }
`;

/** Headers of probes that every kernel here can load; [text, has registers, has tracepoint args]. */
const heads: readonly (readonly [string, 'none' | 'registers' | 'setsockopt' | 'exit'])[] = [
  ['BEGIN', 'none'],
  ['END', 'none'],
  ['interval:s:1', 'none'],
  ['tracepoint:syscalls:sys_enter_setsockopt', 'setsockopt'],
  ['tracepoint:syscalls:sys_exit_accept4', 'exit'],
  ['software:page-faults:100', 'none'],
  ['profile:hz:9', 'none'],
  ['rawtracepoint:sched_switch', 'none'],
];

export class GrammarGenerator extends ScriptWriter<MapShape, Kind> {
  #context: (typeof heads)[number][1] = 'none';

  /** A whole script. */
  script(): string {
    const values: readonly MapShape['value'][] = [
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
      'tseries',
      'pointer',
      'record',
      'bytes',
      'stack',
    ];
    this.maps = Array.from({ length: 2 + this.int(5) }, (_, i) => ({
      name: `@m${i}`,
      keys: Array.from({ length: this.int(4) }, () => this.pick(['int', 'int', 'string'] as const)),
      value: this.pick(values),
    })).map((map) => this.#declared(map));
    const blocks = Array.from({ length: 1 + this.int(2) }, () => this.#block());
    // Every map gets its type somewhere.
    this.#context = 'none';
    this.scopes = [[]];
    const shapes = this.maps;
    this.maps = [];
    const seeds = shapes.map((map) => this.#assignMap(map, '=')).join(' ');
    const declarations = shapes.flatMap((map) =>
      map.declared === undefined ? [] : [`let ${map.name} = ${map.declared}(${1 + this.int(5000)});\n`],
    );
    return `${preamble}${declarations.join('')}BEGIN { $zero = 0; ${seeds} }\n${blocks.join('\n')}\n`;
  }

  /** Some maps with keys are declared. */
  #declared(map: MapShape): MapShape {
    if (map.keys.length === 0 || this.chance(0.7)) return map;
    const perCpu = !['int', 'bool', 'string', 'tuple', 'pointer', 'record', 'bytes', 'stack'].includes(map.value);
    return { ...map, declared: this.pick(perCpu ? ['percpuhash', 'percpulruhash'] : ['hash', 'lruhash']) };
  }

  #block(): string {
    const [head, context] = this.pick(heads);
    this.#context = context;
    this.startBlock();
    const predicate = this.chance(0.3) ? ` / ${this.condition(2).replaceAll('$zero', '0 *')} /` : '';
    const body = this.statements(1 + this.int(8), 0);
    return `${head}${predicate} {\n  $zero = 0;\n${body}\n}`;
  }

  protected override statement(depth: number): string {
    this.budget--;
    const deep = depth >= 3 || this.budget < 0;
    const choice = this.int(deep ? 11 : 18);
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
        return this.#effect();
      case 10:
        return this.#declare();
      case 11:
      case 12:
        return this.branch(depth);
      case 13:
        return `unroll(${1 + this.int(4)}) ${this.nested(depth)}`;
      case 14:
        return this.#overMap(depth);
      case 15:
        return `{\n${this.nested(depth).slice(2)}`;
      case 16:
        return this.whileLoop(depth);
      default:
        return this.rangeLoop(depth, 'int');
    }
  }

  /** `for ($kv : @m)` */
  #overMap(depth: number): string {
    const loopable = ['int', 'bool', 'string', 'tuple', 'pointer', 'count', 'sum', 'avg', 'min', 'max', 'record'];
    const maps = this.maps.filter((map) => map.keys.length > 0 && loopable.includes(map.value));
    if (this.loops >= 2 || maps.length === 0) return this.assignVariable();
    const map = this.pick(maps);
    const name = `$kv${this.names++}`;
    this.loops++;
    const inner = this.nested(depth);
    this.loops--;
    const use = this.pick([
      `print(${name});`,
      `print(${name}.0);`,
      `$kept${this.names} = ${name}.1;`,
      `if (${this.condition(1)}) { continue; }`,
      `delete(${map.name}, ${name}.0);`,
    ]);
    return `for (${name} : ${map.name}) { ${use} ${inner.slice(1)}`;
  }

  /** `let` with its type. */
  #declare(): string {
    const name = `$v${this.names++}`;
    const scope = this.scopes.at(-1);
    switch (this.int(5)) {
      case 0: {
        const type = this.pick(['int8', 'uint8', 'int16', 'uint16', 'int32', 'uint32', 'int64', 'uint64']);
        const value = this.integer(2);
        scope?.push({ name, kind: 'int', shape: 'fixed' });
        return `let ${name} : ${type} = (${type})(${value});`;
      }
      case 1:
        scope?.push({ name, kind: 'string', shape: 'fixed' });
        return `let ${name} : string[64] = "text";`;
      case 2: {
        const value = this.comparison(1);
        scope?.push({ name, kind: 'bool', shape: 'bool' });
        return `let ${name} : bool = ${value};`;
      }
      case 3: {
        const value = this.pointer(0);
        scope?.push({ name, kind: 'pointer', shape: 'pointer' });
        return `let ${name} : uint8 * = ${value};`;
      }
      default: {
        const value = this.integer(2);
        scope?.push({ name, kind: 'int', shape: 'int' });
        return `let ${name}; ${name} = ${value};`;
      }
    }
  }

  /** Statements that are for what they do. */
  #effect(): string {
    const scalars = this.maps.filter((map) => map.keys.length === 0 && map.value === 'int');
    return this.pick([
      `time("%H:%M:%S\\n");`,
      `cat("/proc/%d/comm", ${this.integer(1)});`,
      `warnf("value %d", ${this.integer(1)});`,
      `errorf("text %s", ${this.string(1)});`,
      `assert(${this.condition(1)}, "must hold");`,
      `assert_str(${this.string(1)});`,
      `static_assert(sizeof(uint32) == 4, "four bytes");`,
      `if (sizeof(int64) == 4) { fail("never"); }`,
      `unwatch(${this.pointer(0)});`,
      `_ = ${this.integer(1)};`,
      `if (${this.condition(1)}) { exit(); }`,
      `if (${this.condition(1)}) { return; }`,
      `join(${this.#context === 'setsockopt' ? 'args.optval' : '(uint64)0'});`,
      scalars.length > 0 ? `bump(${this.pick(scalars).name}, ${this.integer(1)});` : `@scratch += 1;`,
      `1 < ${this.integer(0)} ? printf("a\\n") : printf("b\\n");`,
    ]);
  }

  protected override assignVariable(): string {
    const kind = this.pick([
      'int',
      'int',
      'int',
      'string',
      'bool',
      'tuple',
      'pointer',
      'record',
      'bytes',
      'stack',
    ] as const);
    const value = this.value(kind, 3);
    const known = this.variables(kind);
    if (known.length > 0 && this.chance(0.5)) return this.changeVariable(known, kind, value);
    const name = `$v${this.names++}`;
    this.scopes.at(-1)?.push({ name, kind, shape: kind });
    return this.chance(0.2) ? `let ${name} = ${value};` : `${name} = ${value};`;
  }

  protected override key(map: MapShape): string {
    if (map.keys.length === 0) return map.name;
    return `${map.name}[${map.keys.map((k) => (k === 'int' ? this.integer(1) : this.string(1))).join(', ')}]`;
  }

  #assignMap(map: MapShape, operator?: '='): string {
    const target = this.key(map);
    const aggregation = this.aggregation(map, target);
    if (aggregation !== undefined) return aggregation;
    switch (map.value) {
      case 'tseries':
        return `${target} = tseries((int64)(${this.integer(2)}), 100ms, ${3 + (map.name.length % 3)}${map.name.length % 2 ? ', "max"' : ''});`;
      case 'int':
        if (operator === undefined && this.chance(0.3))
          return `${target} ${this.pick(['+=', '-=', '*=', '&=', '|=', '^='])} ${this.integer(2)};`;
        return `${target} = ${this.integer(3)};`;
      default:
        return `${target} = ${this.value(map.value as Kind, 2)};`;
    }
  }

  #mapCall(): string {
    const map = this.pick(this.maps);
    const choice = this.int(4);
    if (choice === 0) return `clear(${map.name});`;
    if (choice === 1 && !['string', 'tuple', 'record', 'bytes', 'stack'].includes(map.value))
      return `zero(${map.name});`;
    if (choice === 2) return `print(${map.name});`;
    return `delete(${this.key(map)});`;
  }

  #print(): string {
    const kinds = ['int', 'string', 'bool', 'tuple', 'pointer', 'record', 'bytes', 'stack'] as const;
    return `print(${this.value(this.pick(kinds), 2)});`;
  }

  #printf(): string {
    return this.printfOf([
      () => ['%s', this.string(2)],
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
          'ustack(raw, 2)',
          'username',
          'probe',
          'probetype',
          'strerror(2)',
          'signal_name(9)',
          'syscall_name(1)',
          'macaddr("abcdef")',
          'cgroup_path(cgroup)',
          'ksym(kaddr("schedule"))',
          'pton("::1")',
        ]),
      ],
      () => ['%r', `buf(${this.pointer(1)}, ${1 + this.int(40)})`],
      () => [this.pick(['%d', '%u', '%x', '%lld', '%-8d', '%08x', '%c', '%p']), this.integer(3)],
    ]);
  }

  protected override value(kind: Kind, depth: number): string {
    switch (kind) {
      case 'record':
        return `(a = ${this.integer(1)}, b = ${this.string(1)}, c = (${this.integer(1)}, ${this.#bool()}))`;
      case 'bytes':
        return this.pick(['pton("1.2.3.4")', `(uint8[4])(uint32)(${this.integer(1)})`, '(uint8[])(uint32)7']);
      case 'stack':
        return 'kstack(3)';
      default:
        return this.commonValue(kind, depth) ?? '0';
    }
  }

  #bool(): string {
    return this.pick(['true', 'false', `(${this.comparison(1)})`, `(bool)${this.integer(0)}`]);
  }

  protected override comparison(depth: number): string {
    if (this.chance(0.25)) return `${this.string(1)} ${this.pick(['==', '!=', '<', '>='])} ${this.string(1)}`;
    if (this.chance(0.1)) return this.#question();
    return `${this.integer(depth - 1)} ${this.pick(['==', '!=', '<', '<=', '>', '>='])} ${this.integer(depth - 1)}`;
  }

  /** Functions that answer yes or no. */
  #question(): string {
    const keyed = this.maps.filter((map) => map.keys.length > 0);
    const key = keyed.length > 0 ? this.pick(keyed) : undefined;
    return this.pick([
      `strcontains(${this.string(1)}, ${this.string(0)})`,
      `is_str(${this.string(0)})`,
      `is_integer(${this.integer(0)})`,
      `is_ptr(${this.pointer(0)})`,
      `is_err(${this.pointer(0)})`,
      'has_cpid',
      'typeinfo(pid).full_type == "uint32"',
      'kfunc_exist("bpf_task_from_pid")',
      key ? `has_key(${this.key(key)})` : 'is_literal(1)',
      key ? `delete(${this.key(key)})` : 'is_unsigned_integer(pid)',
    ]);
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
        'ppid',
        'gid',
        'numaid',
        'ncpus',
        'jiffies',
        'cgroup',
        'usermode',
        'leader_tid',
        'default_str_length()',
        'seven()',
        'ONE',
        '1e3',
        '5ms',
        'AF_INET',
      ];
      if (this.#context === 'setsockopt') options.push('args.fd', 'args->optname', 'args.level', 'args.optlen');
      if (this.#context === 'exit') options.push('args.ret');
      return known.length > 0 && this.chance(0.5) ? this.pick(known) : this.pick(options);
    }
    const choice = this.int(18);
    const common = this.commonInteger(choice, depth);
    if (common !== undefined) return common;
    switch (choice) {
      case 3:
        return `(${this.integer(depth - 1)} ${this.pick(['/', '%'])} ${this.chance(0.5) ? this.nonZero() : `($zero + ${this.integer(depth - 1)})`})`;
      case 13:
        return this.pick([
          `strlen(${this.string(1)})`,
          `strstr(${this.string(1)}, ${this.string(0)})`,
          `strcap(${this.string(0)})`,
          `strncmp(${this.string(0)}, ${this.string(0)}, ${this.int(20)})`,
          `memcmp(${this.string(0)}, ${this.string(0)}, ${this.int(20)})`,
          `(${this.string(0)})[${this.int(1)}]`,
          `(${this.string(0)})[$zero + ${this.integer(0)}]`,
          `bswap((uint32)${this.integer(0)})`,
          `nsecs(${this.pick(['boot', 'monotonic', 'tai', 'sw_tai'])})`,
        ]);
      case 14: {
        const bytes = this.variables('bytes');
        const source = bytes.length > 0 ? this.pick(bytes) : 'pton("1.2.3.4")';
        return this.pick([`${source}[${this.int(4)}]`, `${source}[$zero + ${this.integer(0)}]`, `(uint32)${source}`]);
      }
      case 15: {
        const records = this.variables('record');
        return records.length > 0 ? `${this.pick(records)}.${this.pick(['a', 'c.0'])}` : 'sizeof(struct pair)';
      }
      case 16:
        return this.pick([
          `twice(${this.integer(depth - 1)})`,
          `add(${this.integer(depth - 1)}, ${this.integer(0)})`,
          `{ $b${this.names} = ${this.integer(depth - 1)}; $b${this.names++} + 1 }`,
          `(${this.integer(depth - 1)} ?: ${this.integer(0)})`,
          'offsetof(struct pair, b)',
          '((struct pair *)curtask)->low',
          '((struct pair *)curtask).grid[1][2]',
          '(*(struct pair *)curtask).b',
          'container_of(&curtask->pid, struct task_struct, pid)->tgid',
          'len(kstack(4))',
        ]);
      case 17: {
        const ints = this.variables('int').filter((name) => name.startsWith('$v'));
        if (ints.length > 0 && this.chance(0.4)) return `*(&${this.pick(ints)})`;
        const maps = this.maps.filter((map) => map.keys.length > 0);
        return maps.length > 0 ? `len(${this.pick(maps).name})` : 'cpu';
      }
      case 11: {
        const maps = this.maps.filter((m) => m.keys.length > 0);
        return maps.length > 0 ? `(has_key(${this.key(this.pick(maps))}) ? 1 : 0)` : 'rand';
      }
      default: {
        const tuples = this.variables('tuple');
        return tuples.length > 0 ? `${this.pick(tuples)}.${this.pick(['0', '2'])}` : 'tid';
      }
    }
  }

  protected override pointer(_depth: number): string {
    const known = this.variables('pointer');
    if (known.length > 0 && this.chance(0.4)) return this.pick(known);
    return this.pick([
      '(uint8 *)curtask',
      '(uint8 *)0',
      '((uint8 *)curtask + 8)',
      this.#context === 'setsockopt' ? '(uint8 *)args.optval' : '(uint8 *)0x7fff00000000',
    ]);
  }

  protected override string(depth: number): string {
    const known = this.variables('string');
    if (known.length > 0 && this.chance(0.3)) return this.pick(known);
    const choice = this.int(depth > 0 ? 9 : 3);
    switch (choice) {
      case 7:
        return `(${this.string(0)} + ${this.string(0)})`;
      case 8:
        return this.pick(['pcomm', 'leader_comm()', `str(${this.string(0)}, 5)`, 'str_concat(comm, "!")']);
      default:
        return this.commonString(choice);
    }
  }
}

/**
 * What the generators of random scripts have in common: chance from a seed, the names in
 * scope, and the statements that look the same whatever stands in them.
 */

/** mulberry32: small, seeded, good enough to spread over a grammar. */
export function randomSource(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What both generators need to know of a map. */
interface AnyMap {
  readonly name: string;
  readonly keys: readonly string[];
  readonly value: string;
}

const shortTexts: readonly string[] = [
  '""',
  '"a"',
  '"hello"',
  '"exactly 16 chars"',
  '"a somewhat longer text, which takes more than one register"',
];

export abstract class ScriptWriter<MapShape extends AnyMap, Kind extends string> {
  readonly #random: () => number;
  protected maps: MapShape[] = [];
  protected scopes: { name: string; kind: Kind; shape: string }[][] = [];
  protected loops: number = 0;
  protected budget: number = 0;
  protected names: number = 0;

  constructor(seed: number) {
    this.#random = randomSource(seed);
  }

  protected abstract statement(depth: number): string;
  protected abstract assignVariable(): string;
  protected abstract key(map: MapShape): string;
  protected abstract comparison(depth: number): string;
  protected abstract integer(depth: number): string;
  protected abstract string(depth: number): string;
  protected abstract pointer(depth: number): string;
  protected abstract value(kind: Kind, depth: number): string;

  /** The integers that both write, by their number among the choices; undefined for another. */
  protected commonInteger(choice: number, depth: number): string | undefined {
    switch (choice) {
      case 0:
      case 1:
      case 2:
        return `(${this.integer(depth - 1)} ${this.pick(['+', '-', '*', '&', '|', '^'])} ${this.integer(depth - 1)})`;
      case 4:
        return `(${this.integer(depth - 1)} ${this.pick(['<<', '>>'])} ${this.chance(0.5) ? this.int(64) : `(${this.integer(depth - 1)} & 63)`})`;
      case 5:
        return `(${this.pick(['int8', 'uint8', 'int16', 'uint16', 'int32', 'uint32', 'int64', 'uint64'])})${this.integer(0)}`;
      case 6:
        return `(${this.condition(1)} ? ${this.integer(depth - 1)} : ${this.integer(depth - 1)})`;
      case 7:
        return this.chance(0.3)
          ? `(!(${this.integer(depth - 1)}) + 0)`
          : `${this.pick(['-', '~'])}(${this.integer(depth - 1)})`;
      case 8: {
        const maps = this.maps.filter(
          (m) =>
            m.value === 'int' || m.value === 'count' || m.value === 'sum' || m.value === 'avg' || m.value === 'max',
        );
        return maps.length > 0 ? this.key(this.pick(maps)) : 'cpu';
      }
      case 9:
        return this.pick([
          'curtask->pid',
          'curtask->real_parent->pid',
          'curtask->flags',
          'curtask->mm->start_code',
          'curtask->sched_reset_on_fork',
          '((struct task_struct *)curtask)->tgid',
        ]);
      case 10:
        return `*(${this.pick(['int32', 'uint8', 'uint64', 'int16'])} *)${this.pointer(0)}`;
      default:
        return undefined;
    }
  }

  protected int(below: number): number {
    return Math.floor(this.#random() * below);
  }
  protected pick<T>(items: readonly T[]): T {
    return items[this.int(items.length)] as T;
  }
  protected chance(p: number): boolean {
    return this.#random() < p;
  }

  /** Forgets the names of the block before. */
  protected startBlock(): void {
    this.scopes = [[]];
    this.loops = 0;
    this.budget = 30 + this.int(60);
  }

  protected statements(count: number, depth: number): string {
    return Array.from({ length: count }, () => `${'  '.repeat(depth + 1)}${this.statement(depth)}`).join('\n');
  }

  protected nested(depth: number): string {
    this.scopes.push([]);
    const text = this.statements(1 + this.int(3), depth + 1);
    this.scopes.pop();
    return `{\n${text}\n${'  '.repeat(depth + 1)}}`;
  }

  protected branch(depth: number): string {
    const then = this.nested(depth);
    return `if (${this.condition(2)}) ${then}${this.chance(0.5) ? ` else ${this.nested(depth)}` : ''}`;
  }

  protected whileLoop(depth: number): string {
    if (this.loops >= 2) return this.assignVariable();
    const name = `$w${this.names++}`;
    this.loops++;
    const condition = `${name} < ${1 + this.int(20)}`;
    const inner = this.nested(depth);
    this.loops--;
    const jump = this.chance(0.3) ? `if (${this.condition(1)}) { ${this.pick(['break', 'continue'])}; }` : '';
    return `${name} = 0; while (${condition}) { ${name}++; ${jump} ${inner.slice(1)}`;
  }

  protected rangeLoop(depth: number, kind: Kind): string {
    if (this.loops >= 2) return this.assignVariable();
    const name = `$i${this.names++}`;
    this.loops++;
    const low = this.int(5);
    this.scopes.push([{ name, kind, shape: kind }]);
    const inner = this.nested(depth);
    this.scopes.pop();
    this.loops--;
    return `for (${name} : ${low}..${low + this.int(9)}) ${inner}`;
  }

  protected variables(kind: Kind, shape: string = kind): string[] {
    return this.scopes
      .flat()
      .filter((v) => v.kind === kind && v.shape === shape)
      .map((v) => v.name);
  }

  /** Another value for a variable that there is. */
  protected changeVariable(known: readonly string[], kind: Kind, value: string): string {
    const name = this.pick(known);
    if (name.startsWith('$i') || name.startsWith('$w')) return `@scratch = ${this.integer(2)};`;
    if (kind === 'int' && this.chance(0.3))
      return `${name} ${this.pick(['+=', '-=', '*=', '/=', '%=', '&=', '|=', '^=', '<<=', '>>='])} ${this.nonZero()};`;
    return `${name} = ${value};`;
  }

  /** An aggregation into a map of that kind; undefined for maps of plain values. */
  protected aggregation(map: MapShape, target: string): string | undefined {
    switch (map.value) {
      case 'count':
        return `${target} = count();`;
      case 'sum':
      case 'avg':
      case 'min':
      case 'max':
      case 'stats':
        return `${target} = ${map.value}((int64)(${this.integer(2)}));`;
      case 'hist':
        return `${target} = hist((int64)(${this.integer(2)}), ${map.name.length % 6});`;
      case 'lhist':
        return `${target} = lhist((int64)(${this.integer(2)}), -10, 1000, 37);`;
      default:
        return undefined;
    }
  }

  protected step(kind: Kind): string {
    const maps = this.maps.filter((m) => m.value === 'int');
    if (maps.length > 0 && this.chance(0.6)) {
      const target = this.key(this.pick(maps));
      return this.chance(0.5) ? `${target}++;` : `--${target};`;
    }
    const known = this.variables(kind).filter((name) => name.startsWith('$v'));
    return known.length > 0 ? `${this.pick(known)}${this.pick(['++', '--'])};` : '@scratch++;';
  }

  /** printf with up to five conversions, each with its argument, from the kinds that a generator has. */
  protected printfOf(kinds: readonly (() => readonly [piece: string, argument: string])[]): string {
    const pieces: string[] = [];
    const args: string[] = [];
    for (let i = this.int(5); i >= 0; i--) {
      const choice = kinds[Math.min(this.int(7), kinds.length - 1)] as () => readonly [string, string];
      const [piece, argument] = choice();
      pieces.push(piece);
      args.push(argument);
    }
    return `printf("${pieces.join(' ')}\\n"${args.map((a) => `, ${a}`).join('')});`;
  }

  protected nonZero(): string {
    return this.pick(['1', '3', '0x10', '7']);
  }

  protected condition(depth: number): string {
    if (depth > 0 && this.chance(0.3))
      return `(${this.condition(depth - 1)}) ${this.pick(['&&', '||'])} (${this.condition(depth - 1)})`;
    if (this.chance(0.15)) return `!(${this.condition(depth - 1)})`;
    if (this.chance(0.15)) return this.integer(1);
    return this.comparison(depth);
  }

  /** The texts that both have: `choice` 0 to 5, and any other for one from a map. */
  protected commonString(choice: number): string {
    switch (choice) {
      case 0:
        return this.pick(shortTexts);
      case 1:
        return 'comm';
      case 2:
        return 'curtask->comm';
      case 3:
        return `str(${this.pointer(0)})`;
      case 4:
        return `str(${this.pointer(0)}, ${this.chance(0.5) ? 1 + this.int(64) : this.pick(['pid', 'rand', 'cpu'])})`;
      case 5:
        return `(${this.condition(1)} ? ${this.string(0)} : ${this.string(0)})`;
      default: {
        const maps = this.maps.filter((m) => m.value === 'string');
        return maps.length > 0 ? this.key(this.pick(maps)) : 'comm';
      }
    }
  }

  /** The values that both have; undefined for others. */
  protected commonValue(kind: Kind, depth: number): string | undefined {
    switch (kind) {
      case 'int':
        return this.integer(depth);
      case 'bool':
        return `(${this.comparison(depth)})`;
      case 'string':
        return this.string(depth);
      case 'tuple':
        return `(${this.integer(1)}, ${this.string(1)}, ${this.integer(1)})`;
      case 'pointer':
        return this.pointer(depth);
      default:
        return undefined;
    }
  }
}

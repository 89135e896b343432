/** --flame, --folded, --pprof and --speedscope: files of the maps that are keyed by stacks, at the end of a run. */
import { existsSync, rmSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { foldedText } from '../../answers/profile/folded.ts';
import { speedscopeText } from '../../answers/profile/speedscope.ts';
import { holdsNumbers, keyedByStacks, type StackProfile, stackProfile } from '../../answers/profile/stacks.ts';
import { flameHtml, flameSvg } from '../../answers/profile/svg.ts';
import { MachineError } from '../../base/errors.ts';
import type { Program } from '../../program/program.ts';
import type { Schema } from '../../program/schema.ts';
import type { Wording } from '../../render/index.ts';
import type { MapValue } from '../../session/index.ts';
import { complain } from './failure.ts';
import type { ProfileOptions } from './options.ts';
import { Output } from './output.ts';

interface File {
  readonly output: Output;
  /** The path, when the file was made for this run. */
  readonly made: string | undefined;
}

const isStack = (schema: Schema): boolean =>
  schema.kind === 'ustack' ||
  schema.kind === 'kstack' ||
  (schema.kind === 'tuple' && schema.elements.some((element) => isStack(element.schema)));

/** Throws a MachineError when the script will leave no map that a profile can be made of. */
function checkMaps({ map: wanted }: ProfileOptions, { maps, config }: Program): void {
  const fail = (message: string, hint: string): never => {
    throw new MachineError(message, { code: 'E_NO_STACKS', hints: [hint] });
  };
  const byStack = maps
    .filter(({ user }) => user?.keys.some((key) => isStack(key.schema)))
    .map(({ name }) => `@${name}`);
  if (byStack.length === 0) {
    fail('no map of this script is keyed by a stack: there is nothing to write a profile of', countByStack);
  }
  if (wanted !== undefined && !byStack.includes(wanted)) {
    fail(`no map ${wanted} of this script is keyed by a stack`, `there is ${byStack.join(' and ')}`);
  }
  if (!config.printMapsOnExit) {
    fail('config print_maps_on_exit = false leaves no maps to write a profile of', '-q leaves these maps unprinted');
  }
}

const countByStack = 'count by stack: profile:hz:99 { @[ustack] = count(); }';

export class ProfileFiles {
  readonly #options: ProfileOptions;
  readonly #files: Map<string, File> = new Map();
  readonly #profiles: StackProfile[] = [];
  /** Names of maps keyed by stacks whose values have no width. */
  readonly #others: string[] = [];

  /** Opens the files, so that one that cannot be written, or a script without stacks, is told before the run. Throws a MachineError. */
  constructor(options: ProfileOptions, program: Program) {
    this.#options = options;
    checkMaps(options, program);
    try {
      for (const name of ['flame', 'folded', 'pprof', 'speedscope'] as const) {
        const path = options[name];
        if (path === undefined) continue;
        const stdout = name === 'folded' && path === '-';
        const made = stdout || existsSync(path) ? undefined : path;
        this.#files.set(name, { output: new Output(stdout ? undefined : path, 'full', `--${name}`), made });
      }
    } catch (error) {
      this.discard();
      throw error;
    }
  }

  /**
   * Takes a map as it is at the end, and names its frames: when the trace is closed nobody
   * knows them any more. False when it will be in none of the files.
   */
  take(map: MapValue, wording: Wording): boolean {
    if (!keyedByStacks(map)) return false;
    if (!holdsNumbers(map)) {
      this.#others.push(`@${map.name}`);
      return false;
    }
    this.#profiles.push(stackProfile(map, wording));
    return this.#options.map === undefined || this.#options.map === `@${map.name}`;
  }

  /** Writes the files. Throws a MachineError when there is nothing to write; then no file is left that was not there before. */
  async write(title: string): Promise<void> {
    const profiles = this.#chosen();
    const [first] = profiles;
    if (first === undefined) throw this.#nothing();
    for (const { name, negative } of profiles) {
      if (negative > 0) complain(`WARNING: ${negative} elements of ${name} are negative: they have no width\n`);
    }
    const { flame, map } = this.#options;
    if (map === undefined && this.#others.length > 0) {
      complain(`WARNING: ${this.#others.join(', ')} is left out: only counts and sums have a width\n`);
    }
    if (flame !== undefined && profiles.length > 1) {
      const others = profiles.slice(1).map(({ name }) => name);
      complain(`WARNING: ${flame} shows ${first.name}; --flame-map ${others.join(' or ')} shows another map\n`);
    }
    const about = { title: `${title}: ${first.name}` };
    this.#write('flame', () => (flame?.endsWith('.svg') ? flameSvg(first, about) : flameHtml(first, about)));
    this.#write('folded', () => foldedText(profiles));
    this.#write('speedscope', () => speedscopeText(profiles, title));
    if (this.#files.has('pprof')) {
      const { pprofBytes } = await import('./pprof.ts');
      this.#write('pprof', () => gzipSync(pprofBytes(profiles)));
    }
  }

  /** Closes the files that have not been written, and removes those that were made for this run. */
  discard(): void {
    for (const { output, made } of this.#files.values()) {
      output.close();
      if (made !== undefined) rmSync(made, { force: true });
    }
    this.#files.clear();
  }

  #chosen(): readonly StackProfile[] {
    const { map } = this.#options;
    return this.#profiles.filter(({ name, total }) => total > 0n && (map === undefined || name === map));
  }

  #nothing(): MachineError {
    const { map } = this.#options;
    const which = map === undefined ? 'no map' : `no map ${map}`;
    const named = this.#profiles.map(({ name }) => name);
    return new MachineError(`${which} with counts by stack at the end: nothing to write a profile of`, {
      code: 'E_NO_STACKS',
      hints: [
        'the map is taken after END: what was cleared there, or never counted, is not in it',
        ...(this.#others.length > 0
          ? [`${this.#others.join(', ')} holds neither counts nor sums, which alone have a width`]
          : []),
        ...(map !== undefined && named.length > 0 ? [`filled is ${named.join(' and ')}`] : []),
      ],
    });
  }

  #write(name: string, content: () => string | Uint8Array): void {
    const file = this.#files.get(name);
    if (file === undefined) return;
    this.#files.delete(name);
    const made = content();
    if (typeof made === 'string') file.output.write(made);
    else file.output.writeBytes(made);
    file.output.close();
  }
}

/** The config block and the BPFTRACE_* environment variables: names, defaults, bounds. */

import { nearest } from '../base/near.ts';
import type { Diagnostics } from '../diag/diagnostic.ts';
import type { Span } from '../diag/source.ts';
import type { Config } from '../program/program.ts';
import type { Script } from './syntax/ast.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Setter = (config: Mutable<Config>, value: string | bigint) => string | undefined;

const number =
  (key: keyof Config, min: number, max: number): Setter =>
  (config, value) => {
    const n = typeof value === 'bigint' ? Number(value) : /^\d+$/.test(value) ? Number(value) : Number.NaN;
    if (!Number.isSafeInteger(n)) return `takes a whole number, not '${value}'`;
    if (n < min || n > max) return `takes a number from ${min} to ${max}, not ${n}`;
    (config as Record<string, unknown>)[key] = n;
    return undefined;
  };

const flag =
  (key: keyof Config): Setter =>
  (config, value) => {
    const text = String(value).toLowerCase();
    if (text !== '0' && text !== '1' && text !== 'true' && text !== 'false')
      return `takes true or false, not '${value}'`;
    (config as Record<string, unknown>)[key] = text === '1' || text === 'true';
    return undefined;
  };

const text =
  (key: keyof Config): Setter =>
  (config, value) => {
    (config as Record<string, unknown>)[key] = String(value);
    return undefined;
  };

const choice =
  (key: keyof Config, words: readonly string[]): Setter =>
  (config, value) => {
    if (!words.includes(String(value))) return `takes one of ${words.join(', ')}, not '${value}'`;
    (config as Record<string, unknown>)[key] = String(value);
    return undefined;
  };

/** Longest string that fits the scratch memory of one running program. */
const longestString = 1 << 20;

const setters: Readonly<Record<string, Setter>> = {
  cache_user_symbols: choice('cacheUserSymbols', ['PER_PID', 'PER_PROGRAM', 'NONE']),
  cpp_demangle: flag('cppDemangle'),
  lazy_symbolication: flag('lazySymbolication'),
  license: text('license'),
  log_size: number('logSize', 4096, 2 ** 30),
  max_bpf_progs: number('maxBpfProgs', 1, 2 ** 20),
  max_cat_bytes: number('maxCatBytes', 1, 2 ** 24),
  max_map_keys: number('maxMapKeys', 1, 2 ** 26),
  max_probes: number('maxProbes', 1, 2 ** 20),
  max_strlen: number('maxStrlen', 2, longestString),
  max_value_bytes: number('maxValueBytes', 1, 4096),
  max_value_depth: number('maxValueDepth', 1, 8),
  max_value_elements: number('maxValueElements', 1, 256),
  missing_probes: choice('missingProbes', ['error', 'warn', 'ignore']),
  on_stack_limit: number('onStackLimit', 0, 512),
  perf_rb_pages: number('perfRbPages', 1, 65536),
  print_maps_on_exit: flag('printMapsOnExit'),
  probe_inline: flag('probeInline'),
  show_debug_info: flag('showDebugInfo'),
  stack_mode: choice('stackMode', ['bpftrace', 'perf', 'raw', 'build_id']),
  str_trunc_trailer: text('strTruncTrailer'),
  unstable_tseries: choice('unstableTseries', ['error', 'warn', 'enable']),
  unstable_dw_ustack: choice('unstableDwUstack', ['error', 'warn', 'enable']),
  ustack_unwind: choice('ustackUnwind', ['auto', 'fp', 'cfi']),
};

const renamed: Readonly<Record<string, string>> = {
  strlen: 'max_strlen',
  no_cpp_demangle: 'cpp_demangle',
  cat_bytes_max: 'max_cat_bytes',
  map_keys_max: 'max_map_keys',
};

export const defaultConfig: Config = {
  maxStrlen: 1024,
  maxValueDepth: 4,
  maxValueElements: 16,
  maxValueBytes: 128,
  maxMapKeys: 4096,
  maxProbes: 1024,
  maxBpfProgs: 1024,
  maxCatBytes: 10240,
  onStackLimit: 32,
  perfRbPages: 0,
  printMapsOnExit: true,
  probeInline: false,
  cppDemangle: true,
  lazySymbolication: false,
  // As bpftrace is built by distributions; one built with blazesym shows it unasked.
  showDebugInfo: false,
  strTruncTrailer: '..',
  stackMode: 'bpftrace',
  ustackUnwind: 'auto',
  missingProbes: 'error',
  cacheUserSymbols: 'PER_PROGRAM',
  license: 'GPL',
  unstableTseries: 'warn',
  unstableDwUstack: 'warn',
  logSize: 1000000,
};

/** Features that were unstable in earlier versions of the language, and are not any more: their flags are taken. */
const settled: readonly string[] = [
  'unstable_map_decl',
  'unstable_addr',
  'unstable_typeinfo',
  'unstable_import',
  'unstable_macro',
];

/** Config of a script: defaults, then the script's own block, then the environment (which wins). */
export function resolveConfig(
  script: Script,
  environment: Readonly<Record<string, string | undefined>>,
  diagnostics: Diagnostics,
): Config {
  const config: Mutable<Config> = { ...defaultConfig };
  const set = (name: string, value: string | bigint, span: Span | undefined, shown: string): void => {
    const key = name.toLowerCase().replace(/^bpftrace_/, '');
    if (settled.includes(key)) return;
    const replacement = renamed[key];
    if (replacement !== undefined) {
      diagnostics.error('renamed-config', `config variable '${shown}' is now called '${replacement}'`, span);
      return;
    }
    const setter = setters[key];
    if (setter === undefined) {
      const near = nearest(key, Object.keys(setters), 1)[0];
      diagnostics.error(
        'unknown-config',
        `Unrecognized config variable: ${shown}`,
        span,
        ...(near === undefined ? [] : [`did you mean '${near}'?`]),
      );
      return;
    }
    const complaint = setter(config, value);
    if (complaint !== undefined) diagnostics.error('bad-config-value', `config variable '${shown}' ${complaint}`, span);
  };
  for (const item of script.config) set(item.name, item.value, item.nameSpan, item.name);
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined || !name.startsWith('BPFTRACE_')) continue;
    const key = name.slice('BPFTRACE_'.length).toLowerCase();
    if (key in setters || key in renamed) set(key, value, undefined, name);
  }
  return config;
}

/** interval:UNIT:N and profile:UNIT:N. */
import type { Provider } from './provider.ts';

const nanoseconds: Readonly<Record<string, bigint>> = { us: 1000n, ms: 1_000_000n, s: 1_000_000_000n };
const suffixes: Readonly<Record<string, bigint>> = {
  ns: 1n,
  ...nanoseconds,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
  d: 86_400_000_000_000n,
};

/** Shorter intervals would only produce noise. */
const shortest = 1000n;

export const timer =
  (kind: 'interval' | 'profile'): Provider =>
  (point, rest, options) => {
    const fail = (message: string): [] => {
      options.diagnostics.error(
        'probe-form',
        message,
        point.span,
        `${kind}:s:1, ${kind}:ms:100, ${kind}:us:500, ${kind}:hz:99, ${kind}:5s`,
      );
      return [];
    };
    const parts = rest.split(':');
    let periodNs: bigint | undefined;
    let frequencyHz: number | undefined;
    const single = /^(\d+)([a-z]*)$/.exec(rest);
    if (single) {
      const unit = suffixes[single[2] as string];
      if (single[2] === '') periodNs = BigInt(single[1] as string);
      else if (unit === undefined) return fail(`${kind}: '${single[2]}' is not a unit of time`);
      else periodNs = BigInt(single[1] as string) * unit;
    } else {
      const [unit = '', count = ''] = parts;
      if (parts.length !== 2) return fail(`${kind} takes a unit and a number`);
      if (!/^\d+$/.test(count)) return fail(`${kind}: '${count}' is not a whole number`);
      if (unit === 'hz') frequencyHz = Number(count);
      else if (nanoseconds[unit] === undefined) return fail(`${kind}: '${unit}' is not a unit (us, ms, s, hz)`);
      else periodNs = BigInt(count) * (nanoseconds[unit] as bigint);
    }
    if (frequencyHz === 0 || periodNs === 0n) return fail(`${kind} takes a number above 0`);
    if (periodNs !== undefined && periodNs < shortest)
      return fail(`${kind}: ${periodNs} ns is too short (at least ${shortest} ns)`);
    if (periodNs !== undefined && periodNs > 0x7fffffffffffffffn) return fail(`${kind}: ${periodNs} ns is too long`);
    if (frequencyHz !== undefined && frequencyHz > 1_000_000) return fail(`${kind}: ${frequencyHz} hz is too often`);
    const spec: { kind: 'interval' | 'profile'; periodNs?: string; frequencyHz?: number } =
      periodNs !== undefined ? { kind, periodNs: String(periodNs) } : { kind, frequencyHz: frequencyHz as number };
    return [
      {
        provider: kind,
        programType: 'PERF_EVENT',
        attachments: [{ spec, name: `${kind}:${rest}` }],
        span: point.span,
        shortName: kind,
        registers: true,
        userMemory: false,
        hasProcess: true,
      },
    ];
  };

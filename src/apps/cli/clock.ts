/** Times of day as they are shown. */

/** `12:34:56.123456` in local time. */
export function clockText(ns: bigint, timeZone: (seconds: number) => { readonly offset: number }): string {
  const seconds = Number(ns / 1_000_000_000n);
  const local = new Date((seconds + timeZone(seconds).offset) * 1000).toISOString().slice(11, 19);
  return `${local}.${String((ns / 1000n) % 1_000_000n).padStart(6, '0')}`;
}

/** Readers that fail in every way, to see that a campaign notices. */
import type { Target } from './targets.ts';

const seeds = (): readonly Uint8Array[] => [new Uint8Array(64).fill(7)];
/** A few of a hundred damaged inputs. */
const unlucky = (bytes: Uint8Array): boolean => bytes.length === 64 && (bytes[9] as number) !== 7;

export const targets: readonly Target[] = [
  { name: 'fine', seeds, read: ({ bytes }) => (unlucky(bytes) ? 'refused: unlucky' : String(bytes.length)) },
  {
    name: 'hangs',
    seeds,
    read({ bytes }) {
      while (unlucky(bytes));
      return '';
    },
  },
  {
    name: 'dies',
    seeds,
    read({ bytes }) {
      if (unlucky(bytes)) process.abort();
      return '';
    },
  },
  {
    name: 'throws',
    seeds,
    read({ bytes }) {
      if (unlucky(bytes)) throw new RangeError('an offset is out of bounds');
      return '';
    },
  },
];

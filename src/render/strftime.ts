/**
 * strftime(3) in the C locale, and bpftrace's additions: `%f` microseconds (6 digits),
 * `%l` milliseconds (3), `%k` nanoseconds (9). Ruled by the manual page of glibc's
 * strftime: flags `_` (pad with spaces), `-` (no padding), `0`, `^` (upper case),
 * `#` (opposite case), a width, and the modifiers E and O, which change nothing in the
 * C locale. An unknown conversion is left as it stands.
 */

/** Seconds east of UTC and abbreviation of the local time zone at a moment. */
export type TimeZone = (seconds: number) => { readonly offset: number; readonly name: string };

const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'] as const;
const months = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
] as const;

interface Moment {
  readonly year: number;
  /** 0…11. */
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  /** 0 is Sunday. */
  readonly weekday: number;
  /** 0…365. */
  readonly yearDay: number;
  /** Below one second. */
  readonly nanoseconds: number;
  /** Since 1970 UTC. */
  readonly seconds: number;
  readonly zone: { readonly offset: number; readonly name: string };
}

function momentOf(ns: bigint, timeZone: TimeZone): Moment {
  const billion = 1_000_000_000n;
  const nanoseconds = Number(((ns % billion) + billion) % billion);
  const seconds = Number((ns - BigInt(nanoseconds)) / billion);
  const zone = timeZone(seconds);
  const local = new Date((seconds + zone.offset) * 1000);
  const year = local.getUTCFullYear();
  const midnight = Date.UTC(year, local.getUTCMonth(), local.getUTCDate());
  return {
    year,
    month: local.getUTCMonth(),
    day: local.getUTCDate(),
    hour: local.getUTCHours(),
    minute: local.getUTCMinutes(),
    second: local.getUTCSeconds(),
    weekday: local.getUTCDay(),
    yearDay: Math.round((midnight - Date.UTC(year, 0, 1)) / 86_400_000),
    nanoseconds,
    seconds,
    zone,
  };
}

/** ISO 8601 year and week. */
function isoWeek(moment: Moment): readonly [year: number, week: number] {
  const weekday = (moment.weekday + 6) % 7;
  const thursday = new Date(Date.UTC(moment.year, moment.month, moment.day - weekday + 3));
  const year = thursday.getUTCFullYear();
  const dayOfYear = Math.round((thursday.getTime() - Date.UTC(year, 0, 1)) / 86_400_000);
  return [year, Math.floor(dayOfYear / 7) + 1];
}

type Padding = ' ' | '0' | '';

/** A conversion's number with its usual width and padding. */
type Part = { readonly number: number; readonly width: number; readonly pad: Padding } | string | undefined;

const twelve = (hour: number): number => (hour % 12 === 0 ? 12 : hour % 12);

/** What one conversion letter gives; undefined for an unknown one. */
function part(letter: string, at: Moment, again: (format: string) => string): Part {
  const two = (number: number): Part => ({ number, width: 2, pad: '0' });
  switch (letter) {
    case 'a':
      return (days[at.weekday] as string).slice(0, 3);
    case 'A':
      return days[at.weekday] as string;
    case 'b':
    case 'h':
      return (months[at.month] as string).slice(0, 3);
    case 'B':
      return months[at.month] as string;
    case 'c':
      return again('%a %b %e %H:%M:%S %Y');
    case 'C':
      return two(Math.floor(at.year / 100));
    case 'd':
      return two(at.day);
    case 'D':
    case 'x':
      return again('%m/%d/%y');
    case 'e':
      return { number: at.day, width: 2, pad: ' ' };
    case 'f':
      return { number: Math.floor(at.nanoseconds / 1000), width: 6, pad: '0' };
    case 'F':
      return again('%Y-%m-%d');
    case 'g':
      return two(isoWeek(at)[0] % 100);
    case 'G':
      return { number: isoWeek(at)[0], width: 1, pad: '0' };
    case 'H':
      return two(at.hour);
    case 'I':
      return two(twelve(at.hour));
    case 'j':
      return { number: at.yearDay + 1, width: 3, pad: '0' };
    case 'k':
      return { number: at.nanoseconds, width: 9, pad: '0' };
    case 'l':
      return { number: Math.floor(at.nanoseconds / 1_000_000), width: 3, pad: '0' };
    case 'm':
      return two(at.month + 1);
    case 'M':
      return two(at.minute);
    case 'n':
      return '\n';
    case 'p':
      return at.hour < 12 ? 'AM' : 'PM';
    case 'P':
      return at.hour < 12 ? 'am' : 'pm';
    case 'r':
      return again('%I:%M:%S %p');
    case 'R':
      return again('%H:%M');
    case 's':
      return { number: at.seconds, width: 1, pad: '0' };
    case 'S':
      return two(at.second);
    case 't':
      return '\t';
    case 'T':
    case 'X':
      return again('%H:%M:%S');
    case 'u':
      return { number: at.weekday === 0 ? 7 : at.weekday, width: 1, pad: '0' };
    case 'U':
      return two(Math.floor((at.yearDay + 7 - at.weekday) / 7));
    case 'V':
      return two(isoWeek(at)[1]);
    case 'w':
      return { number: at.weekday, width: 1, pad: '0' };
    case 'W':
      return two(Math.floor((at.yearDay + 7 - ((at.weekday + 6) % 7)) / 7));
    case 'y':
      return two(at.year % 100);
    case 'Y':
      return { number: at.year, width: 1, pad: '0' };
    case 'z': {
      const minutes = Math.abs(Math.trunc(at.zone.offset / 60));
      const digits = String(Math.floor(minutes / 60) * 100 + (minutes % 60)).padStart(4, '0');
      return (at.zone.offset < 0 ? '-' : '+') + digits;
    }
    case 'Z':
      return at.zone.name;
    case '%':
      return '%';
    default:
      return undefined;
  }
}

const conversion = /%([_\-0^#]*)(\d*)([EO]?)(.)/gsu;

function format(template: string, at: Moment): string {
  return template.replace(
    conversion,
    (whole: string, flags: string, width: string, _modifier: string, letter: string) => {
      const result = part(letter, at, (inner) => format(inner, at));
      // bpftrace replaces its own three before strftime(3) sees the format, and only as they stand.
      const own = letter === 'f' || letter === 'k' || letter === 'l';
      if (result === undefined || (own && whole.length > 2)) return whole;
      const asked = /[_\-0]/.test(flags) ? flags.replace(/[^_\-0]/g, '').slice(-1) : '';
      let text: string;
      if (typeof result === 'string') {
        const room = width === '' ? 0 : Number(width);
        text = result.padStart(room, asked === '0' ? '0' : ' ');
      } else {
        const pad: Padding = asked === '-' ? '' : asked === '_' ? ' ' : asked === '0' ? '0' : result.pad;
        const room = width === '' ? result.width : Number(width);
        const digits = String(Math.abs(result.number));
        const sign = result.number < 0 ? '-' : '';
        text =
          pad === ''
            ? sign + digits
            : pad === '0'
              ? sign + digits.padStart(room - sign.length, '0')
              : (sign + digits).padStart(room, ' ');
      }
      if (flags.includes('^')) return text.toUpperCase();
      if (flags.includes('#')) return letter === 'p' || letter === 'Z' ? text.toLowerCase() : text.toUpperCase();
      return text;
    },
  );
}

/** `ns` nanoseconds since 1970 UTC as local time in the given format. */
export function strftime(template: string, ns: bigint, timeZone: TimeZone): string {
  return format(template, momentOf(ns, timeZone));
}

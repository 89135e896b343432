/** nsecs, elapsed, time(), strftime(). */
import { noneType, uint64 } from '../../types/model.ts';
import { bpfHelper } from '../lower/bpfhelper.ts';
import { emitEvent, spanOf } from '../lower/events.ts';
import type { BuiltinFunction, BuiltinVariable } from './builtin.ts';

const clocks: Readonly<Record<string, number>> = {
  boot: bpfHelper.ktime_get_boot_ns,
  monotonic: bpfHelper.ktime_get_ns,
  tai: bpfHelper.ktime_get_tai_ns,
  /** By the distance of the two clocks when the run began. */
  sw_tai: bpfHelper.ktime_get_boot_ns,
};

/** Clocks that do not count from the boot, sleep included. */
const clocksApart = ['monotonic', 'tai', 'sw_tai'] as const;

export const timeVariables: readonly BuiltinVariable[] = [
  {
    name: 'nsecs',
    about: 'nanoseconds since boot',
    type: () => uint64,
    scalar: (low) => low.b.call(bpfHelper.ktime_get_boot_ns, []),
  },
  {
    name: 'elapsed',
    about: 'nanoseconds since tracing began',
    type: () => uint64,
    scalar: (low) => {
      const now = low.b.call(bpfHelper.ktime_get_boot_ns, []);
      const start = low.b.load(low.b.mapValue(low.assets.globalsMap, low.assets.globals.startNs), 0, 8);
      return low.b.alu('sub', now, start);
    },
  },
];

export const timeFunctions: readonly BuiltinFunction[] = [
  {
    name: 'nsecs',
    signature: 'nsecs([monotonic|boot|tai|sw_tai])',
    about: 'nanoseconds of a clock',
    arity: [0, 1],
    type: (sema, call) => {
      const clock = call.args[0];
      if (clock && !(clock.node === 'identifier' && clock.name in clocks)) {
        sema.error('unknown-clock', 'nsecs() takes monotonic, boot, tai or sw_tai', clock.span);
      }
      if (clock?.node === 'identifier' && clock.name === 'tai') {
        const { major, minor, release } = sema.target.features.kernel;
        if (major < 6 || (major === 6 && minor < 1)) {
          sema.error('kernel-too-old', `nsecs(tai) needs kernel 6.1; this is ${release}`, clock.span);
        }
      }
      const named = clock?.node === 'identifier' ? clocksApart.find((name) => name === clock.name) : undefined;
      return named === undefined ? uint64 : { ...uint64, clock: named };
    },
    scalar: (low, call) => {
      const { b, assets } = low;
      const [clock] = call.args;
      const name = clock?.node === 'identifier' ? clock.name : 'boot';
      const now = b.call(clocks[name] ?? bpfHelper.ktime_get_boot_ns, []);
      if (name !== 'sw_tai') return now;
      return b.alu('add', now, b.load(b.mapValue(assets.globalsMap, assets.globals.taiClock), 0, 8));
    },
  },
  {
    name: 'time',
    signature: 'time([format])',
    about: 'prints the wall-clock time by strftime(3), "%H:%M:%S\\n" by default',
    arity: [0, 1],
    statementOnly: true,
    type: (sema, call) => {
      const format = call.args[0];
      if (format && format.node !== 'type') sema.expr(format);
      if (format && sema.literalText(format) === undefined)
        sema.error('literal-expected', 'time() takes a literal format', format.span);
      return noneType;
    },
    statement: (low, call) => {
      const format = call.args[0];
      const text = format?.node === 'string' ? format.value : '%H:%M:%S\n';
      emitEvent(low, [], (_args, size) => ({ kind: 'time', format: text, size, span: spanOf(call) }));
    },
  },
  {
    name: 'strftime',
    signature: 'strftime(format, nsecs)',
    about: 'the wall-clock time of a value of nsecs, as text',
    arity: [2, 2],
    type: (sema, call) => {
      const [format, time] = call.args;
      const text = sema.literalText(format);
      if (format && format.node !== 'type') sema.expr(format);
      if (text === undefined)
        sema.error('literal-expected', 'strftime() takes a literal format', format?.span ?? call.span);
      sema.integerArgument(call, 1);
      const type = time === undefined || time.node === 'type' ? undefined : sema.facts.types.get(time);
      const clock = type?.kind === 'int' ? type.clock : undefined;
      if (clock === 'monotonic') {
        sema.error(
          'monotonic-time',
          'strftime() can not take a monotonic timestamp',
          call.span,
          'nsecs(boot), which nsecs alone means too, counts the time that the machine slept',
        );
      }
      const constant = sema.constant(time);
      if (constant !== undefined && constant < 0n)
        sema.error('negative-time', 'strftime() does not accept negative timestamps', call.span);
      return { kind: 'timestamp', format: text ?? '', clock: clock ?? 'boot' };
    },
    scalar: (low, call) => {
      const time = call.args[1];
      return time && time.node !== 'type' ? low.scalar(time) : low.b.const(0);
    },
  },
];

/**
 * watchpoint:ADDRESS:LENGTH:MODE: fires when memory is read (r), written (w) or run (x),
 * by the processor's debug registers. With -p or -c the address is the process's, without
 * the kernel's.
 */
import type { Provider } from './provider.ts';

const kernelHalf = 1n << 63n;

export const watchpoint: Provider = (point, rest, options) => {
  const { diagnostics, target } = options;
  const fail = (message: string, hint = 'watchpoint:0x55d0c0a04010:4:w, watchpoint:0xffffffff82000000:8:rw'): [] => {
    diagnostics.error('probe-form', message, point.span, hint);
    return [];
  };
  const [place = '', length = '', mode = '', ...more] = rest.split(':');
  if (/^[A-Za-z_]\w*\+arg\d$/.test(place)) {
    return fail(
      'a watchpoint takes an address: one that a function gets as its argument is not understood by this version',
      'print it first: uprobe:BIN:FUNCTION { printf("%llx\\n", arg0); }, then watchpoint:0xADDRESS:LENGTH:MODE',
    );
  }
  if (more.length > 0 || !/^(0x[0-9a-f]+|\d+)$/i.test(place) || mode === '') {
    return fail('watchpoint takes an address, a length and what to watch for');
  }
  const address = BigInt(place);
  const size = Number(length);
  if (address >= 1n << 64n) return fail(`${place} is no address: it has more than 64 bits`);
  if (size !== 1 && size !== 2 && size !== 4 && size !== 8)
    return fail(`a watchpoint's length is 1, 2, 4 or 8, not '${length}'`);
  if (!/^[rwx]+$/.test(mode))
    return fail(`'${mode}' is nothing to watch for`, 'r: reads, w: writes, x: runs it; rw: reads and writes');
  const modes = new Set(mode);
  if (modes.size < mode.length) return fail(`'${mode}' says a letter twice`);
  if (modes.has('x') && modes.size > 1) return fail('code that is run (x) cannot be watched for reads and writes too');
  if (target.arch === 'x86_64' && mode === 'r')
    return fail('x86-64 cannot watch for reads alone', 'rw: reads and writes');
  if (address % BigInt(size) !== 0n && mode !== 'x') {
    return fail(
      `the address ${place} is no multiple of the length ${size}`,
      'the processor only watches aligned memory',
    );
  }
  const inKernel = address >= kernelHalf;
  if (!inKernel && options.pid === undefined) {
    return fail('an address of a process needs the process', "-p PID, or -c 'COMMAND'");
  }
  return [
    {
      provider: 'watchpoint',
      programType: 'PERF_EVENT',
      attachments: [
        {
          spec: {
            kind: 'watchpoint',
            address: String(address),
            length: size,
            mode: [...modes].sort().join(''),
            ...(inKernel || options.pid === undefined ? {} : { pid: options.pid }),
          },
          name: `watchpoint:${rest}`,
        },
      ],
      span: point.span,
      shortName: 'watchpoint',
      registers: true,
      userMemory: !inKernel,
      hasProcess: true,
    },
  ];
};

/** What the scripts of script.ts print, as events with types. */
import { inetText, stackText, type Wording } from '../../render/words.ts';
import type { Integer, StackValue, Value } from '../../values/value.ts';

/** A socket as the kernel has it at one moment (struct sock and what surrounds it). */
export interface Facts {
  /** AF_…: 1 unix, 2 IPv4, 10 IPv6. */
  readonly family: number;
  /** SOCK_…: 1 stream, 2 datagram. */
  readonly type: number;
  /** IPPROTO_…: 6 TCP, 17 UDP. */
  readonly protocol: number;
  /** TCP_… of net/tcp_states.h: 1 established, 7 closed, 10 listening. */
  readonly state: number;
  /** `address:port`; '' where it has none. */
  readonly local: string;
  readonly peer: string;
  readonly reuseAddress: boolean;
  readonly reusePort: boolean;
  readonly keepAlive: boolean;
  readonly noDelay: boolean;
  readonly v6Only: boolean;
  /** RCV_SHUTDOWN 1, SEND_SHUTDOWN 2 (net/sock.h). */
  readonly shutdown: number;
  /** Connections that may wait for accept(), and that wait. */
  readonly backlog: number;
  readonly queue: number;
  /** Bytes of a TCP connection: received, and sent with an acknowledgement. */
  readonly received: number;
  readonly sent: number;
}

export interface SocketEvent {
  /** The system call, or empty (how often accept() found nobody so far), open (seen open), last (seen when its process ends), dup, received, fork, exec, exit, io_uring. */
  readonly call: string;
  /** CLOCK_MONOTONIC nanoseconds at its start. */
  readonly at: number;
  /** Nanoseconds until it returned. */
  readonly took: number;
  readonly pid: number;
  /** 0 where no thread made a call. */
  readonly tid: number;
  /** Of the process. */
  readonly comm: string;
  /** Its thread's name. */
  readonly thread: string;
  readonly ret: number;
  readonly fd: number;
  /** Identity of the socket; '' when the descriptor is none. */
  readonly sk: string;
  readonly facts: Facts | undefined;
  /** User frames, innermost first, as printed. */
  readonly stack: readonly string[];
  /** Numbers and bytes that only some calls have. */
  readonly numbers: Readonly<Record<string, number>>;
  readonly bytes: Uint8Array;
  readonly text: string;
}

/** Nanoseconds after which stacks are named anew: a process may have mapped another file, or made other code, there. */
const namesLast = 1e9;

/**
 * Stacks as lines. A server makes the same calls by the same code thousands of times a
 * second: each stack is named once in a while.
 */
export class StackLines {
  #known = new Map<number, { readonly stack: StackValue; readonly lines: readonly string[] }[]>();
  #since = 0;

  /** `at`: now, in nanoseconds. */
  of(stack: StackValue, wording: Wording, at: number): readonly string[] {
    if (at - this.#since > namesLast) {
      this.#known.clear();
      this.#since = at;
    }
    let hash = stack.pid;
    for (const frame of stack.frames) hash = Math.imul(hash ^ (Number(frame) % 2 ** 31), 0x01000193);
    const same = this.#known.get(hash);
    const found = same?.find((one) => isSame(one.stack, stack));
    if (found !== undefined) return found.lines;
    const lines = stackText(stack, wording, 'compact')
      .split('\n')
      .filter((line) => line !== '');
    // Those in a map of the kernel are told by a number that is used again.
    if (stack.stored !== undefined) return lines;
    if (same === undefined) this.#known.set(hash, [{ stack, lines }]);
    else same.push({ stack, lines });
    return lines;
  }
}

function isSame(a: StackValue, b: StackValue): boolean {
  return (
    a.pid === b.pid &&
    a.end === b.end &&
    a.guessed === b.guessed &&
    a.errno === b.errno &&
    a.frames.length === b.frames.length &&
    a.frames.every((frame, index) => frame === b.frames[index])
  );
}

/** Reads a printed value; undefined when it is none of these. */
export function readEvent(value: Value, wording: Wording, stacks: StackLines): SocketEvent | undefined {
  const [head, stack] = value.kind === 'tuple' ? value.elements : [value];
  if (head?.kind !== 'record') return undefined;
  const fields = new Map(head.fields.map((field) => [field.name, field.value]));
  const number = (name: string): number => numberOf(fields.get(name));
  const text = (name: string): string => textOf(fields.get(name));
  const numbers: Record<string, number> = {};
  for (const name of [
    'level',
    'option',
    'size',
    'asked',
    'how',
    'flags',
    'child',
    'listener_fd',
    'descriptors',
    'empty',
    'spurious',
  ]) {
    if (fields.has(name)) numbers[name] = number(name);
  }
  const bytes = fields.get('value') ?? fields.get('address');
  return {
    call: text('call'),
    at: number('at'),
    took: number('took'),
    pid: number('pid'),
    tid: number('tid'),
    comm: text('comm'),
    thread: text('thread'),
    ret: number('ret'),
    fd: number('fd'),
    sk: identity(fields.get('sk')),
    facts: factsOf(fields.get('facts')),
    stack: stack?.kind === 'stack' ? stacks.of(stack, wording, number('at')) : [],
    numbers,
    bytes: bytes?.kind === 'buffer' ? bytes.bytes : new Uint8Array(),
    text: fields.has('listener') ? identity(fields.get('listener')) : text('path'),
  };
}

function identity(value: Value | undefined): string {
  if (value?.kind !== 'int' || Number(value.value) === 0) return '';
  return BigInt.asUintN(64, BigInt(value.value)).toString(16);
}

function numberOf(value: Value | undefined): number {
  if (value?.kind === 'bool') return value.value ? 1 : 0;
  return value?.kind === 'int' ? Number(value.value as Integer) : 0;
}

function textOf(value: Value | undefined): string {
  if (value?.kind === 'string') return value.text;
  return value?.kind === 'inet' ? inetText(value.family, value.bytes) : '';
}

function factsOf(value: Value | undefined): Facts | undefined {
  if (value?.kind !== 'record') return undefined;
  const fields = new Map(value.fields.map((field) => [field.name, field.value]));
  const number = (name: string): number => numberOf(fields.get(name));
  const family = number('family');
  if (family === 0) return undefined;
  const address = (way: 'local' | 'peer', port: number): string => {
    if (family !== 2 && family !== 10) return '';
    const text = textOf(fields.get(`${way}${family === 2 ? 4 : 6}`));
    return port === 0 && (way === 'peer' || /^(0\.0\.0\.0|::)$/.test(text)) ? '' : endpoint(family, text, port);
  };
  return {
    family,
    type: number('type'),
    protocol: number('protocol'),
    state: number('state'),
    local: address('local', number('port')),
    peer: address('peer', number('peer_port')),
    reuseAddress: number('reuse') !== 0,
    reusePort: number('reuseport') !== 0,
    keepAlive: number('keepalive') !== 0,
    noDelay: number('nodelay') !== 0,
    v6Only: number('v6only') !== 0,
    shutdown: number('shutdown'),
    backlog: number('backlog'),
    queue: number('queue'),
    received: number('received'),
    sent: number('sent'),
  };
}

/** `1.2.3.4:80`, `[::1]:80`. */
export function endpoint(family: number, address: string, port: number): string {
  return family === 10 ? `[${address}]:${port}` : `${address}:${port}`;
}

/** The address of a struct sockaddr as the program handed it over; '' for a family that is not known here. */
export function readSockaddr(bytes: Uint8Array, size: number): string {
  if (size < 2 || bytes.length < 8) return '';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const family = view.getUint16(0, true);
  if (family === 2) return endpoint(2, inetText(2, bytes.subarray(4, 8)), view.getUint16(2));
  if (family === 10 && bytes.length >= 24) return endpoint(10, inetText(10, bytes.subarray(8, 24)), view.getUint16(2));
  if (family !== 1) return `address family ${family}`;
  const path = new TextDecoder().decode(bytes.subarray(2, Math.min(bytes.length, size)));
  // An abstract name begins with NUL, and is shown as ss(8) does.
  return path.startsWith('\0') ? `@${path.slice(1).replaceAll('\0', '@')}` : (path.split('\0')[0] as string);
}

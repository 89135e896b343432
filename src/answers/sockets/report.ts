/** The answers: findings in words, tables of listeners and connections, and the code behind them. */
import { mostStacks } from './script.ts';
import type { Call, Descriptor, Socket, Sockets } from './table.ts';

/** What the report tells about a listening socket. */
export interface Listener extends Descriptor {
  readonly address: string;
  /** The container of its process, '' for none. */
  readonly container: string;
  readonly protocol: string;
  readonly backlog: number;
  readonly waiting: number;
  readonly reuseAddress: boolean;
  readonly reusePort: boolean;
  readonly accepted: number;
  readonly emptyAccepts: number;
  readonly spuriousAccepts: number;
  /** Numbers of stacks in Report.code. */
  readonly listenedBy: number | undefined;
  readonly boundBy: number | undefined;
  readonly open: boolean;
}

export interface Connection extends Descriptor {
  readonly local: string;
  readonly peer: string;
  readonly container: string;
  readonly protocol: string;
  readonly way: 'accepted' | 'connected' | 'open before';
  /** Of what accepted it. */
  readonly listener: string | undefined;
  readonly result: string;
  readonly noDelay: boolean;
  readonly keepAlive: boolean;
  readonly received: number;
  readonly sent: number;
  /** Nanoseconds from its making to its end; undefined when one of both was not seen. */
  readonly lifetime: number | undefined;
  readonly open: boolean;
  readonly madeBy: number | undefined;
  readonly noDelayBy: number | undefined;
}

/** A stack that some call had, once for all that had the same. */
export interface Code {
  readonly number: number;
  /** `listen`, `setsockopt SO_REUSEADDR`: the calls that were made there. */
  readonly calls: readonly string[];
  readonly frames: readonly string[];
}

export interface Report {
  readonly findings: readonly string[];
  readonly listeners: readonly Listener[];
  readonly connections: readonly Connection[];
  readonly code: readonly Code[];
  /** What could not be seen, in words. */
  readonly unseen: readonly string[];
}

const errorNames =
  'EAGAIN EADDRINUSE EADDRNOTAVAIL ECONNREFUSED EINPROGRESS EALREADY EISCONN ENOTCONN EBADF EINVAL EINTR EACCES EPERM ENOTSOCK EOPNOTSUPP ENOPROTOOPT EAFNOSUPPORT EPROTONOSUPPORT EMFILE ENFILE ENOBUFS ENOMEM ETIMEDOUT ENETUNREACH EHOSTUNREACH ECONNRESET ECONNABORTED EFAULT EDESTADDRREQ EPIPE ENOENT EPROTO EPROTOTYPE ENODEV ERANGE EDOM';

/** Names of error numbers, which differ between architectures. */
export function errorNaming(constant: (name: string) => bigint | undefined): (ret: number) => string {
  const names = new Map(errorNames.split(' ').map((name) => [Number(constant(name)), name]));
  return (ret) => names.get(-ret) ?? `error ${-ret}`;
}

/** Names of I/O functions that only hand the call on: the answer is who called them. */
const isStub = (frame: string): boolean =>
  /^(__)?(libc_|GI_|GI___)?(socket|setsockopt|getsockopt|bind|listen|accept4?|connect|shutdown|close|syscall)(@\S+)?\+\d+/.test(
    frame,
  );
/** Without an own name: an address, the end of a stack, what is only known by its caller. */
const isNameless = (frame: string): boolean => /^(0x|\[|~called only from)/.test(frame);

/** Known only by its place in a virtual table or by its address: it most often hands the call on. */
const isVague = (name: string): boolean => /vfunc\[\d+\]$|member@[0-9a-f]+$/.test(name);

/** The innermost frames that say who made a call, `a ← b ← c`; '' when none has a name. */
export function chain(frames: readonly string[], most = 3): string {
  const names = frames
    .filter((frame) => !isStub(frame) && !isNameless(frame))
    .map((frame) => shorten(frame.replace(/\+\d+( .*)?$/, '')))
    .filter((name, index, all) => name !== all[index - 1]);
  const telling = names.filter((name) => !isVague(name));
  return (telling.length > 0 ? telling : names).slice(0, most).join(' ← ');
}

/** A name without what stands in its angle brackets and parameter list; Rust's `<Type as Trait>::method` keeps the first. */
function shorten(name: string): string {
  if (name.length <= 60) return name;
  let depth = 0;
  let kept = name.startsWith('<') ? 1 : 0;
  let out = '';
  for (const [at, char] of [...name].entries()) {
    if (char === '<') depth++;
    if (depth <= kept) out += char;
    // Not the arrow of a function's result.
    if (char !== '>' || name[at - 1] === '-') continue;
    depth = Math.max(0, depth - 1);
    if (depth === 0) kept = 0;
  }
  const open = out.indexOf('(', out.startsWith('(anonymous') ? 1 : 0);
  return open > 0 && !/operator\($/.test(out.slice(0, open + 1)) && !out.startsWith('(anonymous', open)
    ? out.slice(0, open)
    : out;
}

export function protocolName({ facts }: Pick<Socket, 'facts'>): string {
  if (facts === undefined) return '?';
  if (facts.family === 1) return 'unix';
  return { 1: 'icmp', 6: 'tcp', 17: 'udp', 132: 'sctp', 262: 'mptcp' }[facts.protocol] ?? `protocol ${facts.protocol}`;
}

class Codes {
  readonly #numbers = new Map<string, number>();
  readonly list: { number: number; calls: string[]; frames: readonly string[] }[] = [];

  of(call: Call | undefined): number | undefined {
    if (call === undefined || call.stack.length === 0) return undefined;
    const key = call.stack.join('\n');
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.list.length + 1;
      this.#numbers.set(key, number);
      this.list.push({ number, calls: [], frames: call.stack });
    }
    const what = call.option === undefined ? call.call : `${call.call} ${call.option.name}`;
    const calls = this.list[number - 1]?.calls;
    if (calls !== undefined && !calls.includes(what)) calls.push(what);
    return number;
  }
}

const isListener = (socket: Socket): boolean =>
  socket.facts?.state === 10 || socket.calls.some(({ call, ret }) => call === 'listen' && ret === 0);
const isConnection = (socket: Socket): boolean =>
  !isListener(socket) &&
  (socket.made?.call === 'accept' ||
    socket.calls.some(({ call }) => call === 'connect') ||
    (socket.facts?.peer ?? '') !== '');
const internet = ({ facts }: Socket): boolean => facts?.family === 2 || facts?.family === 10;
const setting = (socket: Socket, name: string): Call | undefined =>
  socket.calls.findLast(({ call, option, ret }) => call === 'setsockopt' && option?.name === name && ret === 0);

/** Works out the report of all that is known now; `containerOf` says where a process runs, '' for here. */
export function makeReport(
  sockets: Sockets,
  errorName: (ret: number) => string,
  containerOf: (pid: number) => string = () => '',
): Report {
  const all = sockets.all();
  const codes = new Codes();
  const findings: string[] = [];
  const listening = all.filter((socket) => isListener(socket));
  const connected = all.filter((socket) => isConnection(socket) && internet(socket));
  for (const group of groups(listening)) findings.push(...listenerFindings(group, connected, codes, errorName));
  findings.push(...failureFindings(all, codes, errorName));
  const unseen: string[] = [];
  for (const [pid, comm] of sockets.ioUring)
    unseen.push(
      `${comm} (pid ${pid}) uses io_uring: what it does to sockets through it is no system call, and is not shown`,
    );
  if (sockets.receivedUnseen > 0)
    unseen.push(
      `${sockets.receivedUnseen} descriptors arrived over UNIX sockets behind the first of their messages; they are known from their next call on`,
    );
  if (sockets.stackless > 0)
    unseen.push(
      `${sockets.stackless} connections were accepted faster than ${mostStacks} a second: their code is not told one by one, but as that of others like them`,
    );
  if (sockets.forgotten > 0) unseen.push(`${sockets.forgotten} sockets that have ended were let go to bound memory`);
  const left = all.reduce((sum, socket) => sum + socket.callsLeft, 0);
  if (left > 0) unseen.push(`${left} calls on sockets with very many calls were counted only`);
  return {
    findings,
    listeners: listening.map((socket) => ({
      ...listenerRow(socket, codes),
      container: containerOf(socket.descriptor.pid),
    })),
    connections: connected.map((socket) => ({
      ...connectionRow(socket, codes, errorName),
      container: containerOf(socket.descriptor.pid),
    })),
    code: codes.list,
    unseen,
  };
}

const who = (...sockets: readonly Socket[]): string => {
  const [{ descriptor }] = sockets as [Socket];
  const numbers = [...new Set(sockets.map((one) => one.descriptor.fd))];
  return `${descriptor.comm} (pid ${descriptor.pid}, fd ${numbers.join(', ')})`;
};

/** Listeners of one process on one address: with SO_REUSEPORT a server has one for each of its threads. */
function groups(listening: readonly Socket[]): Iterable<readonly [Socket, ...Socket[]]> {
  const found = new Map<string, [Socket, ...Socket[]]>();
  for (const socket of listening) {
    const key = `${addressOf(socket)} ${protocolName(socket)} ${socket.descriptor.pid}`;
    const group = found.get(key);
    if (group === undefined) found.set(key, [socket]);
    else group.push(socket);
  }
  return found.values();
}

function by(call: Call | undefined, codes: Codes): string {
  if (call === undefined) return '';
  const number = codes.of(call);
  const names = chain(call.stack);
  if (number === undefined) return '';
  return names === '' ? `, by the code of [${number}]` : `, by ${names} [${number}]`;
}

function addressOf(socket: Socket): string {
  if (socket.path !== '') return socket.path;
  return socket.facts?.local || 'an unnamed address';
}

const portOf = (address: string): string => address.slice(address.lastIndexOf(':') + 1);

function listenerFindings(
  group: readonly [Socket, ...Socket[]],
  connections: readonly Socket[],
  codes: Codes,
  errorName: (ret: number) => string,
): string[] {
  const [socket] = group;
  const listen = socket.calls.findLast(({ call, ret }) => call === 'listen' && ret === 0);
  const bind = socket.calls.find(({ call, ret }) => call === 'bind' && ret === 0);
  const address = addressOf(socket);
  const since = listen === undefined ? ', since before the trace began' : '';
  const verb = group.some(({ ended }) => ended === undefined) ? 'is' : 'was';
  const subject = internet(socket)
    ? `Port ${portOf(address)} (${address}, ${protocolName(socket)})`
    : `${address} (unix)`;
  const backlog = `with a backlog of ${socket.facts?.backlog ?? '?'}`;
  const several = group.length > 1 ? `, ${group.length} sockets` : '';
  const out = [`${subject} ${verb} listened on by ${who(...group)}${since}${by(listen, codes)}, ${backlog}${several}.`];
  if (!internet(socket)) return out;
  for (const [name, isSet] of [
    ['SO_REUSEADDR', group.every(({ facts }) => facts?.reuseAddress)],
    ['SO_REUSEPORT', group.every(({ facts }) => facts?.reusePort)],
  ] as const) {
    const set = setting(socket, name);
    if (!isSet) {
      if (name === 'SO_REUSEADDR') out.push(`  ${name} ${verb} not set on it.`);
      continue;
    }
    const order = set === undefined || bind === undefined ? '' : set.at < bind.at ? ', before bind' : ', after bind';
    out.push(
      `  ${name} ${verb} set on it${by(set, codes)}${set === undefined ? ', since before the trace began' : order}.`,
    );
  }
  const own = connections.filter((one) => one.listener !== undefined && group.includes(one.listener));
  if (own.length > 0) out.push(...noDelayFindings(socket, own, codes));
  const spurious = group.reduce((sum, one) => sum + one.spuriousAccepts, 0);
  if (spurious > 0) {
    out.push(
      `  ${times(spurious, 'time')} accept() gave ${errorName(-11)} right after epoll had reported a connection: another thread or process took it.`,
    );
  }
  return out;
}

const times = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

function noDelayFindings(listener: Socket, own: readonly Socket[], codes: Codes): string[] {
  const set = own.filter((one) => one.facts?.noDelay || setting(one, 'TCP_NODELAY')?.option?.value === 'on');
  const calls = set.map((one) => [one, setting(one, 'TCP_NODELAY')] as const);
  const delays = calls.flatMap(([one, call]) => (one.made && call ? [call.at - one.made.at - one.made.took] : []));
  const subject =
    own.length === 1 ? 'The accepted connection has' : `Of ${own.length} accepted connections, ${set.length} have`;
  if (set.length === 0) {
    const none =
      own.length === 1
        ? 'The accepted connection does not have TCP_NODELAY'
        : `None of the ${own.length} accepted connections has TCP_NODELAY`;
    return [`  ${none}.`];
  }
  if (delays.length === 0) {
    return [
      `  ${subject} TCP_NODELAY, as the listening socket has it${listener.facts?.noDelay ? '' : ' had'}: nobody set it after accept.`,
    ];
  }
  const middle = delays.sort((a, b) => a - b)[Math.floor(delays.length / 2)] as number;
  const sample = calls.find(([, call]) => (call?.stack.length ?? 0) > 0)?.[1];
  return [
    `  ${subject} TCP_NODELAY, set${by(sample, codes).replace(/^,/, '')}, ${durationText(middle)} after accept${delays.length > 1 ? ' (median)' : ''}.`,
  ];
}

function failureFindings(sockets: readonly Socket[], codes: Codes, errorName: (ret: number) => string): string[] {
  const counted = new Map<string, { count: number; sample: Call; socket: Socket }>();
  for (const socket of sockets) {
    // Libraries look for UNIX sockets that need not be there.
    if (!internet(socket)) continue;
    for (const call of socket.calls) {
      // A connect() that goes on in the background has not failed.
      if (call.ret >= 0 || (call.call === 'connect' && errorName(call.ret) === 'EINPROGRESS')) continue;
      const key = `${call.call} ${call.ret} ${call.address ?? call.option?.name ?? ''} ${call.pid} ${call.stack.join()}`;
      const known = counted.get(key);
      if (known === undefined) counted.set(key, { count: 1, sample: call, socket });
      else known.count++;
    }
  }
  return [...counted.values()].map(({ count, sample, socket }) => {
    const what = sample.option === undefined ? (sample.address ?? '') : `${sample.option.level}, ${sample.option.name}`;
    return `${sample.call}(${what}) failed with ${errorName(sample.ret)}${count > 1 ? `, ${count} times` : ''}, in ${who(socket)}${by(sample, codes)}.`;
  });
}

function listenerRow(socket: Socket, codes: Codes): Omit<Listener, 'container'> {
  const { descriptor, facts } = socket;
  return {
    address: addressOf(socket),
    ...descriptor,
    protocol: protocolName(socket),
    backlog: facts?.backlog ?? 0,
    waiting: facts?.queue ?? 0,
    reuseAddress: facts?.reuseAddress ?? false,
    reusePort: facts?.reusePort ?? false,
    accepted: socket.accepted,
    emptyAccepts: socket.emptyAccepts,
    spuriousAccepts: socket.spuriousAccepts,
    listenedBy: codes.of(socket.calls.findLast(({ call, ret }) => call === 'listen' && ret === 0)),
    boundBy: codes.of(socket.calls.find(({ call, ret }) => call === 'bind' && ret === 0)),
    open: socket.ended === undefined,
  };
}

function connectionRow(
  socket: Socket,
  codes: Codes,
  errorName: (ret: number) => string,
): Omit<Connection, 'container'> {
  const { descriptor, facts, made, ended, listener } = socket;
  const connect = socket.calls.find(({ call }) => call === 'connect');
  const last = socket.calls.findLast(({ call }) => call === 'connect');
  const background = last !== undefined && errorName(last.ret) === 'EINPROGRESS';
  const established = facts !== undefined && facts.state !== 7 && facts.state !== 2;
  const noDelay = setting(socket, 'TCP_NODELAY');
  return {
    local: facts?.local ?? '',
    peer: facts?.peer || connect?.address || '',
    ...descriptor,
    protocol: protocolName(socket),
    way: made?.call === 'accept' ? 'accepted' : connect === undefined ? 'open before' : 'connected',
    listener: listener === undefined ? undefined : addressOf(listener),
    result:
      last === undefined || last.ret === 0
        ? 'ok'
        : background
          ? established
            ? 'ok, in the background'
            : 'in the background'
          : errorName(last.ret),
    noDelay: facts?.noDelay || noDelay?.option?.value === 'on' || false,
    keepAlive: facts?.keepAlive ?? false,
    ...bytesOf(socket, connect !== undefined),
    lifetime: made === undefined || ended === undefined ? undefined : ended.at - made.at - made.took,
    open: ended === undefined,
    madeBy: codes.of(connect ?? made),
    noDelayBy: codes.of(noDelay),
  };
}

/** States in which the peer's FIN has come (CLOSE_WAIT, LAST_ACK, CLOSING, TIME_WAIT), and in which it has the own one (FIN_WAIT2, TIME_WAIT). */
const finReceived: ReadonlySet<number> = new Set([6, 8, 9, 11]);
const finAcknowledged: ReadonlySet<number> = new Set([5, 6]);
const CLOSED = 7;

/** Bytes of the program's own: the kernel counts the SYN and the FIN as one each (net/ipv4/tcp_input.c). */
function bytesOf({ facts }: Socket, connects: boolean): { readonly received: number; readonly sent: number } {
  if (facts === undefined || facts.protocol !== 6) return { received: 0, sent: 0 };
  const over = (bit: number): boolean => facts.state === CLOSED && (facts.shutdown & bit) !== 0;
  const more = Number(finReceived.has(facts.state) || over(1));
  const moreSent = Number(connects) + Number(finAcknowledged.has(facts.state) || over(2));
  return { received: Math.max(0, facts.received - more), sent: Math.max(0, facts.sent - moreSent) };
}

export function durationText(nanoseconds: number): string {
  for (const [size, unit] of [
    [1e9, 's'],
    [1e6, 'ms'],
    [1e3, 'µs'],
  ] as const) {
    if (nanoseconds >= size) return `${(nanoseconds / size).toFixed(nanoseconds >= 10 * size ? 0 : 1)} ${unit}`;
  }
  return `${Math.round(nanoseconds)} ns`;
}

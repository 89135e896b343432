/**
 * The sockets of a trace, from their events: who made them, what was set and when, where
 * they listen, whom they accepted, how they ended. Events come in the order of the ring
 * buffer, which is nearly that of time.
 */
import { type Facts, readSockaddr, type SocketEvent } from './event.ts';
import type { OptionText, SocketOptions } from './options.ts';

/** A call that did something to a socket. */
export interface Call
  extends Pick<SocketEvent, 'call' | 'at' | 'took' | 'pid' | 'tid' | 'comm' | 'thread' | 'fd' | 'ret' | 'stack'> {
  /** setsockopt and getsockopt. */
  readonly option?: OptionText;
  /** bind and connect: the address as the program gave it. */
  readonly address?: string;
  /** listen: the backlog asked for; accept: the listener's identity. */
  readonly backlog?: number;
  readonly spurious?: boolean;
  /** socket: with SOCK_CLOEXEC. */
  readonly closeOnExec?: boolean;
}

/** How the last descriptor went: by close(), with its process, by exec(), or unseen. */
export type Ending = 'close' | 'exit' | 'exec' | 'unseen';

/** A number of a process that leads to a socket, and the thread that used it last; 0 and '' before any call. */
export interface Descriptor {
  readonly pid: number;
  readonly fd: number;
  readonly comm: string;
  readonly tid: number;
  readonly thread: string;
}

export interface Socket {
  readonly sk: string;
  /** undefined: it was open before the trace began, or came from where nobody looked. */
  readonly made: Call | undefined;
  /** The socket whose accept() made it. */
  readonly listener: Socket | undefined;
  /** As last seen. */
  facts: Facts | undefined;
  /** When a look at what is open showed it last, CLOCK_MONOTONIC; 0 for never. Calls are told later than a look. */
  looked: number;
  /** A UNIX socket's path. */
  path: string;
  /** `pid:fd` of the descriptors that lead to it, with the process's name. */
  readonly descriptors: Map<string, string>;
  /** The last one, also when it has been closed. */
  descriptor: Descriptor;
  readonly calls: Call[];
  /** Calls beyond those that are kept. */
  callsLeft: number;
  accepted: number;
  /** accept() that found nobody: in all, and right after epoll had said that somebody is there. */
  emptyAccepts: number;
  spuriousAccepts: number;
  /** When the last descriptor went, CLOCK_MONOTONIC. */
  ended: { readonly at: number; readonly how: Ending } | undefined;
}

const SOCK_CLOEXEC = 0o2000000;
/** Calls kept for one socket. */
const mostCalls = 64;
/** Sockets kept that have ended; of more, the first go, and are counted. */
const mostEnded = 20_000;

export class Sockets {
  readonly #options: SocketOptions;
  readonly #open = new Map<string, Socket>();
  readonly #ended = new Set<Socket>();
  /** The one that ended last at an address. */
  readonly #endedAt = new Map<string, Socket>();
  /** Sockets by descriptor, `pid:fd`. */
  readonly #descriptors = new Map<string, Socket>();
  /** Connections whose accept() came too fast for a stack of its own. */
  stackless: number = 0;
  /** Ended sockets that were let go. */
  forgotten: number = 0;
  /** Processes that made an io_uring: what they do through it is no system call. */
  readonly ioUring: Map<number, string> = new Map();
  /** Descriptors that arrived over UNIX sockets, and those of them that were no first one of their message. */
  received: number = 0;
  receivedUnseen: number = 0;

  constructor(options: SocketOptions) {
    this.#options = options;
  }

  /** All, in the order they were made. */
  all(): Socket[] {
    return [...this.#ended, ...this.#open.values()];
  }

  /** Those that have a socket open. */
  processes(): ReadonlySet<number> {
    return new Set([...this.#descriptors.keys()].map((name) => Number(name.split(':')[0])));
  }

  /** Takes an event; gives the call when it was one. */
  take(event: SocketEvent): Call | undefined {
    switch (event.call) {
      case 'open':
      case 'last':
        this.#seen(event);
        return undefined;
      case 'dup':
      case 'received':
        if (event.call === 'received') {
          this.received += event.numbers['descriptors'] ?? 1;
          this.receivedUnseen += Math.max(0, (event.numbers['descriptors'] ?? 1) - 1);
        }
        if (event.sk !== '') this.#leads(this.#socket(event), event);
        return undefined;
      case 'fork':
        this.#fork(event);
        return undefined;
      case 'exec':
        // Those that were made to go then (SOCK_CLOEXEC); what else went, the next look at the open ones tells.
        for (const [name, socket] of this.#descriptors) {
          if (name.startsWith(`${event.pid}:`) && socket.made?.closeOnExec) this.#gone(name, socket, event.at, 'exec');
        }
        return undefined;
      case 'exit':
        for (const [name, socket] of this.#descriptors)
          if (name.startsWith(`${event.pid}:`)) this.#gone(name, socket, event.at, 'exit');
        return undefined;
      case 'empty': {
        const listener = this.#open.get(event.sk);
        if (listener === undefined) return undefined;
        listener.emptyAccepts = event.numbers['empty'] ?? 0;
        listener.spuriousAccepts = event.numbers['spurious'] ?? 0;
        return undefined;
      }
      case 'io_uring':
        this.ioUring.set(event.pid, event.comm);
        return undefined;
      default:
        return this.#call(event);
    }
  }

  /** What a look at the open sockets shows; new ones become known, known ones get their present options. */
  #seen(event: SocketEvent): void {
    const socket = this.#socket(event);
    renew(socket, event.facts);
    socket.looked = event.at;
    if (event.text !== '') socket.path = event.text;
    this.#leads(socket, event);
  }

  /**
   * After a look at all open sockets of the processes (all processes without them), at
   * that time: descriptors that it did not show, and that were there before, are gone.
   * `seen` holds `pid:fd`.
   */
  settle(seen: ReadonlySet<string>, pids: ReadonlySet<number>, at: number): void {
    for (const [name, socket] of [...this.#descriptors]) {
      const looked = pids.size === 0 || pids.has(Number(name.split(':')[0]));
      const before = socket.calls.every((call) => call.at + call.took < at);
      if (looked && before && !seen.has(name)) this.#gone(name, socket, at, 'unseen');
    }
  }

  #call(event: SocketEvent): Call {
    const { call, at, took, pid, tid, comm, thread, fd, ret, stack, numbers } = event;
    const made: Call = {
      ...{ call, at, took, pid, tid, comm, thread, fd, ret, stack },
      ...(call === 'setsockopt' || call === 'getsockopt'
        ? {
            option: this.#options.read(
              numbers['level'] ?? 0,
              numbers['option'] ?? 0,
              event.bytes,
              numbers['size'] ?? 0,
            ),
          }
        : {}),
      ...(call === 'bind' || call === 'connect' ? { address: readSockaddr(event.bytes, numbers['size'] ?? 0) } : {}),
      ...(call === 'listen' ? { backlog: numbers['asked'] ?? 0 } : {}),
      ...(call === 'socket' ? { closeOnExec: ((numbers['flags'] ?? 0) & SOCK_CLOEXEC) !== 0 } : {}),
      ...(call === 'accept' ? { spurious: numbers['spurious'] === 1 } : {}),
    };
    if (call === 'accept') {
      const listener = this.#socketOf(event.text, { ...event, fd: numbers['listener_fd'] ?? -1 });
      if (listener !== undefined) this.#accept(listener, event, made);
      return made;
    }
    if (call === 'socket' && event.sk !== '') {
      this.#begin(event, made, undefined);
      return made;
    }
    if (event.sk === '') return made;
    const socket = this.#socket(event);
    if (at + took >= socket.looked) renew(socket, event.facts);
    if (made.address !== undefined && event.facts?.family === 1 && call === 'bind' && ret === 0)
      socket.path = made.address;
    this.#keep(socket, made);
    if (call === 'close') this.#close(socket, event);
    else this.#leads(socket, event);
    return made;
  }

  /** A socket that a look has shown since is another one, which the kernel has put in its place. */
  #close(socket: Socket, event: SocketEvent): void {
    const { pid, fd, at } = event;
    const { looked, facts, path, descriptors } = socket;
    const shown = looked > at && descriptors.has(`${pid}:${fd}`);
    if (shown)
      Object.assign(socket, { looked: 0, facts: event.facts, descriptors: new Map([[`${pid}:${fd}`, event.comm]]) });
    this.#gone(`${pid}:${fd}`, socket, at, 'close');
    if (!shown) return;
    const next = this.#create({ ...event, facts }, undefined, undefined);
    Object.assign(next, { looked, path });
    this.#inherit(next, descriptors);
  }

  #accept(listener: Socket, event: SocketEvent, made: Call): void {
    if (event.ret < 0) {
      // Those that found nobody are counted by the kernel.
      if (event.ret !== -11) this.#keep(listener, made);
      return;
    }
    listener.accepted++;
    // The call that accepts, once for each piece of code that does.
    const known = made.stack.length === 0 || listener.calls.some((one) => one.call === 'accept' && isSame(one, made));
    if (!known) this.#keep(listener, made);
    if (made.stack.length === 0) this.stackless++;
    this.#begin(event, made, listener);
  }

  #keep(socket: Socket, call: Call): void {
    if (socket.calls.length < mostCalls) socket.calls.push(call);
    else socket.callsLeft++;
  }

  /** A new socket; another one with the same address has ended unseen, unless a look has shown this one already. */
  #begin(event: SocketEvent, made: Call, listener: Socket | undefined): Socket {
    const before = this.#open.get(event.sk);
    const same = before !== undefined && before.made === undefined && before.looked >= made.at;
    if (before !== undefined && !same) {
      for (const name of before.descriptors.keys()) this.#descriptors.delete(name);
      this.#end(before, event.at, 'close');
    }
    const socket = this.#create(event, made, listener);
    if (same) {
      const { facts, looked, path, accepted, emptyAccepts, spuriousAccepts } = before;
      Object.assign(socket, { facts, looked, path, accepted, emptyAccepts, spuriousAccepts });
      this.#inherit(socket, before.descriptors);
    }
    this.#keep(socket, made);
    this.#leads(socket, event);
    return socket;
  }

  /** Descriptors that led to another one lead to this socket. */
  #inherit(socket: Socket, descriptors: ReadonlyMap<string, string>): void {
    for (const [name, comm] of descriptors) {
      this.#descriptors.set(name, socket);
      socket.descriptors.set(name, comm);
    }
  }

  #create(event: SocketEvent, made: Call | undefined, listener: Socket | undefined): Socket {
    const { pid, fd, comm, tid, thread, sk, facts } = event;
    this.#endedAt.delete(sk);
    const socket: Socket = {
      ...{
        sk,
        made,
        listener,
        facts,
        path: '',
        descriptors: new Map(),
        descriptor: { pid, fd, comm, tid, thread },
        calls: [],
        callsLeft: 0,
      },
      ...{ looked: 0, accepted: 0, emptyAccepts: 0, spuriousAccepts: 0, ended: undefined },
    };
    this.#open.set(sk, socket);
    return socket;
  }

  #socket(event: SocketEvent): Socket {
    return this.#open.get(event.sk) ?? this.#revived(event) ?? this.#create(event, undefined, undefined);
  }

  /**
   * One that was on its way in a message when its sender closed it, or that a look did not
   * show any more, while what was done to it before has still to be told.
   */
  #revived({ call, sk }: SocketEvent): Socket | undefined {
    const socket = this.#endedAt.get(sk);
    if (socket === undefined || (call !== 'received' && socket.ended?.how !== 'unseen')) return undefined;
    this.#endedAt.delete(sk);
    this.#ended.delete(socket);
    socket.ended = undefined;
    this.#open.set(sk, socket);
    return socket;
  }

  #socketOf(sk: string, event: SocketEvent): Socket | undefined {
    return sk === '' ? undefined : this.#socket({ ...event, sk, facts: undefined });
  }

  /** A descriptor leads to a socket; what it led to before has been closed unseen. */
  #leads(socket: Socket, { pid, fd, comm, tid, thread, at }: SocketEvent): void {
    const name = `${pid}:${fd}`;
    const before = this.#descriptors.get(name);
    // A look has shown what it leads to since: this is told late.
    const newer = before !== undefined && before !== socket && before.looked > at;
    if (before !== undefined && before !== socket && !newer) this.#gone(name, before, at, 'close');
    if (!newer) this.#descriptors.set(name, socket);
    socket.descriptors.set(name, comm);
    const last = socket.descriptor;
    // A look at what is open knows no thread.
    const kept = tid === 0 && last.pid === pid && last.fd === fd;
    socket.descriptor = { pid, fd, comm, tid: kept ? last.tid : tid, thread: kept ? last.thread : thread };
  }

  #fork({ pid, comm, numbers }: SocketEvent): void {
    const child = numbers['child'] ?? 0;
    for (const [name, socket] of [...this.#descriptors]) {
      if (!name.startsWith(`${pid}:`)) continue;
      const copy = `${child}:${name.slice(name.indexOf(':') + 1)}`;
      this.#descriptors.set(copy, socket);
      socket.descriptors.set(copy, comm);
    }
  }

  #gone(name: string, socket: Socket, at: number, how: Ending): void {
    if (this.#descriptors.get(name) === socket) this.#descriptors.delete(name);
    socket.descriptors.delete(name);
    if (socket.descriptors.size === 0) this.#end(socket, at, how);
  }

  #end(socket: Socket, at: number, how: Ending): void {
    if (this.#open.get(socket.sk) === socket) this.#open.delete(socket.sk);
    socket.ended = { at, how };
    this.#ended.add(socket);
    this.#endedAt.set(socket.sk, socket);
    if (this.#ended.size <= mostEnded) return;
    const [first] = this.#ended;
    if (first === undefined) return;
    this.#ended.delete(first);
    if (this.#endedAt.get(first.sk) === first) this.#endedAt.delete(first.sk);
    this.forgotten++;
  }
}

const isSame = (one: Call, other: Call): boolean =>
  one.stack === other.stack || one.stack.join() === other.stack.join();

/** What is known anew; the addresses of a connection that has ended are those it had. */
function renew(socket: Socket, facts: Facts | undefined): void {
  if (facts === undefined) return;
  const { local = '', peer = '' } = socket.facts ?? {};
  socket.facts = {
    ...facts,
    local: /^$|:0$/.test(facts.local) ? local || facts.local : facts.local,
    peer: facts.peer || peer,
  };
}

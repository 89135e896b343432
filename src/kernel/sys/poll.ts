/** epoll(7) and eventfd(2). */
import { addressOf, addressOfKept, systemCall, systemCallAsync, trySystemCall } from './native.ts';

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLLIN = 1;
const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;
/** sizeof(struct epoll_event): packed on x86-64 only. */
const eventSize = process.arch === 'x64' ? 12 : 16;
const dataOffset = eventSize - 8;

export function epollCreate(): number {
  return systemCall('epoll_create1', 'epoll_create1', EPOLL_CLOEXEC);
}

/** Adds a file descriptor, level-triggered for input; `token` (u32) comes back from the wait. */
export function epollAdd(epoll: number, fd: number, token: number): void {
  const event = new DataView(new ArrayBuffer(eventSize));
  event.setUint32(0, EPOLLIN, true);
  event.setUint32(dataOffset, token, true);
  systemCall('epoll_ctl', 'epoll_ctl', epoll, EPOLL_CTL_ADD, fd, addressOf(event));
}

/** Room for the events of a wait, reused by the next. */
export class EpollEvents {
  readonly #view: DataView;
  readonly room: number;
  constructor(room: number) {
    this.room = room;
    this.#view = new DataView(new ArrayBuffer(room * eventSize));
  }
  get address(): number {
    return addressOfKept(this.#view);
  }
  /** The token of the event at `index`. */
  token(index: number): number {
    return this.#view.getUint32(index * eventSize + dataOffset, true);
  }
}

/** Waits on a pool thread until there is input; gives the number of events. The epoll must stay open until then. */
export async function epollWait(epoll: number, events: EpollEvents): Promise<number> {
  const count = await systemCallAsync('epoll_pwait', epoll, events.address, events.room, -1, 0, 8);
  return count < 0 ? epollPoll(epoll, events) : count;
}

const EINTR = 4;

/** Asks without waiting. */
export function epollPoll(epoll: number, events: EpollEvents): number {
  const count = trySystemCall('epoll_pwait', epoll, events.address, events.room, 0, 0, 8);
  if (count === -EINTR) return 0;
  if (count < 0) return systemCall('epoll_pwait', 'epoll_pwait', epoll, events.address, events.room, 0, 0, 8);
  return count;
}

export function eventfd(): number {
  return systemCall('eventfd2', 'eventfd2', 0, EFD_CLOEXEC | EFD_NONBLOCK);
}

/** Makes an eventfd readable. */
export function eventfdSignal(fd: number): void {
  const one = new BigUint64Array([1n]);
  trySystemCall('write', fd, addressOf(one), 8);
}

/** Makes an eventfd unreadable again. */
export function eventfdClear(fd: number): void {
  trySystemCall('read', fd, addressOf(new BigUint64Array(1)), 8);
}

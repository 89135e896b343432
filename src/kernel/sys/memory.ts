/** Memory shared with the kernel: mmap(2) as ArrayBuffers. */
import { systemCall, trySystemCall, viewMemory } from './native.ts';

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const MAP_PRIVATE = 2;

/** A mapping of a file descriptor, ended by close(). */
export interface Mapping {
  /** The mapped bytes themselves; zeros that mean nothing after close(). */
  readonly buffer: ArrayBuffer;
  /** Shows the bytes from another offset (a multiple of the page size) in the same buffer. */
  move(offset: number): void;
  close(): void;
}

/** Gives address space back when V8 has collected the last view of it. */
const collected = new FinalizationRegistry(({ address, size }: { readonly address: number; readonly size: number }) => {
  trySystemCall('munmap', address, size);
});

/**
 * Maps `size` bytes of a file descriptor from `offset`, shared. Writing to a mapping
 * made with `writable` false ends the process (SIGSEGV): nothing in V8 guards it.
 */
export function mapMemory(fd: number, size: number, offset: number, writable: boolean): Mapping {
  const protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  const address = systemCall(`mmap of ${size} bytes`, 'mmap', 0, size, protection, MAP_SHARED, fd, offset);
  const buffer = viewMemory(address, size);
  collected.register(buffer, { address, size });
  let open = true;
  return {
    buffer,
    move(offset) {
      if (open) systemCall('mmap', 'mmap', address, size, protection, MAP_SHARED | MAP_FIXED, fd, offset);
    },
    close() {
      if (!open) return;
      open = false;
      // A view that somebody kept must not lead into whatever is mapped here next: empty
      // pages take the place (and let go of the descriptor's memory) until it is collected.
      const flags = MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS;
      systemCall('mmap', 'mmap', address, size, PROT_READ | PROT_WRITE, flags, -1, 0);
    },
  };
}

/**
 * Maps a file for reading, for as long as the process lives; undefined when the kernel
 * cannot map it. /sys/kernel/btf/vmlinux can be mapped since Linux 6.16, but not shared.
 */
export function mapForReading(fd: number, size: number): Uint8Array | undefined {
  const address = trySystemCall('mmap', 0, size, PROT_READ, MAP_PRIVATE, fd, 0);
  return address < 0 ? undefined : new Uint8Array(viewMemory(address, size));
}

const MAP_FIXED_NOREPLACE = 0x100000;
const pageBytes = 4096n;

/**
 * Puts words at given addresses of this process, in pages of their own that hold zeros
 * besides, as somebody else's memory is looked at in tests. Fails with EEXIST where
 * something is mapped already.
 */
export function placeMemory(words: readonly (readonly [address: bigint, value: bigint])[]): { close(): void } {
  const pages = new Map<bigint, DataView>();
  const close = (): void => {
    for (const page of pages.keys()) trySystemCall('munmap', Number(page * pageBytes), Number(pageBytes));
  };
  try {
    for (const [address, value] of words) {
      for (let byte = 0n; byte < 8n; byte++) {
        const page = (address + byte) / pageBytes;
        let view = pages.get(page);
        if (view === undefined) {
          const flags = MAP_PRIVATE | MAP_FIXED_NOREPLACE | MAP_ANONYMOUS;
          const at = Number(page * pageBytes);
          systemCall('mmap', 'mmap', at, Number(pageBytes), PROT_READ | PROT_WRITE, flags, -1, 0);
          view = new DataView(viewMemory(at, Number(pageBytes)));
          pages.set(page, view);
        }
        view.setUint8(Number((address + byte) % pageBytes), Number((value >> (8n * byte)) & 0xffn));
      }
    }
  } catch (error) {
    close();
    throw error;
  }
  return { close };
}

/**
 * How bytes that come out of the kernel (event records, map keys and values) are to
 * be read: finite, plain and serialisable, unlike the type model it is made from.
 * All numbers are little-endian. Sizes and offsets are in bytes.
 */
export type Schema =
  | { readonly kind: 'int'; readonly size: 1 | 2 | 4 | 8; readonly signed: boolean }
  | { readonly kind: 'bool' } // 1 byte
  | { readonly kind: 'float'; readonly size: 4 | 8 }
  | {
      readonly kind: 'enum';
      readonly size: 1 | 2 | 4 | 8;
      readonly signed: boolean;
      readonly name: string;
      /** value in decimal → name; decimal strings keep the Program serialisable. */
      readonly members: readonly (readonly [value: string, name: string])[];
    }
  | { readonly kind: 'pointer' } // u64, printed as 0x…
  /** u64 address of a function of the traced process, whose number an event's record has at its start. */
  | { readonly kind: 'code' }
  /** NUL-terminated in `size` bytes. `trailer`: when byte size-1 is not NUL the text was cut. */
  | { readonly kind: 'string'; readonly size: number; readonly typeName?: true }
  /** u32 length, then `size` bytes of room (total 4 + size). */
  | { readonly kind: 'buffer'; readonly size: number }
  | { readonly kind: 'array'; readonly of: Schema; readonly length: number }
  | {
      readonly kind: 'tuple';
      readonly size: number;
      readonly elements: readonly { readonly offset: number; readonly schema: Schema }[];
    }
  | {
      readonly kind: 'record';
      readonly name: string;
      readonly size: number;
      readonly fields: readonly {
        readonly name: string;
        readonly offset: number;
        readonly schema: Schema;
        readonly bits?: { readonly offset: number; readonly width: number };
      }[];
    }
  /** i64 status (a negative errno: the value could not be read), then the value. */
  | { readonly kind: 'checked'; readonly of: Schema }
  /** The value stands `offset` bytes further on. */
  | { readonly kind: 'within'; readonly offset: number; readonly of: Schema; readonly size: number }
  /** i64 length (a negative errno: it could not be read), then at most `limit` bytes, not NUL-terminated. */
  | { readonly kind: 'text'; readonly limit: number }
  /** u64 number of elements, u64 how many of them follow, then these: at most `limit`, `stride` bytes each. */
  | { readonly kind: 'elements'; readonly of: Schema; readonly stride: number; readonly limit: number }
  /**
   * Something that can be called: u64 address of what calls it (0: nothing), u64 address of
   * a plain function, and the mangled name of its class, NUL-terminated in `name` bytes.
   */
  | { readonly kind: 'callable'; readonly name: number }
  /** The type and the value that an interface of Go holds, as GoInterfaceLayout says; texts of at most `limit` bytes. */
  | { readonly kind: 'go_interface'; readonly limit: number }
  /** u64 address, then what is there unless it is 0. */
  | { readonly kind: 'pointed'; readonly of: Schema }
  /** u64 which case, then its value; null for a case that has none; '' takes the numbers that no other has. */
  | {
      readonly kind: 'case';
      readonly size: number;
      readonly cases: readonly (readonly [value: string, name: string, of: Schema | null])[];
    }
  | { readonly kind: 'inet' } // u32 family (AF_INET 2, AF_INET6 10), 16 bytes: 20 in all
  | { readonly kind: 'mac_address' } // 6 bytes
  /** Takes no bytes: a value that could not be had, and why. */
  | { readonly kind: 'unavailable'; readonly reason: string }
  /**
   * A stack. `inline`: u32 tgid, i32 byte count from bpf_get_stack (negative: errno),
   * then `limit` u64 addresses (room; only count/8 are valid). `id`: u32 tgid, i32
   * stack id in map `stacks` (negative: errno), or with `counted` i16 stack id and u16
   * frames. `unwound`: u32 tgid, u16 frames, u8
   * number of its StackEnd, u8 flags, then the addresses, or (`id`) u64 key in map `stacks`.
   */
  | {
      readonly kind: 'ustack' | 'kstack';
      readonly form: 'inline' | 'id';
      readonly mode: 'bpftrace' | 'perf' | 'raw' | 'build_id';
      readonly limit: number;
      /** Taken by insitu's own unwinder. */
      readonly unwound?: boolean;
      /** Form id: the script asks for the number of frames. */
      readonly counted?: boolean;
      /** Index of the stack map in Program.maps, for form id. */
      readonly stacks?: number;
    }
  | { readonly kind: 'usym' } // u64 address, u32 tgid, u32 0
  | { readonly kind: 'ksym' } // u64
  /** u64 nanoseconds of `clock`, shown as wall-clock time through strftime(3). */
  | { readonly kind: 'timestamp'; readonly format: string; readonly clock: 'boot' | 'monotonic' | 'tai' | 'sw_tai' }
  /** u64 index into Program.probeNames. */
  | { readonly kind: 'probe_name' }
  | { readonly kind: 'username' } // u32 uid
  | { readonly kind: 'strerror' } // i32 errno
  | { readonly kind: 'signal_name' } // i32
  | { readonly kind: 'syscall_name' } // u32
  | { readonly kind: 'cgroup_path'; readonly pattern: string } // u64 id
  /**
   * Aggregations, as one CPU keeps them; the reader adds the CPUs up. count: u64.
   * sum: u64. min, max: u64 value, u64 is-set. avg, stats: u64 total, u64 count.
   * hist: u64 per bucket (values/histogram.ts tells how many and their bounds).
   * tseries: per interval u64 its number since 1970 (0: none), u64 value, u64 how many (avg), when (last), or is-set.
   * lhist: u64 per bucket: below min, (max-min)/step buckets, from max on.
   */
  | {
      readonly kind: 'aggregate';
      readonly aggregate: 'count' | 'sum' | 'avg' | 'min' | 'max' | 'stats';
      readonly signed: boolean;
    }
  | { readonly kind: 'hist'; readonly bits: number; readonly buckets: number }
  | {
      readonly kind: 'tseries';
      readonly signed: boolean;
      /** Nanoseconds. */
      readonly interval: string;
      readonly combine: 'last' | 'sum' | 'avg' | 'min' | 'max';
      readonly buckets: number;
    }
  | {
      readonly kind: 'lhist';
      readonly min: string;
      readonly max: string;
      readonly step: string;
      readonly buckets: number;
    };

/** Texts of the fields of a struct in an interface of Go, and their names: bytes of each. */
export const goFieldText = 64;
export const goFieldName = 32;
/** How many of its fields are taken. */
export const goFields = 8;
/** In place of the kind of a value that could not be read. */
export const goUnreadable = 64;

/** Offsets in a go_interface. A value is u64 kind (abi.Kind), 16 bytes of it, and, of a string, a text. */
export interface GoInterfaceLayout {
  /** u64 address of the type, 0 for none, stands at 0; here its name, a text. */
  readonly name: number;
  readonly value: number;
  /** i64 number of fields of the struct that it is or points to; -1: it is something else. */
  readonly count: number;
  /** The first field: its name, a text, and its value. */
  readonly fields: number;
  readonly stride: number;
  readonly size: number;
}

export function goInterfaceLayout(limit: number): GoInterfaceLayout {
  const text = (bytes: number): number => 8 + Math.ceil(bytes / 8) * 8;
  const value = 8 + text(limit);
  const count = value + 24 + text(limit);
  const stride = text(goFieldName) + 24 + text(goFieldText);
  return { name: 8, value, count, fields: count + 8, stride, size: count + 8 + goFields * stride };
}

/** Bytes that a value of the schema takes. */
export function schemaSize(schema: Schema): number {
  switch (schema.kind) {
    case 'int':
    case 'enum':
    case 'float':
    case 'string':
    case 'tuple':
    case 'record':
    case 'within':
    case 'case':
      return schema.size;
    case 'checked':
    case 'pointed':
      return 8 + schemaSize(schema.of);
    case 'text':
      return 8 + Math.ceil(schema.limit / 8) * 8;
    case 'elements':
      return 16 + schema.limit * schema.stride;
    case 'callable':
      return 16 + schema.name;
    case 'go_interface':
      return goInterfaceLayout(schema.limit).size;
    case 'bool':
      return 1;
    case 'pointer':
    case 'code':
    case 'ksym':
    case 'timestamp':
    case 'probe_name':
    case 'cgroup_path':
      return 8;
    case 'buffer':
      return 4 + schema.size;
    case 'array':
      return schema.length * schemaSize(schema.of);
    case 'inet':
      return 20;
    case 'mac_address':
      return 6;
    case 'unavailable':
      return 0;
    case 'ustack':
    case 'kstack':
      return schema.form === 'inline' ? 8 + 8 * schema.limit : schema.unwound === true ? 16 : 8;
    case 'usym':
      return 16;
    case 'username':
    case 'strerror':
    case 'signal_name':
    case 'syscall_name':
      return 4;
    case 'aggregate':
      return schema.aggregate === 'count' || schema.aggregate === 'sum' ? 8 : 16;
    case 'tseries':
      return 24 * schema.buckets;
    case 'hist':
    case 'lhist':
      return 8 * schema.buckets;
  }
}

/** Words of glibc (C locale) for errno values and signals, on Linux: strerror(3), strsignal(3). */

// biome-ignore format: a table
const errors: readonly string[] = [
  'Success', 'Operation not permitted', 'No such file or directory', 'No such process', 'Interrupted system call',
  'Input/output error', 'No such device or address', 'Argument list too long', 'Exec format error',
  'Bad file descriptor', 'No child processes', 'Resource temporarily unavailable', 'Cannot allocate memory',
  'Permission denied', 'Bad address', 'Block device required', 'Device or resource busy', 'File exists',
  'Invalid cross-device link', 'No such device', 'Not a directory', 'Is a directory', 'Invalid argument',
  'Too many open files in system', 'Too many open files', 'Inappropriate ioctl for device', 'Text file busy',
  'File too large', 'No space left on device', 'Illegal seek', 'Read-only file system', 'Too many links',
  'Broken pipe', 'Numerical argument out of domain', 'Numerical result out of range', 'Resource deadlock avoided',
  'File name too long', 'No locks available', 'Function not implemented', 'Directory not empty',
  'Too many levels of symbolic links', '', 'No message of desired type', 'Identifier removed',
  'Channel number out of range', 'Level 2 not synchronized', 'Level 3 halted', 'Level 3 reset',
  'Link number out of range', 'Protocol driver not attached', 'No CSI structure available', 'Level 2 halted',
  'Invalid exchange', 'Invalid request descriptor', 'Exchange full', 'No anode', 'Invalid request code',
  'Invalid slot', '', 'Bad font file format', 'Device not a stream', 'No data available', 'Timer expired',
  'Out of streams resources', 'Machine is not on the network', 'Package not installed', 'Object is remote',
  'Link has been severed', 'Advertise error', 'Srmount error', 'Communication error on send', 'Protocol error',
  'Multihop attempted', 'RFS specific error', 'Bad message', 'Value too large for defined data type',
  'Name not unique on network', 'File descriptor in bad state', 'Remote address changed',
  'Can not access a needed shared library', 'Accessing a corrupted shared library', '.lib section in a.out corrupted',
  'Attempting to link in too many shared libraries', 'Cannot exec a shared library directly',
  'Invalid or incomplete multibyte or wide character', 'Interrupted system call should be restarted',
  'Streams pipe error', 'Too many users', 'Socket operation on non-socket', 'Destination address required',
  'Message too long', 'Protocol wrong type for socket', 'Protocol not available', 'Protocol not supported',
  'Socket type not supported', 'Operation not supported', 'Protocol family not supported',
  'Address family not supported by protocol', 'Address already in use', 'Cannot assign requested address',
  'Network is down', 'Network is unreachable', 'Network dropped connection on reset',
  'Software caused connection abort', 'Connection reset by peer', 'No buffer space available',
  'Transport endpoint is already connected', 'Transport endpoint is not connected',
  'Cannot send after transport endpoint shutdown', 'Too many references: cannot splice', 'Connection timed out',
  'Connection refused', 'Host is down', 'No route to host', 'Operation already in progress',
  'Operation now in progress', 'Stale file handle', 'Structure needs cleaning', 'Not a XENIX named type file',
  'No XENIX semaphores available', 'Is a named type file', 'Remote I/O error', 'Disk quota exceeded',
  'No medium found', 'Wrong medium type', 'Operation canceled', 'Required key not available', 'Key has expired',
  'Key has been revoked', 'Key was rejected by service', 'Owner died', 'State not recoverable',
  'Operation not possible due to RF-kill', 'Memory page has hardware error',
];

// biome-ignore format: a table
const signals: readonly string[] = [
  '',
  'Hangup', 'Interrupt', 'Quit', 'Illegal instruction', 'Trace/breakpoint trap', 'Aborted', 'Bus error',
  'Floating point exception', 'Killed', 'User defined signal 1', 'Segmentation fault', 'User defined signal 2',
  'Broken pipe', 'Alarm clock', 'Terminated', 'Stack fault', 'Child exited', 'Continued', 'Stopped (signal)',
  'Stopped', 'Stopped (tty input)', 'Stopped (tty output)', 'Urgent I/O condition', 'CPU time limit exceeded',
  'File size limit exceeded', 'Virtual timer expired', 'Profiling timer expired', 'Window changed', 'I/O possible',
  'Power failure', 'Bad system call',
];

/** What strerror() prints. */
export function errorText(errno: number): string {
  return errors[errno] || `Unknown error ${errno}`;
}

/** What strsignal() prints; the first two real-time signals belong to the C library and have no name. */
export function signalText(signal: number): string {
  if (signal >= 34 && signal <= 64) return `Real-time signal ${signal - 34}`;
  return signals[signal] || `Unknown signal ${signal}`;
}

/** Names of the kernel's gfp_t bits (include/linux/gfp_types.h, Linux 6.12), bit 0 first; '' for an unused one. */
// biome-ignore format: a table
const gfpBits: readonly string[] = [
  'GFP_DMA', '__GFP_HIGHMEM', 'GFP_DMA32', '__GFP_MOVABLE', '__GFP_RECLAIMABLE', '__GFP_HIGH', '__GFP_IO', '__GFP_FS',
  '__GFP_ZERO', '', '__GFP_DIRECT_RECLAIM', '__GFP_KSWAPD_RECLAIM', '__GFP_WRITE', '__GFP_NOWARN',
  '__GFP_RETRY_MAYFAIL', '__GFP_NOFAIL', '__GFP_NORETRY', '__GFP_MEMALLOC', '__GFP_COMP', '__GFP_NOMEMALLOC',
  '__GFP_HARDWALL', '__GFP_THISNODE', '__GFP_ACCOUNT', '__GFP_ZEROTAGS', '__GFP_SKIP_ZERO', '__GFP_SKIP_KASAN',
  '__GFP_NO_OBJ_EXT',
];

/** The usual combinations, the widest first: each takes its bits away from the ones after it. */
const gfpSets: readonly (readonly [bits: number, name: string])[] = [
  [0x100cca, 'GFP_HIGHUSER_MOVABLE'],
  [0x100cc2, 'GFP_HIGHUSER'],
  [0x100cc0, 'GFP_USER'],
  [0x400cc0, 'GFP_KERNEL_ACCOUNT'],
  [0xcc0, 'GFP_KERNEL'],
  [0xc40, 'GFP_NOFS'],
  [0x820, 'GFP_ATOMIC'],
  [0xc00, 'GFP_NOIO'],
];

/** Allocation flags by name, as the kernel's tracepoints print them: `GFP_KERNEL|__GFP_ZERO`; 0 is `0`. */
export function gfpText(flags: number): string {
  let rest = flags >>> 0;
  const parts: string[] = [];
  for (const [bits, name] of gfpSets) {
    if ((rest & bits) >>> 0 !== bits) continue;
    parts.push(name);
    rest = (rest & ~bits) >>> 0;
  }
  gfpBits.forEach((name, bit) => {
    const mask = (1 << bit) >>> 0;
    if (name === '' || (rest & mask) === 0) return;
    parts.push(name);
    rest = (rest & ~mask) >>> 0;
  });
  if (rest !== 0 || parts.length === 0) parts.push(rest === 0 ? '0' : `0x${rest.toString(16)}`);
  return parts.join('|');
}

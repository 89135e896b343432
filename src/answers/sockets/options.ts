/** Socket options by name, and what their bytes say (socket(7), tcp(7), ip(7), ipv6(7), udp(7)). */

type Kind = 'flag' | 'number' | 'seconds' | 'milliseconds' | 'linger' | 'timeval' | 'text' | 'error' | 'bytes';

/** By level, `NAME kind` for each. The numbers come from the kernel's headers. */
const names: Readonly<Record<string, string>> = {
  SOL_SOCKET: `SO_DEBUG flag, SO_REUSEADDR flag, SO_TYPE number, SO_ERROR error, SO_DONTROUTE flag, SO_BROADCAST flag,
    SO_SNDBUF number, SO_RCVBUF number, SO_KEEPALIVE flag, SO_OOBINLINE flag, SO_NO_CHECK flag, SO_PRIORITY number,
    SO_LINGER linger, SO_REUSEPORT flag, SO_PASSCRED flag, SO_PEERCRED bytes, SO_RCVLOWAT number, SO_SNDLOWAT number,
    SO_RCVTIMEO_OLD timeval, SO_SNDTIMEO_OLD timeval, SO_RCVTIMEO_NEW timeval, SO_SNDTIMEO_NEW timeval,
    SO_BINDTODEVICE text, SO_ATTACH_FILTER bytes, SO_DETACH_FILTER number, SO_TIMESTAMP_OLD flag, SO_ACCEPTCONN flag,
    SO_SNDBUFFORCE number, SO_RCVBUFFORCE number, SO_MARK number, SO_PROTOCOL number, SO_DOMAIN number,
    SO_RXQ_OVFL flag, SO_PEEK_OFF number, SO_BUSY_POLL number, SO_MAX_PACING_RATE number, SO_INCOMING_CPU number,
    SO_ATTACH_BPF number, SO_ATTACH_REUSEPORT_CBPF bytes, SO_ATTACH_REUSEPORT_EBPF number, SO_INCOMING_NAPI_ID number,
    SO_ZEROCOPY flag, SO_TXTIME bytes, SO_BINDTOIFINDEX number, SO_PREFER_BUSY_POLL flag, SO_COOKIE bytes`,
  IPPROTO_TCP: `TCP_NODELAY flag, TCP_MAXSEG number, TCP_CORK flag, TCP_KEEPIDLE seconds, TCP_KEEPINTVL seconds,
    TCP_KEEPCNT number, TCP_SYNCNT number, TCP_LINGER2 seconds, TCP_DEFER_ACCEPT seconds, TCP_WINDOW_CLAMP number,
    TCP_INFO bytes, TCP_QUICKACK flag, TCP_CONGESTION text, TCP_MD5SIG bytes, TCP_THIN_LINEAR_TIMEOUTS flag,
    TCP_USER_TIMEOUT milliseconds, TCP_REPAIR number, TCP_FASTOPEN number, TCP_TIMESTAMP number,
    TCP_NOTSENT_LOWAT number, TCP_CC_INFO bytes, TCP_SAVE_SYN number, TCP_ULP text, TCP_FASTOPEN_CONNECT flag,
    TCP_ZEROCOPY_RECEIVE bytes, TCP_INQ flag, TCP_TX_DELAY number`,
  IPPROTO_IP: `IP_TOS number, IP_TTL number, IP_HDRINCL flag, IP_OPTIONS bytes, IP_RECVOPTS flag, IP_PKTINFO flag,
    IP_MTU_DISCOVER number, IP_RECVERR flag, IP_RECVTTL flag, IP_RECVTOS flag, IP_MTU number, IP_FREEBIND flag,
    IP_TRANSPARENT flag, IP_RECVORIGDSTADDR flag, IP_MULTICAST_IF bytes, IP_MULTICAST_TTL number,
    IP_MULTICAST_LOOP flag, IP_ADD_MEMBERSHIP bytes, IP_DROP_MEMBERSHIP bytes, IP_BIND_ADDRESS_NO_PORT flag,
    IP_LOCAL_PORT_RANGE number`,
  IPPROTO_IPV6: `IPV6_UNICAST_HOPS number, IPV6_MULTICAST_IF number, IPV6_MULTICAST_HOPS number,
    IPV6_MULTICAST_LOOP flag, IPV6_ADD_MEMBERSHIP bytes, IPV6_DROP_MEMBERSHIP bytes, IPV6_MTU_DISCOVER number,
    IPV6_MTU number, IPV6_RECVERR flag, IPV6_V6ONLY flag, IPV6_RECVPKTINFO flag, IPV6_RECVHOPLIMIT flag,
    IPV6_RECVTCLASS flag, IPV6_TCLASS number, IPV6_FREEBIND flag, IPV6_TRANSPARENT flag, IPV6_DONTFRAG flag`,
  IPPROTO_UDP: 'UDP_CORK flag, UDP_ENCAP number, UDP_SEGMENT number, UDP_GRO flag',
};

/** A call's option in words. */
export interface OptionText {
  /** `SOL_SOCKET`, or the number. */
  readonly level: string;
  /** `SO_REUSEADDR`, or the number. */
  readonly name: string;
  /** `1`, `on`, `5 s`; hexadecimal bytes of what is not known here. */
  readonly value: string;
}

export class SocketOptions {
  readonly #levels = new Map<number, string>();
  readonly #options = new Map<string, { readonly name: string; readonly kind: Kind }>();

  /** `constant` gives a macro of the kernel's headers by its name. */
  constructor(constant: (name: string) => bigint | undefined) {
    for (const [level, list] of Object.entries(names)) {
      const levelNumber = Number(constant(level));
      this.#levels.set(levelNumber, level);
      for (const entry of list.split(',')) {
        const [name = '', kind] = entry.trim().split(' ');
        const number = constant(name);
        // The two widths of struct timeval have one name for the program.
        const shown = name.replace(/_(OLD|NEW)$/, '');
        if (number !== undefined) this.#options.set(`${levelNumber} ${number}`, { name: shown, kind: kind as Kind });
      }
    }
  }

  /** `bytes`: as many as were read; `size`: as many as the program gave. */
  read(level: number, option: number, bytes: Uint8Array, size: number): OptionText {
    const known = this.#options.get(`${level} ${option}`);
    const given = bytes.subarray(0, Math.max(0, Math.min(size, bytes.length)));
    return {
      level: this.#levels.get(level) ?? String(level),
      name: known?.name ?? String(option),
      value: valueText(known?.kind ?? 'number', given, size),
    };
  }
}

function valueText(kind: Kind, bytes: Uint8Array, size: number): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const hex = (): string => {
    const shown = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
    return size > bytes.length ? `${shown} … (${size} bytes)` : shown;
  };
  if (size <= 0) return '';
  if (kind === 'text') return (new TextDecoder().decode(bytes).split('\0')[0] as string) || '""';
  if (kind === 'bytes' || bytes.length < 4) return bytes.length === 1 ? String(bytes[0]) : hex();
  const first = view.getInt32(0, true);
  switch (kind) {
    case 'flag':
      return first === 0 ? 'off' : first === 1 ? 'on' : `on (${first})`;
    case 'seconds':
      return `${first} s`;
    case 'milliseconds':
      return `${first} ms`;
    case 'linger':
      return bytes.length < 8 || first === 0 ? 'off' : `${view.getInt32(4, true)} s`;
    case 'timeval':
      if (bytes.length < 16) return hex();
      return `${Number(view.getBigInt64(0, true)) + Number(view.getBigInt64(8, true)) / 1e6} s`;
    case 'error':
      return first === 0 ? 'none' : `errno ${first}`;
    default:
      return bytes.length === 4 ? String(first) : hex();
  }
}

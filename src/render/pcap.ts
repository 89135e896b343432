/**
 * Files of packets: the savefile format of libpcap (pcap-savefile(5), draft-ietf-opsawg-pcap),
 * with times in nanoseconds and packets that begin with an IP header (LINKTYPE_RAW).
 */
const magic = 0xa1b23c4d;
const version = [2, 4] as const;
/** More than any packet has. */
const snapLength = 262_144;
const LINKTYPE_RAW = 101;
const second = 1_000_000_000n;

/** What stands at a file's start. */
export function pcapHeader(): Uint8Array {
  const view = new DataView(new ArrayBuffer(24));
  view.setUint32(0, magic, true);
  view.setUint16(4, version[0], true);
  view.setUint16(6, version[1], true);
  view.setUint32(16, snapLength, true);
  view.setUint32(20, LINKTYPE_RAW, true);
  return new Uint8Array(view.buffer);
}

/** A packet: nanoseconds since 1970, the bytes that are there, and how many there were. */
export function pcapRecord(time: bigint, bytes: Uint8Array, length: number): Uint8Array {
  const record = new Uint8Array(16 + bytes.length);
  const view = new DataView(record.buffer);
  view.setUint32(0, Number(time / second), true);
  view.setUint32(4, Number(time % second), true);
  view.setUint32(8, bytes.length, true);
  view.setUint32(12, length, true);
  record.set(bytes, 16);
  return record;
}

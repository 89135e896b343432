/**
 * skboutput and socket_cookie on packets that go over the loopback interface: the file as
 * tcpdump reads it, byte by byte after pcap-savefile(5), and the cookie that getsockopt(2)
 * gives the sender. Raw tracepoints here; fentry where a kernel has it.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { insitu, lacking, Running } from './insitu.ts';

const folder = mkdtempSync(join(tmpdir(), 'insitu-packets-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const skip = lacking('btf');
const texts = ['one', 'two two', 'three three three'];
/** Bytes of an IPv4 header without options and of a UDP header; of an Ethernet header. */
const headers = 20 + 8;
const ethernet = 14;

interface Packet {
  /** Seconds since 1970. */
  readonly time: number;
  readonly length: number;
  readonly bytes: Buffer;
}

/** Reads a file after pcap-savefile(5), little-endian, nanoseconds, LINKTYPE_RAW. */
function readPcap(path: string): Packet[] {
  const file = readFileSync(path);
  assert.equal(file.readUInt32LE(0), 0xa1b23c4d);
  assert.deepEqual([file.readUInt16LE(4), file.readUInt16LE(6)], [2, 4]);
  assert.equal(file.readUInt32LE(20), 101);
  const packets: Packet[] = [];
  for (let at = 24; at < file.length; ) {
    const size = file.readUInt32LE(at + 8);
    packets.push({
      time: file.readUInt32LE(at) + file.readUInt32LE(at + 4) / 1e9,
      length: file.readUInt32LE(at + 12),
      bytes: file.subarray(at + 16, at + 16 + size),
    });
    at += 16 + size;
  }
  return packets;
}

/** Sends the texts from a socket to itself, while a script runs; gives what it printed, and the socket's port. */
async function onTexts(
  script: string,
): Promise<{ readonly stdout: string; readonly stderr: string; readonly port: number }> {
  const socket: Socket = createSocket('udp4');
  const tracer = new Running(['-q', '-e', script]);
  try {
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const { port } = socket.address();
    await tracer.attached();
    for (const text of texts) {
      const came = once(socket, 'message');
      socket.send(text, port, '127.0.0.1');
      await came;
    }
    const { stdout, stderr } = await tracer.interrupt();
    return { stdout, stderr, port };
  } finally {
    socket.close();
    tracer.child.kill('SIGKILL');
  }
}

/** What the test process sends: the first packets of its kind, whatever else goes on. */
const ours = `pid(init) == ${initPid()}`;

/** Our number in the machine's first pid namespace, as bpf_get_current_pid_tgid counts. */
function initPid(): number {
  const ids = /^NSpid:\s+(.*)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? String(process.pid);
  return Number(ids.split(/\s+/)[0]);
}

describe('skboutput', { skip }, () => {
  test('packets, as tcpdump reads them', { skip: lacking('tcpdump'), timeout: 120_000 }, async () => {
    const path = join(folder, 'dump.pcap');
    const { stderr, port } = await onTexts(
      `rawtracepoint:net_dev_queue /${ours}/ { skboutput("${path}", args.skb, args.skb.len, ${ethernet}); }`,
    );
    const read = execFileSync('tcpdump', ['-nn', '-t', '-Z', 'root', '-r', path], { encoding: 'utf8', stdio: 'pipe' });
    const line = (text: string): string => `IP 127.0.0.1.${port} > 127.0.0.1.${port}: UDP, length ${text.length}`;
    assert.deepEqual(read.trim().split('\n'), texts.map(line), stderr);
  });

  test('every byte and the time; two calls into one file; what it returns', { timeout: 120_000 }, async () => {
    const path = join(folder, 'bytes.pcap');
    const before = Date.now() / 1000;
    const { stdout, stderr } = await onTexts(
      `rawtracepoint:net_dev_queue /${ours}/ {
         $skb = args.skb;
         printf("%d ", skboutput("${path}", $skb, $skb.len, ${ethernet}));
         printf("%d ", skboutput("${path}", $skb, ${ethernet + 20}, ${ethernet}));
         printf("%d\\n", skboutput("${path}", $skb, $skb.len + 1, 0));
       }`,
    );
    const end = Date.now() / 1000;
    // The helper (bpf_skb_output) takes no more than the packet has: EFAULT is 14.
    assert.equal(stdout.trim(), texts.map(() => '0 0 -14').join('\n'), stderr);
    const packets = readPcap(path);
    assert.equal(packets.length, 2 * texts.length);
    for (const [i, text] of texts.entries()) {
      const whole = packets[2 * i] as Packet;
      const start = packets[2 * i + 1] as Packet;
      assert.equal(whole.bytes.subarray(headers).toString(), text);
      assert.equal(whole.bytes.readUInt16BE(2), headers + text.length); // the IP header's total length
      assert.equal(whole.length, headers + text.length);
      assert.deepEqual(start.bytes, whole.bytes.subarray(0, 20));
      assert.ok(whole.time > before - 1 && whole.time < end + 1, `${before} ${whole.time} ${end}`);
    }
  });

  test('without an offset the Ethernet header comes first', { timeout: 120_000 }, async () => {
    const path = join(folder, 'ethernet.pcap');
    const { stderr } = await onTexts(
      `rawtracepoint:net_dev_queue /${ours}/ { skboutput("${path}", (struct sk_buff *)args.skb, args.skb.len, 0); }`,
    );
    const [first] = readPcap(path);
    // Of the loopback interface: no addresses, and ETH_P_IP.
    assert.equal(first?.bytes.subarray(0, ethernet).toString('hex'), `${'00'.repeat(12)}0800`, stderr);
  });

  test('a function of the kernel', { skip: lacking('fentry'), timeout: 120_000 }, async () => {
    const path = join(folder, 'function.pcap');
    const { stderr, port } = await onTexts(
      `fentry:__dev_queue_xmit /${ours}/ { skboutput("${path}", args.skb, args.skb.len, ${ethernet}); }`,
    );
    // The sender's part of each: a UDP header begins with the two ports.
    const sent = readPcap(path).filter(({ bytes }) => bytes.length >= headers && bytes.readUInt16BE(20) === port);
    assert.deepEqual(
      sent.map(({ bytes }) => bytes.subarray(headers).toString()),
      texts,
      stderr,
    );
  });

  test('a file that cannot be made', { timeout: 90_000 }, async () => {
    const path = join(folder, 'nowhere', 'x.pcap');
    const outcome = await insitu(['-e', `rawtracepoint:net_dev_queue { skboutput("${path}", args.skb, 1, 0); }`]);
    assert.equal(outcome.status, 1);
    assert.match(outcome.stderr, /skboutput\(\) cannot write to .*nowhere\/x\.pcap: No such file or directory/);
  });

  test('a full disk ends the run', { timeout: 120_000 }, async (t) => {
    if (!existsSync('/dev/full')) return t.skip('needs /dev/full');
    const outcome = await insitu(['-e', 'rawtracepoint:net_dev_queue { skboutput("/dev/full", args.skb, 1, 0); }']);
    assert.equal(outcome.status, 1);
    assert.match(outcome.stderr, /skboutput\(\) cannot write to \/dev\/full: No space left on device/);
  });

  for (const [script, complaint] of [
    ['interval:s:1 { skboutput("x", args.skb, 1, 0); }', /skboutput\(\) can not be used with 'interval' probes/],
    ['rawtracepoint:net_dev_queue { skboutput("x", args.skb, 1, args.skb.len); }', /takes an offset that is known/],
    [
      'rawtracepoint:net_dev_queue { skboutput("x", args.skb.dev, 1, 0); }',
      /takes a struct sk_buff \(struct net_device \* provided\)/,
    ],
    ['rawtracepoint:net_dev_queue { @s = args.skb; skboutput("x", @s, 1, 0); }', /takes an argument of the probe/],
    [
      'rawtracepoint:net_dev_queue { $s = args.skb; if (pid) { $s = args.skb.next; } skboutput("x", $s, 1, 0); }',
      /takes an argument of the probe/,
    ],
    ['rawtracepoint:net_dev_queue { skboutput(comm, args.skb, 1, 0); }', /skboutput\(\) takes a literal text/],
  ] as const) {
    test(`refused: ${script}`, { timeout: 90_000 }, async () => {
      const outcome = await insitu(['-e', script]);
      assert.equal(outcome.status, 1);
      assert.match(outcome.stderr, complaint);
    });
  }
});

describe('socket_cookie', { skip }, () => {
  test('the number that SO_COOKIE gives the sender', { skip: lacking('gcc'), timeout: 120_000 }, async (t) => {
    const source = join(folder, 'sender.c');
    writeFileSync(
      source,
      `#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
int main(void) {
  struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  for (int i = 0; i < 2; i++) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    unsigned long long cookie = 0;
    socklen_t length = sizeof cookie;
    getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length);
    sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof to);
    printf("%llu\\n", cookie);
  }
}
`,
    );
    if (!readFileSync('/proc/kallsyms', 'latin1').includes(' __probestub_sock_send_length'))
      return t.skip('this kernel has no tracepoint sock_send_length (Linux 6.3)');
    const binary = join(folder, 'sender');
    const log = join(folder, 'cookies');
    execFileSync('gcc', ['-o', binary, source]);
    const script = `rawtracepoint:sock_send_length /comm == "sender"/ { printf("%llu\\n", socket_cookie(args.sk)); }`;
    const { stdout, stderr } = await insitu(['-q', '-c', `sh -c "exec ${binary} > ${log}"`, '-e', script]);
    const expected = readFileSync(log, 'latin1').trim().split('\n');
    assert.equal(new Set(expected).size, 2);
    assert.deepEqual(stdout.trim().split('\n'), expected, stderr);
  });

  test('a function of the kernel', { skip: lacking('fentry'), timeout: 120_000 }, async () => {
    const script = `fentry:udp_sendmsg /${ours}/ { $c = socket_cookie(args.sk); printf("%d ", $c != 0); @c[$c] = 1; }
      END { printf("%d\\n", len(@c)); clear(@c); }`;
    const { stdout, stderr } = await onTexts(script);
    assert.equal(stdout.trim(), '1 1 1 1', stderr);
  });
});

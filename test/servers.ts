/** Servers that `insitu sockets` is tried on, and what the system's own tools say of their sockets. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Call } from '../src/answers/sockets/table.ts';
import { configuration } from './envoy.ts';
import { envoy, type Need, nginx, workerd } from './insitu.ts';

export interface Server {
  readonly name: string;
  readonly needs: readonly Need[];
  /** Its command line, when it is to listen there; what it needs is written into the folder. */
  command(folder: string, port: number, admin: number): string;
}

export const servers: readonly Server[] = [
  {
    name: 'Envoy',
    needs: ['envoy'],
    command: (folder, port, admin) =>
      `${envoy} -c ${configuration(folder, '0.0.0.0', port, admin)} --use-dynamic-base-id -l off`,
  },
  {
    name: 'node',
    needs: [],
    command(folder, port) {
      const path = join(folder, 'server.cjs');
      writeFileSync(
        path,
        `const server = require('http').createServer((request, response) => response.end('hi'));\nserver.keepAliveTimeout = 60_000;\nserver.listen(${port}, '127.0.0.1', 99);\n`,
      );
      return `${process.execPath} ${path}`;
    },
  },
  {
    name: 'workerd',
    needs: ['workerd'],
    command(folder, port) {
      const path = join(folder, 'config.capnp');
      writeFileSync(
        path,
        `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ (name = "main", worker = .main) ],
  sockets = [ (name = "http", address = "127.0.0.1:${port}", http = (), service = "main") ]
);
const main :Workerd.Worker = (
  serviceWorkerScript = "addEventListener('fetch', (event) => event.respondWith(new Response('hi')));",
  compatibilityDate = "2024-01-01"
);
`,
      );
      return `${workerd} serve ${path}`;
    },
  },
  {
    name: 'nginx',
    needs: ['nginx'],
    command(folder, port) {
      const path = join(folder, 'nginx.conf');
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
      mkdirSync(join(folder, 'nginx'), { recursive: true });
      writeFileSync(
        path,
        `daemon off; worker_processes 1; user root; pid ${join(folder, 'nginx', 'pid')}; error_log stderr crit;
events { worker_connections 64; }
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${join(folder, 'nginx', name)};`).join(' ')}
  server { listen 127.0.0.1:${port} so_keepalive=on; location / { return 200 "hi"; } }
}
`,
      );
      return `${nginx} -e stderr -p ${join(folder, 'nginx')} -c ${path}`;
    },
  },
  {
    name: "python3's http.server",
    needs: ['python3'],
    command: (folder, port) => `/usr/bin/python3 -m http.server ${port} --bind 127.0.0.1 --directory ${folder}`,
  },
];

/** A socket as ss(8) shows it. */
export interface SsSocket {
  readonly state: string;
  readonly queues: readonly [received: number, sent: number];
  readonly local: string;
  readonly peer: string;
  readonly users: readonly { readonly comm: string; readonly pid: number; readonly fd: number }[];
  /** `keepalive`, `on` …; '' without a timer. */
  readonly timer: string;
  readonly bytesReceived: number;
  readonly bytesAcknowledged: number;
}

/** TCP sockets of a port, by `ss -tanpioO`: listeners, connections, processes, timers and counters. */
export function ssSockets(port: number): SsSocket[] {
  const words = ['-tanpioOH', `( sport = :${port} )`];
  return execFileSync('ss', words, { encoding: 'latin1' })
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [state = '', received = '', sent = '', local = '', peer = ''] = line.split(/\s+/);
      const number = (name: string): number => Number(new RegExp(`\\b${name}:(\\d+)`).exec(line)?.[1] ?? 0);
      return {
        state,
        queues: [Number(received), Number(sent)],
        local,
        peer,
        users: [...line.matchAll(/\("([^"]*)",pid=(\d+),fd=(\d+)\)/g)].map(([, comm = '', pid, fd]) => ({
          comm,
          pid: Number(pid),
          fd: Number(fd),
        })),
        timer: /timer:\((\w+)/.exec(line)?.[1] ?? '',
        bytesReceived: number('bytes_received'),
        bytesAcknowledged: number('bytes_acked'),
      };
    });
}

/** Options of a process's socket, asked of the kernel by another process: pidfd_getfd(2) and getsockopt(2). */
export function optionsOf(pid: number, fd: number): Readonly<Record<string, boolean>> {
  const script = `
import ctypes, json, socket, sys
call = ctypes.CDLL(None, use_errno=True).syscall
pid, fd = int(sys.argv[1]), int(sys.argv[2])
copy = call(438, call(434, pid, 0), fd, 0)
if copy < 0: raise OSError(ctypes.get_errno(), 'pidfd_getfd')
s = socket.socket(fileno=copy)
get = lambda level, name: s.getsockopt(level, name) != 0
print(json.dumps({
  'reuseAddress': get(socket.SOL_SOCKET, socket.SO_REUSEADDR), 'reusePort': get(socket.SOL_SOCKET, socket.SO_REUSEPORT),
  'keepAlive': get(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 'noDelay': get(socket.IPPROTO_TCP, socket.TCP_NODELAY)}))
`;
  const words = ['-c', script, String(pid), String(fd)];
  return JSON.parse(execFileSync('/usr/bin/python3', words, { encoding: 'latin1' })) as Record<string, boolean>;
}

/** What was done to a listening socket until it listened, and to a connection that it accepted. */
export interface History {
  readonly listener: readonly string[];
  readonly accepted: readonly string[];
}

class Histories {
  readonly #sockets = new Map<number, string[]>();
  readonly #accepted = new Set<string[]>();
  #listener: readonly string[] = [];
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
  }

  /** `text`: without the socket's number. Sockets of all processes of a server have numbers of their own here. */
  add(call: string, fd: number, ret: number, text: string): void {
    if (call === 'socket' && ret >= 0) this.#sockets.set(ret, []);
    if (call === 'accept' && ret >= 0) {
      const history: string[] = [];
      this.#sockets.set(ret, history);
      this.#accepted.add(history);
    }
    if (call !== 'setsockopt' && call !== 'bind' && call !== 'listen') return;
    const history = this.#sockets.get(fd);
    history?.push(`${call} ${text}${ret < 0 ? ' failed' : ''}`);
    const bound = history?.some((line) => line.startsWith('bind ') && line.endsWith(`:${this.#port}`));
    if (call === 'listen' && ret === 0 && bound && history !== undefined && this.#listener.length === 0)
      this.#listener = [...history];
  }

  /** Of several connections, the one with which most was done: a client that came too early is none. */
  history(): History {
    const accepted = [...this.#accepted].sort((a, b) => b.length - a.length)[0] ?? [];
    return { listener: this.#listener, accepted };
  }
}

/** From the calls that `insitu sockets --events --json` tells. */
export function insituHistory(calls: readonly Call[], port: number): History {
  const histories = new Histories(port);
  // Calls of several threads come nearly in the order of time.
  for (const one of [...calls].sort((a, b) => a.at + a.took - b.at - b.took)) {
    const { call, fd, ret, option, address, backlog } = one;
    const value = { on: '1', off: '0' }[option?.value ?? ''] ?? option?.value.replace(/ m?s$/, '');
    const text = option === undefined ? (address ?? String(backlog)) : `${option.level} ${option.name} ${value}`;
    histories.add(call, fd, ret, text);
  }
  return histories.history();
}

/** From what `strace -f -e trace=network` has written. */
export function straceHistory(log: string, port: number): History {
  const histories = new Histories(port);
  const unfinished = new Map<string, string>();
  for (const line of log.split('\n')) {
    const [, thread = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const [, begun] = /^(.*) <unfinished \.\.\.>$/.exec(rest) ?? [];
    if (begun !== undefined) {
      unfinished.set(thread, begun);
      continue;
    }
    const [, , ended] = /^<\.\.\. (\w+) resumed>(.*)$/.exec(rest) ?? [];
    const whole = ended === undefined ? rest : `${unfinished.get(thread) ?? ''}${ended}`;
    const [, call = '', words = '', result = ''] = /^(\w+)\((.*)\) += (-?\d+)/.exec(whole) ?? [];
    const fd = Number(/^\d+/.exec(words)?.[0] ?? -1);
    const name = call.replace(/^accept4$/, 'accept');
    histories.add(name, fd, Number(result), straceText(name, words));
  }
  return histories.history();
}

const levels: Readonly<Record<string, string>> = {
  SOL_TCP: 'IPPROTO_TCP',
  SOL_IP: 'IPPROTO_IP',
  SOL_IPV6: 'IPPROTO_IPV6',
  SOL_UDP: 'IPPROTO_UDP',
};

function straceText(call: string, words: string): string {
  if (call === 'setsockopt') {
    const [, level = '', name = '', value = ''] = /^\d+, (\w+), (\w+), \[?([^\]]*?)\]?, \d+$/.exec(words) ?? [];
    return `${levels[level] ?? level} ${name.replace(/_(OLD|NEW)$/, '')} ${value}`;
  }
  if (call === 'listen') return words.split(', ')[1] ?? '';
  const [, port, address] = /sin_port=htons\((\d+)\), sin_addr=inet_addr\("([^"]+)"\)/.exec(words) ?? [];
  return `${address}:${port}`;
}

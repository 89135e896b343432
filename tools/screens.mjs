#!/usr/bin/env node
// Writes docs/SCREENS.md: each command driven in a real terminal (tmux), and what it shows
// there as text. Needs root, tmux, bash, a compiler, and Envoy (node tools/programs.mjs).
//
//   npm run build && node tools/screens.mjs
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { homedir, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { envoyConfiguration, envoyPath } from './programs.mjs';
import { executable, root } from './setup.mjs';

const folder = mkdtempSync(join(tmpdir(), 'insitu-screens-'));
const socket = `insitu-screens-${process.pid}`;
const tmux = (...words) =>
  execFileSync('tmux', ['-L', socket, '-f', '/dev/null', '-u', ...words], {
    encoding: 'utf8',
    env: { ...process.env, TERM: 'xterm-256color', LC_ALL: 'C.UTF-8' },
  });
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const screen = () => tmux('capture-pane', '-p').trimEnd();

async function until(wanted, seconds = 60) {
  for (let tries = 0; tries < seconds * 10; tries++) {
    if (wanted.test(screen())) return;
    await pause(100);
  }
  throw new Error(`${wanted} does not appear:\n${screen()}`);
}

/** A request to Envoy, once it listens. */
async function request(port) {
  for (let tries = 0; tries < 300; tries++) {
    const answered = await new Promise((resolve) => {
      const client = connect(port, '127.0.0.1', () =>
        client.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'),
      );
      client.once('error', () => resolve(false)).resume();
      client.once('close', () => resolve(true));
    });
    if (answered) return;
    await pause(100);
  }
}

const sections = [];
/** Keys, then what must appear; `during` is done before. */
async function show(title, text, { columns = 150, rows = 40, keys, wanted, during, after }) {
  tmux('resize-window', '-x', String(columns), '-y', String(rows));
  tmux('send-keys', '-R');
  tmux('clear-history');
  tmux('send-keys', '-l', 'clear');
  tmux('send-keys', 'Enter');
  await pause(300);
  for (const key of keys)
    tmux('send-keys', ...(key.length > 1 && !/^(Enter|Tab|C-c)$/.test(key) ? ['-l', key] : [key]));
  await during?.();
  await until(wanted);
  await pause(300);
  const shown = screen()
    .replaceAll(folder, '/tmp/demo')
    .replaceAll(release(), release().split('-')[0])
    .replace(/\n\$ ?$/, '')
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
  sections.push(`## ${title}\n\n${text}\n\n\`\`\`\n${shown}\n\`\`\`\n`);
  await after?.();
}

mkdirSync(join(folder, 'bin'));
symlinkSync(executable, join(folder, 'bin', 'insitu'));
symlinkSync(envoyPath, join(folder, 'bin', 'envoy'));
const settings = join(homedir(), '.cache');
writeFileSync(join(folder, 'envoy.yaml'), envoyConfiguration({ host: '0.0.0.0', port: 10000, admin: 9901 }));
writeFileSync(
  join(folder, 'shapes.cc'),
  `#include <stdexcept>
#include <string>
#include <unistd.h>
struct Shape { int sides; std::string name; };
__attribute__((noinline)) int area(const Shape &shape, int size) {
  if (shape.sides == 0) throw std::runtime_error("no sides");
  return shape.sides * size * size;
}
__attribute__((noinline)) int draw(const Shape &shape) {
  try { return area(shape, 2) + area(shape, 3); } catch (const std::exception &) { return -1; }
}
int main() {
  Shape square{4, "square"}, point{0, "point"};
  for (int i = 0;; i++) { draw(i % 3 ? square : point); usleep(100000); }
}
`,
);
execFileSync('g++', ['-g', '-O1', '-o', join(folder, 'shapes'), join(folder, 'shapes.cc')]);
/** Something to watch: this process listens, and is connected to itself. */
const server = createServer((client) => client.setNoDelay(true).resume());
await new Promise((resolve) => server.listen(8080, '127.0.0.1', resolve));
const watched = connect(8080, '127.0.0.1');
const shapes = spawn(join(folder, 'shapes'), { stdio: 'ignore' });

try {
  const words = [
    'env',
    `PATH=${join(folder, 'bin')}:${process.env.PATH}`,
    `HOME=${homedir()}`,
    `XDG_CACHE_HOME=${settings}`,
  ];
  tmux('new-session', '-d', '-x', '150', '-y', '40', '-c', folder, ...words, 'PS1=$ ', 'bash', '--norc', '--noprofile');
  await show(
    'insitu sockets',
    'Envoy as the demo configures it, with one client; Ctrl-C then ends both. The first screen of the answer; the code follows, each stack whole.',
    {
      rows: 70,
      columns: 170,
      keys: ["insitu sockets -o answer.txt -c 'envoy -c envoy.yaml --log-level off --use-dynamic-base-id'", 'Enter'],
      during: async () => {
        await request(10000);
        await pause(2000);
        tmux('send-keys', 'C-c');
        await until(/\^C\s*\$ ?$/);
        tmux('send-keys', '-l', 'head -48 answer.txt');
        tmux('send-keys', 'Enter');
      },
      wanted: /CODE[\s\S]*\n\$ ?$/,
    },
  );
  await show('insitu sockets --events', 'Each call as it happens, with who made it.', {
    rows: 26,
    columns: 170,
    keys: [
      "insitu sockets --events -o calls.txt -c 'envoy -c envoy.yaml --log-level off --disable-hot-restart --concurrency 1'",
      'Enter',
    ],
    during: async () => {
      await request(10000);
      await pause(2000);
      tmux('send-keys', 'C-c');
      await until(/\^C\s*\$ ?$/);
      const calls =
        "grep -E '^[0-9:.]+ .* (bind|listen|accept|setsockopt|close)[(]' calls.txt | cut -c 1-165 | tail -18";
      tmux('send-keys', '-l', calls);
      tmux('send-keys', 'Enter');
    },
    wanted: /accept\(\)[\s\S]*\n\$ ?$/,
  });
  await show(
    'insitu sockets --watch',
    'The tables of a process, anew each second in the same place, cut to the terminal.',
    {
      rows: 20,
      columns: 150,
      keys: [`insitu sockets --watch -p ${process.pid}`, 'Enter'],
      wanted: /LISTENERS/,
      after: async () => {
        tmux('send-keys', 'C-c');
        await until(/\n\$ ?$/);
      },
    },
  );
  await show(
    'insitu calls',
    'The calls of a C++ program as trees, with arguments and results, and exceptions; then each function in numbers.',
    {
      rows: 46,
      columns: 140,
      keys: [`insitu calls 'draw*' 'area*' -p ${shapes.pid} --duration 1s | head -42`, 'Enter'],
      wanted: /\n\$ ?$/,
    },
  );
  await show('insitu code', 'A function, with the names of what it calls, and where a uprobe sits.', {
    rows: 44,
    columns: 130,
    keys: [`insitu code ${shapes.pid} draw | head -42`, 'Enter'],
    wanted: /\n\$ ?$/,
  });
  await show('insitu memory', 'The memory map of a process.', {
    rows: 30,
    columns: 170,
    keys: [`insitu memory ${shapes.pid} | cut -c 1-165 | head -28`, 'Enter'],
    wanted: /\n\$ ?$/,
  });
  const map = execFileSync('sh', ['-c', `grep -m1 'r-xp.*shapes' /proc/${shapes.pid}/maps`], { encoding: 'utf8' });
  const symbols = execFileSync('nm', [join(folder, 'shapes')], { encoding: 'utf8' });
  const draw = Number.parseInt(/^([0-9a-f]+) T _Z4draw/m.exec(symbols)?.[1] ?? '0', 16);
  const text = Number.parseInt(map.split('-')[0], 16) - Number.parseInt(map.split(' ')[2], 16);
  await show('insitu memory PID 0xADDRESS', 'Where an address lies, and the instruction there.', {
    rows: 14,
    columns: 120,
    keys: [`insitu memory ${shapes.pid} 0x${(text + draw + 7).toString(16)}`, 'Enter'],
    wanted: /instruction:[\s\S]*\n\$ ?$/,
  });
  await show('insitu doctor', 'What this machine and a program allow, and what mends the rest.', {
    rows: 44,
    columns: 150,
    keys: ['insitu doctor $(readlink -f bin/envoy)', 'Enter'],
    wanted: /insitu can[\s\S]*\n\$ ?$/,
  });
  await show('Completion', 'After `source <(insitu completion bash)`, Tab shows the options of a command.', {
    rows: 14,
    columns: 120,
    keys: ['source <(insitu completion bash)', 'Enter', 'insitu sockets --', 'Tab', 'Tab'],
    wanted: /--watch/,
    after: () => tmux('send-keys', 'C-c'),
  });
  await show('insitu COMMAND --help', 'Every command has its own, with examples.', {
    rows: 50,
    columns: 100,
    keys: ['insitu code --help', 'Enter'],
    wanted: /EXAMPLES[\s\S]*\n\$ ?$/,
  });
} finally {
  shapes.kill('SIGKILL');
  watched.destroy();
  server.close();
  try {
    tmux('kill-server');
  } catch {}
  rmSync(folder, { recursive: true, force: true });
}
writeFileSync(
  join(root, 'docs', 'SCREENS.md'),
  `# Commands in a terminal\n\nWhat each command shows, taken by \`node tools/screens.mjs\` from a real terminal (tmux).\n\n${sections.join('\n')}`,
);

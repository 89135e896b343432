/** Commands on a real terminal: tmux shows what somebody sees there. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createServer, type Server, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { client } from './envoy.ts';
import { executable, insitu, lacking, root, sleep } from './insitu.ts';

/** A terminal of its own, with a shell in it. */
class Terminal {
  static #count = 0;
  readonly #name: string = `insitu-${process.pid}-${Terminal.#count++}`;

  constructor(columns: number, rows: number) {
    const size = ['-x', String(columns), '-y', String(rows)];
    this.#tmux('new-session', '-d', ...size, '-c', root, 'env', 'PS1=$ ', 'HISTFILE=', 'sh');
  }

  #tmux(...words: string[]): string {
    // Its own server: nobody's configuration, nobody's sessions.
    return execFileSync('tmux', ['-L', this.#name, '-f', '/dev/null', '-u', ...words], {
      encoding: 'utf8',
      env: { ...process.env, TERM: 'xterm-256color', LC_ALL: 'C.UTF-8' },
    });
  }

  type(text: string): void {
    this.#tmux('send-keys', '-l', text);
    this.#tmux('send-keys', 'Enter');
  }

  interrupt(): void {
    this.#tmux('send-keys', 'C-c');
  }

  resize(columns: number, rows: number): void {
    this.#tmux('resize-window', '-x', String(columns), '-y', String(rows));
  }

  /** What it shows; `coloured` with the sequences that colour it. */
  screen(coloured = false): string {
    return this.#tmux('capture-pane', '-p', ...(coloured ? ['-e'] : []));
  }

  async until(wanted: RegExp, coloured = false): Promise<string> {
    for (let tries = 0; tries < 600; tries++) {
      const screen = this.screen(coloured);
      if (wanted.test(screen)) return screen;
      await sleep(50);
    }
    throw new Error(`${wanted} does not appear:\n${this.screen()}`);
  }

  close(): void {
    this.#tmux('kill-server');
  }
}

describe('a terminal', { skip: lacking('tracefs', 'tmux') }, () => {
  test('sockets --watch: the tables stay in their place, cut to its size, and grow', { timeout: 120_000 }, async () => {
    const server: Server = createServer((socket) => socket.resume());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const terminal = new Terminal(90, 24);
    let socket: Socket | undefined;
    try {
      terminal.type(`${process.execPath} ${executable} sockets --watch -p ${process.pid}`);
      const first = await terminal.until(new RegExp(`127\\.0\\.0\\.1:${port} +tcp`));
      assert.equal(first.split('FINDINGS').length, 2, first);
      assert.ok(first.split('\n').every((line) => line.length <= 90));
      socket = await client(port, '127.0.0.1');
      const second = await terminal.until(new RegExp(`CONNECTIONS[\\s\\S]*127\\.0\\.0\\.1:${socket.localPort}`));
      // Nothing has scrolled: the heading is where it was.
      assert.equal(second.split('FINDINGS').length, 2, second);
      assert.match(second, /^FINDINGS\n/);
      terminal.resize(60, 12);
      const small = await terminal.until(/^FINDINGS\n(?:.*\n){9}… \d+ more lines/);
      assert.ok(
        small.split('\n').every((line) => line.length <= 60),
        small,
      );
      assert.match(await terminal.until(/.*/, true), /\x1b\[1mFINDINGS/);
      terminal.resize(90, 60);
      terminal.interrupt();
      // The whole report stands there then, with the shell's prompt below. Above may be what had scrolled out.
      const last = await terminal.until(/CODE\n[\s\S]*\n\$\s*$/);
      assert.doesNotMatch(last.slice(last.lastIndexOf('FINDINGS')), /more lines/);
    } finally {
      socket?.destroy();
      terminal.close();
      server.close();
    }
  });

  test('doctor: its marks are coloured there, and nowhere else', { timeout: 60_000 }, async () => {
    const terminal = new Terminal(120, 60);
    try {
      terminal.type(`${process.execPath} ${executable} doctor`);
      await terminal.until(/insitu can trace here/);
      assert.match(terminal.screen(true), /\x1b\[32mok/);
      terminal.type(`clear; NO_COLOR=1 ${process.execPath} ${executable} doctor; echo over`);
      await terminal.until(/over\n/);
      assert.doesNotMatch(terminal.screen(true), /\x1b\[3[12]m/);
    } finally {
      terminal.close();
    }
    assert.doesNotMatch((await insitu(['doctor'])).stdout, /\x1b/);
  });

  test('--help is as wide as it', { timeout: 60_000 }, async () => {
    const terminal = new Terminal(70, 200);
    try {
      terminal.type(`${process.execPath} ${executable} code --help`);
      const text = await terminal.until(/EXAMPLES:[\s\S]*inferred name/);
      const option = text.split('\n').filter((line) => /^ {21}\S/.test(line));
      assert.ok(option.length > 3 && option.every((line) => line.length <= 70), text);
    } finally {
      terminal.close();
    }
  });
});

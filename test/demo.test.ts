/** The README's first command, as it stands there. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { lacking, root } from './insitu.ts';

const demo = (...words: string[]): string => {
  const { stdout, stderr, status } = spawnSync('npm', ['run', '--silent', 'demo', '--', ...words], {
    cwd: root,
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.equal(status, 0, stdout + stderr);
  return stdout;
};

describe('npm run demo', { skip: lacking('tracefs') }, () => {
  test('shows who listens, the socket options and the stacks', { timeout: 70_000 }, () => {
    const output = demo();
    assert.match(
      output,
      /^Who listens on port (\d+)\?\n {2}bind fd=\d+ 127\.0\.0\.1 port \1, by the code\n {4}bind\+/m,
    );
    assert.match(output, /^ {4}.*node::TCPWrap::Bind.*/m);
    assert.match(output, /^Is SO_REUSEADDR set.*\n {2}setsockopt .* SO_REUSEADDR = 1/m);
    assert.match(output, /^Is TCP_NODELAY set.*\n {2}setsockopt .* TCP_NODELAY = 1/m);
    assert.match(output, /^ {8}__libc_start_call_main\+\d+$/m);
    assert.match(output, /got: "hi"/);
  });

  test('and the same of Envoy', { timeout: 70_000, skip: lacking('envoy', 'tracefs') }, () => {
    const output = demo('envoy');
    assert.match(
      output,
      /^Who listens on port (\d+)\?\n {2}bind fd=\d+ 127\.0\.0\.1 port \1, by the code\n {4}bind\+/m,
    );
    assert.match(output, /^Is SO_REUSEADDR set.*\n {2}setsockopt .* SO_REUSEADDR = 1/m);
    assert.match(output, /^Is TCP_NODELAY set.*\n {2}setsockopt .* TCP_NODELAY = 1/m);
    assert.match(output, /got: "hi"/);
  });

  test('refuses what it does not know', { timeout: 20_000 }, () => {
    const { status, stderr } = spawnSync('npm', ['run', '--silent', 'demo', '--', 'nginx'], {
      cwd: root,
      encoding: 'utf8',
    });
    assert.equal(status, 1);
    assert.match(stderr, /no demo of 'nginx'/);
  });
});

/** The library's door: typed events, early ends, errors. */
import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { describe, test } from 'node:test';
import { MachineError, ScriptError, type TraceEvent, trace } from '../src/session/index.ts';
import { lacking } from './insitu.ts';

/** Descriptors of BPF objects and perf events that this process holds. */
const bpfDescriptors = (): number =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return /bpf|perf_event/.test(readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      return false; // the folder's own descriptor
    }
  }).length;

describe('trace', { skip: lacking('tracefs') }, () => {
  test('gives typed events in the order of the script', { timeout: 20_000 }, async () => {
    const script = 'BEGIN { printf("%d %s\\n", $1, str($2)); @m[1, "a"] = 7; print(@m); print((1, "b")); exit(3); }';
    const events: TraceEvent[] = [];
    const running = await trace({ script, parameters: ['5', 'word'] });
    for await (const event of running) events.push(event);
    assert.deepEqual(
      events.map(({ type }) => type),
      ['attached_probes', 'printf', 'map', 'value', 'end', 'map'],
    );
    assert.deepEqual(events[1], { type: 'printf', text: '5 word\n' });
    const [, , map, value] = events;
    assert.ok(map?.type === 'map' && value?.type === 'value');
    assert.deepEqual(map.map.entries, [
      {
        key: [
          { kind: 'int', value: 1 },
          { kind: 'string', text: 'a', cut: false },
        ],
        value: { kind: 'int', value: 7 },
      },
    ]);
    assert.equal(value.value.kind, 'tuple');
    assert.equal(running.exitCode, 3);
  });

  test('ends when the consumer leaves, and holds nothing then', { timeout: 20_000 }, async () => {
    const before = bpfDescriptors();
    for await (const event of await trace({ script: 'interval:ms:5 { printf("tick\\n"); }' })) {
      if (event.type !== 'printf') continue;
      assert.ok(bpfDescriptors() > before);
      break;
    }
    assert.equal(bpfDescriptors(), before);
  });

  test('stop() runs END', { timeout: 20_000 }, async () => {
    const running = await trace({ script: 'interval:ms:5 { printf("tick\\n"); } END { printf("over\\n"); }' });
    let text = '';
    for await (const event of running) {
      if (event.type === 'printf') text += event.text;
      if (text === 'tick\n') running.stop();
    }
    assert.match(text, /^(tick\n)+over\n$/);
  });

  test('rejects with what is wrong with the script', { timeout: 20_000 }, async () => {
    await assert.rejects(trace({ script: 'BEGIN { print($x) }', name: 'a.bt' }), (error: unknown) => {
      assert.ok(error instanceof ScriptError);
      assert.match(error.message, /^a\.bt:1:15-17: ERROR:.*\$x/);
      return true;
    });
  });

  test('rejects with what the machine lacks', { timeout: 20_000 }, async () => {
    await assert.rejects(trace({ script: 'BEGIN { }', pids: [4_194_303] }), (error: unknown) => {
      assert.ok(error instanceof MachineError);
      assert.equal(error.code, 'ESRCH');
      return true;
    });
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearest } from './near.ts';

test('nearest: few edits first, best first', () => {
  const names = ['sys_enter_open', 'sys_enter_openat', 'sys_enter_openat2', 'sched_switch'];
  assert.deepEqual(nearest('sys_enter_openta', names, 2), ['sys_enter_openat', 'sys_enter_open']);
  assert.deepEqual(nearest('sched_swich', names, 3), ['sched_switch']);
  assert.deepEqual(nearest('sa_familly', ['sa_data', 'sa_family', 'sa_family_t'], 1), ['sa_family']);
});

test('nearest: a swap is one edit, case costs nothing', () => {
  assert.deepEqual(nearest('pirntf', ['print', 'printf', 'sprintf'], 1), ['printf']);
  assert.deepEqual(nearest('af_inet', ['AF_INET6', 'AF_INET'], 2), ['AF_INET', 'AF_INET6']);
});

test('nearest: a part of a name finds it, nothing alike finds nothing', () => {
  assert.deepEqual(nearest('switch', ['sched_switch', 'sys_enter_read'], 5), ['sched_switch']);
  assert.deepEqual(nearest('zzzzzz', ['sched_switch', 'fd'], 5), []);
  assert.deepEqual(nearest('', ['a'], 5), []);
  assert.deepEqual(nearest('fd', ['fd'], 5), [], 'the name itself is no hint');
});

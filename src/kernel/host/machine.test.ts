import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { needsRoot } from '../sample.ts';
import { hasBpfLoop, hasKprobes, hasUprobeMulti } from './features.ts';
import { kernelAtLeast, kernelVersion, onlineCpus, pageSize, parseCpuList, possibleCpus } from './machine.ts';
import {
  processExecutable,
  processExists,
  processIds,
  processMaps,
  processName,
  processStartTime,
} from './processes.ts';
import { tracefs } from './tracefs.ts';

const run = (command: string, ...args: string[]): string => execFileSync(command, args, { encoding: 'utf8' }).trim();

test('CPU lists', () => {
  assert.deepEqual(parseCpuList('0-3,8\n'), [0, 1, 2, 3, 8]);
  assert.deepEqual(parseCpuList('0'), [0]);
  assert.deepEqual(parseCpuList('\n'), []);
});

test('CPUs, page size and kernel are those of getconf and uname', () => {
  assert.equal(onlineCpus().length, Number(run('getconf', '_NPROCESSORS_ONLN')));
  assert.ok(possibleCpus() >= onlineCpus().length);
  assert.equal(pageSize(), Number(run('getconf', 'PAGESIZE')));
  const release = run('uname', '-r');
  assert.equal(kernelVersion().release, release);
  const { major, minor } = kernelVersion();
  assert.ok(release.startsWith(`${major}.${minor}`));
  assert.ok(kernelAtLeast(major, minor) && kernelAtLeast(major - 1, 99));
  assert.ok(!kernelAtLeast(major, minor + 1) && !kernelAtLeast(major + 1, 0));
});

test('features agree with the kernel version where that decides', { skip: needsRoot }, (t) => {
  t.diagnostic(`kprobes: ${hasKprobes()}`);
  if (kernelAtLeast(6, 8)) assert.equal(hasUprobeMulti(), true); // 6.6 and CONFIG_UPROBES
  if (!kernelAtLeast(6, 6)) assert.equal(hasUprobeMulti(), false);
  assert.equal(hasBpfLoop(), kernelAtLeast(5, 17));
});

test('tracefs is there or gets mounted', { skip: needsRoot }, () => {
  const place = tracefs();
  assert.match(run('cat', `${place}/events/syscalls/sys_enter_getppid/id`), /^\d+$/);
});

test('this process and its neighbours', () => {
  const { pid } = process;
  assert.ok(processExists(pid) && processIds().includes(pid));
  assert.equal(processExists(2 ** 22), false);
  assert.equal(processName(pid), run('ps', '-o', 'comm=', '-p', String(pid)));
  assert.equal(processExecutable(pid), run('readlink', `/proc/${pid}/exe`));
  assert.equal(processStartTime(pid), Number(run('awk', '{ sub(/.*\\) /, ""); print $20 }', `/proc/${pid}/stat`)));
  assert.match(processMaps(pid) ?? '', /\[stack\]/);
  assert.equal(processMaps(2 ** 22), undefined);
});

/** Loads and attaches a tracepoint, prints the ids of its links, and holds on until it is killed. */
import { attachProbes } from '../../src/kernel/attach/attach.ts';
import { loadProgram } from '../../src/kernel/load/load.ts';
import { bpfProgram, countersMap, countHit, linksOf, sampleProgram } from '../../src/kernel/sample.ts';
import { objectId } from '../../src/kernel/sys/objects.ts';

const counter = bpfProgram('TRACEPOINT', countHit, [{ insn: 1, kind: 'map_value', map: 0, offset: 0 }], {
  name: 'in_held',
});
const program = sampleProgram(
  [{ ...countersMap, role: 'user', name: 'held' }],
  [counter],
  [{ kind: 'tracepoint', category: 'syscalls', event: 'sys_enter_getppid', program: 0, name: 0 }],
);
const loaded = loadProgram(program);
await attachProbes(loaded);
console.log(linksOf(objectId('PROG', loaded.programs[0]?.fd ?? -1)).join(' '));
setInterval(() => {}, 1000);

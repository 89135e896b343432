/**
 * Loaded before the tests of an emulated kernel: makes the time limit of every test
 * INSITU_TEST_PATIENCE times as long, as all goes slower there. A limit only ends what hangs.
 */
import { createRequire, syncBuiltinESMExports } from 'node:module';

const factor = Number(process.env['INSITU_TEST_PATIENCE'] ?? 1);
type Define = (...args: readonly unknown[]) => unknown;
const nodeTest = createRequire(import.meta.url)('node:test') as Record<string, Define>;

const patient = (arg: unknown): unknown => {
  if (typeof arg !== 'object' || arg === null || !('timeout' in arg)) return arg;
  return { ...arg, timeout: Number(arg.timeout) * factor };
};
for (const name of ['test', 'it', 'describe', 'suite']) {
  const define = nodeTest[name];
  if (define !== undefined)
    nodeTest[name] = Object.assign((...args: readonly unknown[]) => define(...args.map(patient)), define);
}
syncBuiltinESMExports();

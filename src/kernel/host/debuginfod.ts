/**
 * Debug files by build-id from debuginfod servers (elfutils; debuginfod(8) describes the
 * web API: GET URL/buildid/ID/debuginfo). Kept below the user's cache folder, within a
 * bound; a file that no server has is asked for again after ten minutes.
 *
 * Names are wanted in the middle of synchronous work, so the download runs in a worker
 * and the caller waits for it, as long as bytes arrive.
 */
import { mkdirSync, readdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { SHT_NOBITS } from '../../debuginfo/elf/constants.ts';
import { ElfFile } from '../../debuginfo/elf/elf.ts';
import type { DebugServers } from '../../symbolize/symbols/debugfile.ts';
import { HostFile } from './file.ts';

/** Without a byte for so long, in milliseconds, a server counts as gone (DEBUGINFOD_TIMEOUT says it in seconds). */
const patience = 15_000;
const absentFor = 10 * 60_000;
/** A debug file may be large (Chromium's: 5 GB); more than that is no debug file. */
const mostBytes = 8 * 2 ** 30;
const mostReason = 1000;
/** Bytes that all fetched files take at most, but for a single one that is larger. */
const mostCached = 8 * 2 ** 30;

/** Cells shared with the worker: outcome (0 while it runs), progress, length of the reason. */
const cells = 3;
const succeeded = 1;
const notThere = 2;

/** Runs in the worker, as plain JavaScript: the program may be one bundled file. */
const download = `
const { createWriteStream } = require('node:fs');
const { workerData: { url, path, shared, limit } } = require('node:worker_threads');
const state = new Int32Array(shared, 0, ${cells});
const text = new Uint8Array(shared, ${cells * 4});
const end = (outcome, reason) => {
  const { written } = new TextEncoder().encodeInto(reason, text);
  state[2] = written;
  if (Atomics.compareExchange(state, 0, 0, outcome) === 0) Atomics.notify(state, 0);
};
const get = (address, redirects) => {
  const { protocol } = new URL(address);
  if (protocol !== 'http:' && protocol !== 'https:') return end(3, 'is no http or https address');
  const request = require(protocol === 'https:' ? 'node:https' : 'node:http').get(address, { headers: { 'user-agent': 'insitu' } }, (answer) => {
    Atomics.add(state, 1, 1);
    const { statusCode, headers } = answer;
    if (statusCode >= 300 && statusCode < 400 && headers.location && redirects < 5) {
      answer.resume();
      return get(new URL(headers.location, address).href, redirects + 1);
    }
    if (statusCode === 404) { answer.resume(); return end(${notThere}, 'has no debug file for it'); }
    if (statusCode !== 200) { answer.resume(); return end(3, 'answers with status ' + statusCode); }
    let size = 0;
    const file = createWriteStream(path);
    answer.on('data', (chunk) => {
      Atomics.add(state, 1, 1);
      size += chunk.length;
      if (size > limit) answer.destroy(new Error('the file is too large'));
    });
    answer.on('error', (error) => end(3, error.message));
    file.on('error', (error) => end(3, error.message));
    file.on('finish', () => end(answer.complete ? ${succeeded} : 3, 'the answer was cut off'));
    answer.pipe(file);
  });
  request.on('error', (error) => end(3, error.message || error.code || 'it cannot be reached'));
};
try { get(url, 0); } catch (error) { end(3, error.message); }
`;

type Outcome =
  | { readonly kind: 'there' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'failed'; readonly reason: string };

/** Downloads an address into a file; waits for it. */
function fetchSync(url: string, path: string, timeout: number): Outcome {
  const shared = new SharedArrayBuffer(cells * 4 + mostReason);
  const state = new Int32Array(shared, 0, cells);
  let worker: Worker;
  try {
    worker = new Worker(download, { eval: true, workerData: { url, path, shared, limit: mostBytes } });
  } catch (error) {
    return { kind: 'failed', reason: (error as Error).message };
  }
  worker.on('error', () => {});
  worker.unref();
  try {
    for (let progress = -1; Atomics.load(state, 0) === 0; ) {
      const now = Atomics.load(state, 1);
      if (now === progress) return { kind: 'failed', reason: `does not answer within ${timeout / 1000} s` };
      progress = now;
      Atomics.wait(state, 0, 0, timeout);
    }
  } finally {
    void worker.terminate();
  }
  const outcome = Atomics.load(state, 0);
  if (outcome === succeeded) return { kind: 'there' };
  if (outcome === notThere) return { kind: 'absent' };
  // A shared buffer can't be decoded in place.
  const reason = new TextDecoder().decode(new Uint8Array(shared, cells * 4, Atomics.load(state, 2)).slice());
  return { kind: 'failed', reason };
}

function age(path: string): number | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? undefined : Date.now() - stat.mtimeMs;
}

/** True for a whole ELF file with that build-id. */
function belongs(path: string, buildId: string): boolean {
  const file = HostFile.open(path);
  if (!file.ok) return false;
  const elf = ElfFile.open(path, file.value);
  const whole =
    elf.ok &&
    elf.value.buildId() === buildId &&
    elf.value.problem === undefined &&
    elf.value.sections.every(({ type, offset, size }) => type === SHT_NOBITS || offset + size <= file.value.size);
  file.value.close();
  return whole;
}

/** The time of use decides which go first. */
function touch(path: string): void {
  try {
    utimesSync(path, new Date(), new Date());
  } catch {}
}

/** Keeps what was fetched within the bound: what was unused for longest goes, never what was fetched just now. */
function prune(folder: string, fetched: string): void {
  try {
    const files: { readonly path: string; readonly size: number; readonly used: number }[] = [];
    for (const name of readdirSync(folder)) {
      if (name === fetched) continue;
      for (const file of readdirSync(join(folder, name))) {
        const path = join(folder, name, file);
        const stat = statSync(path, { throwIfNoEntry: false });
        if (stat !== undefined) files.push({ path, size: stat.size, used: stat.mtimeMs });
      }
    }
    let total = files.reduce((sum, { size }) => sum + size, 0) + statSync(join(folder, fetched, 'debuginfo')).size;
    for (const { path, size } of files.sort((a, b) => a.used - b.used)) {
      if (total <= mostCached) return;
      rmSync(path, { force: true });
      total -= size;
    }
  } catch {
    // Another run is at it.
  }
}

/** The servers that DEBUGINFOD_URLS names (split by spaces); undefined when there are none. */
export function debugServers(
  environment: Readonly<Record<string, string | undefined>>,
  onMessage: ((message: string) => void) | undefined,
): DebugServers | undefined {
  const urls = (environment['DEBUGINFOD_URLS'] ?? '').split(/\s+/).filter((url) => url !== '');
  if (urls.length === 0) return undefined;
  const home = environment['XDG_CACHE_HOME'] || join(environment['HOME'] || homedir(), '.cache');
  const folder = join(home, 'insitu', 'debuginfod');
  const seconds = Number(environment['DEBUGINFOD_TIMEOUT']);
  const timeout = seconds > 0 ? Math.min(seconds * 1000, 10 * 60_000) : patience;
  /** Servers that failed once are left alone; a run should not wait for each file again. */
  const failed = new Map<string, string>();

  return {
    urls,
    fetch(buildId) {
      if (!/^[0-9a-f]{4,128}$/.test(buildId)) return { reason: `'${buildId}' is no build-id` };
      const own = join(folder, buildId);
      const path = join(own, 'debuginfo');
      const absent = join(own, 'absent');
      if (age(path) !== undefined) {
        if (belongs(path, buildId)) {
          touch(path);
          return { path };
        }
        // Cut off by a full disk, or by a machine that stopped: fetched again.
        rmSync(path, { force: true });
      }
      if ((age(absent) ?? absentFor) < absentFor) return { reason: `no server had ${buildId} some minutes ago` };
      const partial = join(own, `debuginfo.${process.pid}`);
      try {
        mkdirSync(own, { recursive: true, mode: 0o700 });
      } catch (error) {
        return { reason: `the cache can't be written: ${(error as Error).message}` };
      }
      const reasons: string[] = [];
      for (const url of urls) {
        const known = failed.get(url);
        if (known !== undefined) {
          reasons.push(`${url} ${known}`);
          continue;
        }
        const address = `${url.replace(/\/+$/, '')}/buildid/${buildId}/debuginfo`;
        const outcome = fetchSync(address, partial, timeout);
        if (outcome.kind === 'there' && belongs(partial, buildId)) {
          renameSync(partial, path);
          rmSync(absent, { force: true });
          prune(folder, buildId);
          return { path };
        }
        rmSync(partial, { force: true });
        if (outcome.kind === 'there') {
          reasons.push(`${url} sends something else than the debug file of ${buildId}`);
          continue;
        }
        if (outcome.kind === 'absent') {
          reasons.push(`${url} has no debug file for it`);
          continue;
        }
        failed.set(url, outcome.reason);
        reasons.push(`${url} ${outcome.reason}`);
        onMessage?.(`debuginfod: ${url}: ${outcome.reason}; going on without it`);
      }
      // What a broken server has may be there the next time.
      if (failed.size === 0) {
        try {
          writeFileSync(absent, '');
        } catch {}
      }
      return { reason: reasons.join('; ') };
    },
  };
}

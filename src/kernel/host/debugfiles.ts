/** Where this machine has debug files: folders, a file that the user named, and the servers of DEBUGINFOD_URLS. */
import { resolve } from 'node:path';
import { lazy } from '../../base/lazy.ts';
import type { DebugFiles } from '../../symbolize/symbols/debugfile.ts';
import { debugServers } from './debuginfod.ts';
import { HostFile } from './file.ts';

export interface DebugFileOptions {
  /** Folders to look below before /usr/lib/debug (--debuginfo). */
  readonly folders?: readonly string[] | undefined;
  /** A build of the same program with symbols (--symbols). */
  readonly symbols?: string | undefined;
  /** Another build of the program, whose types are used where there are none (--types). */
  readonly types?: string | undefined;
  /** Take it when its code is the same, though its build-id is not (--symbols-force). */
  readonly symbolsForce?: boolean | undefined;
  /** Files of names learnt from other programs (--names). */
  readonly names?: readonly string[] | undefined;
  /** DEBUGINFOD_URLS, DEBUGINFOD_TIMEOUT, XDG_CACHE_HOME and HOME are looked up here. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
  /** Told once of each server that does not answer. */
  readonly onMessage?: ((message: string) => void) | undefined;
}

/** The debug files of this machine. Looks at nothing yet. */
export function hostDebugFiles(options: DebugFileOptions = {}): DebugFiles {
  const servers = lazy(() => debugServers(options.environment ?? process.env, options.onMessage));
  return {
    open(path) {
      const file = HostFile.open(path);
      return file.ok ? file.value : undefined;
    },
    roots: [...(options.folders ?? []).map((folder) => resolve(folder)), '/usr/lib/debug'],
    symbols:
      options.symbols === undefined
        ? undefined
        : { path: resolve(options.symbols), force: options.symbolsForce ?? false },
    get servers() {
      return servers();
    },
  };
}

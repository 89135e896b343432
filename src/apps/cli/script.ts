/** The script's text, from where the command line says. */
import { readFileSync, realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { MachineError } from '../../base/errors.ts';
import type { ScriptPlace } from './options.ts';

export interface ScriptText {
  readonly script: string;
  readonly name: string;
  readonly folder: string | undefined;
}

/** Reads it whole; throws a MachineError. */
export function readScript(place: ScriptPlace): ScriptText {
  switch (place.kind) {
    case 'text':
      return { script: place.text, name: 'stdin', folder: undefined };
    case 'stdin':
      return { script: readFileSync(0, 'utf8'), name: 'stdin', folder: undefined };
    case 'file':
      try {
        const script = readFileSync(place.path, 'utf8');
        return { script, name: place.path, folder: dirname(realpathSync(place.path)) };
      } catch (cause) {
        const { code = 'EIO', message } = cause as NodeJS.ErrnoException;
        const reasons: Readonly<Record<string, string>> = {
          ENOENT: 'there is no such file',
          EISDIR: 'it is a directory',
          EACCES: 'permission denied',
        };
        throw new MachineError(`cannot read the script ${place.path}: ${reasons[code] ?? message}`, {
          code,
          hints: [
            code === 'EISDIR'
              ? 'name the script in it'
              : "a program on the command line goes after -e: insitu -e 'BEGIN { … }'",
          ],
          cause,
        });
      }
  }
}

/** Where a process runs: the container that its control groups name, else namespaces other than this process's. */
import { readFileSync, readlinkSync } from 'node:fs';
import { containerIn } from '../../answers/sockets/container.ts';
import { Lru } from '../../base/lru.ts';

/** Namespaces that containers have of their own (namespaces(7)). */
const kinds = ['net', 'pid', 'mnt'] as const;

function namespaceOf(pid: number | 'self', kind: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/${kind}`);
  } catch {
    return undefined;
  }
}

/** Processes whose place is kept, so that it is known when they have gone. */
const places = new Lru<number, string>(4096);

/** `docker 1f2e3d4c5b6a`, `other net, pid namespace`, or '' for where this process is; what is gone is not known. */
export function containerOf(pid: number): string {
  const known = places.get(pid);
  if (known !== undefined) return known;
  let cgroups: string;
  try {
    cgroups = readFileSync(`/proc/${pid}/cgroup`, 'latin1');
  } catch {
    return '';
  }
  const named = containerIn(cgroups);
  const others = kinds.filter((kind) => {
    const own = namespaceOf(pid, kind);
    return own !== undefined && own !== namespaceOf('self', kind);
  });
  // The container that insitu itself runs in is no news.
  const here = named !== '' && others.length === 0 && named === containerOfSelf();
  const place = here ? '' : named || (others.length > 0 ? `other ${others.join(', ')} namespace` : '');
  places.set(pid, place);
  return place;
}

function containerOfSelf(): string {
  try {
    return containerIn(readFileSync('/proc/self/cgroup', 'latin1'));
  } catch {
    return '';
  }
}

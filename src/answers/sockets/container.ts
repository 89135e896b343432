/** The container that a process runs in, as its control groups name it (cgroups(7), /proc/PID/cgroup). */

/** By what container engines and their systemd units write in front of an identity of 64 hexadecimal digits. */
const engines: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/cri-containerd[-:]/, 'containerd'],
  [/crio-/, 'cri-o'],
  [/libpod-/, 'podman'],
  [/docker/, 'docker'],
  [/kubepods/, 'kubernetes'],
  [/containerd/, 'containerd'],
];

/** `docker 1f2e3d4c5b6a`, `lxc web`, or '' where the groups name none. */
export function containerIn(cgroups: string): string {
  for (const line of cgroups.split('\n')) {
    const path = line.slice(line.indexOf(':', line.indexOf(':') + 1) + 1);
    const [, before = '', identity] = /^(.*?)([0-9a-f]{64})(?![0-9a-f])/.exec(path) ?? [];
    if (identity !== undefined) {
      const engine = engines.find(([pattern]) => pattern.test(before))?.[1] ?? 'container';
      return `${engine} ${identity.slice(0, 12)}`;
    }
    const lxc = /\/lxc(?:\.payload\.|\/)([^/]+)/.exec(path)?.[1];
    if (lxc !== undefined) return `lxc ${lxc}`;
    const machine = /\/machine-([^/]+?)\.scope/.exec(path)?.[1];
    if (machine !== undefined) return `machine ${machine.replaceAll('\\x2d', '-')}`;
  }
  return '';
}

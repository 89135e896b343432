/** May this process trace at all? Asked before anything is loaded, so that the answer is one clear sentence. */
import { MachineError } from '../../base/errors.ts';
import { missingCapabilities } from '../sys/errno.ts';

/** Throws when a capability for loading or attaching programs is missing (capabilities(7)). */
export function requirePrivileges(): void {
  const missing = missingCapabilities();
  if (missing.length === 0) return;
  const root = process.geteuid?.() === 0;
  const verb = missing.length === 1 ? 'is' : 'are';
  throw new MachineError(`${root ? 'not enough privileges' : 'not root'}: ${missing.join(' and ')} ${verb} missing`, {
    code: 'E_NO_CAPABILITY',
    hints: [
      root
        ? 'in a container, give it the capabilities (docker run --cap-add BPF --cap-add PERFMON --cap-add SYS_ADMIN, or --privileged)'
        : 'run insitu as root (sudo insitu …)',
    ],
  });
}

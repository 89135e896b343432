/** iter: a link to an iterator, which is read once when the run begins, or pinned for others to read. */
import { MachineError } from '../../base/errors.ts';
import { bpffs } from '../host/bpffs.ts';
import { iteratorCreate, linkIterator, pinObject } from '../sys/bpf.ts';
import { closeFd } from '../sys/bpfcall.ts';
import { CallError } from '../sys/errno.ts';
import { type Attach, attachOne } from './bench.ts';

export const attachIterators: Attach = (probes, bench) => {
  for (const probe of probes) {
    const { spec, program } = probe;
    if (spec.kind !== 'iter') continue;
    attachOne(probe, bench, () => {
      if (program.refusal) throw program.refusal;
      const link = linkIterator(program.fd, spec.pid);
      try {
        if (spec.pin === undefined) bench.read(iteratorCreate(link));
        else pin(link, spec.pin);
      } catch (error) {
        closeFd(link);
        throw error;
      }
      return link;
    });
  }
};

/** A name without a folder goes where everybody looks. */
function pin(link: number, name: string): void {
  const path = name.startsWith('/') ? name : `${bpffs()}/${name}`;
  try {
    pinObject(link, path);
  } catch (cause) {
    if (!(cause instanceof CallError)) throw cause;
    const why: Readonly<Record<string, string>> = {
      EEXIST: 'there is such a file already',
      ENOENT: 'there is no such folder',
      EPERM: 'it is not in a BPF file system',
      EINVAL: 'it is not in a BPF file system',
    };
    const reason = why[cause.code];
    if (reason === undefined) throw cause;
    throw new MachineError(`cannot pin ${path}: ${reason}`, { code: cause.code, cause });
  }
}

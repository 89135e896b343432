/**
 * iter:OBJECT[:PIN]: goes once through all tasks, open files, mappings … of the machine.
 * `ctx` is the kernel's struct bpf_iter__OBJECT (Documentation/bpf/bpf_iterators.rst).
 */
import { nearest } from '../../base/near.ts';
import { pointerTo } from '../../types/model.ts';
import type { TypeSource } from '../../types/source.ts';
import { kernelName } from './pattern.ts';
import type { Provider } from './provider.ts';

const structPrefix = 'bpf_iter__';

/** What this kernel has iterators over. */
export function iteratorObjects(types: TypeSource): string[] {
  const names = new Set(types.names('struct'));
  return [...names]
    .filter((name) => name.startsWith(structPrefix) && !name.includes('__safe'))
    .map((name) => name.slice(structPrefix.length))
    .sort();
}

/** Iterators that can be told to go through one process only (Linux 6.1). */
const byProcess = ['task', 'task_file', 'task_vma'];

export const iter: Provider = (point, rest, options) => {
  const { diagnostics, target } = options;
  const colon = rest.indexOf(':');
  const object = colon < 0 ? rest : rest.slice(0, colon);
  const pin = colon < 0 ? undefined : rest.slice(colon + 1).replace(/^"(.*)"$/, '$1');
  if (object === '' || pin === '') {
    diagnostics.error(
      'probe-form',
      'iter takes what to go through, and a file in bpffs if it is to be kept',
      point.span,
      'iter:task, iter:task_file, iter:task_vma, iter:task:list',
    );
    return [];
  }
  const types = target.kernelTypes();
  const type = types?.find('struct', `${structPrefix}${object}`);
  if (types === undefined || type?.kind !== 'struct') {
    const all = types === undefined ? [] : iteratorObjects(types);
    const near = nearest(object, all, 2);
    diagnostics.error(
      'no-iterator',
      types === undefined
        ? "iter probes need the kernel's type information (BTF), and this kernel has none"
        : `this kernel has no iterator over '${object}'`,
      point.span,
      ...(near.length > 0
        ? [`did you mean ${near.join(' or ')}?`]
        : all.length > 0
          ? [`it has: ${all.join(', ')}`]
          : []),
    );
    return [];
  }
  // Each member is a pointer in a union of 8 bytes; the last says what the iterator stands at.
  const last = type.fields().at(-1)?.offset ?? 8;
  const pid = byProcess.includes(object) ? options.pid : undefined;
  return [
    {
      provider: 'iter',
      programType: 'TRACING',
      attachments: [
        {
          spec: { kind: 'iter', object, ...(pin === undefined ? {} : { pin }), ...(pid === undefined ? {} : { pid }) },
          name: `iter:${rest}`,
        },
      ],
      span: point.span,
      shortName: kernelName(object),
      attachTo: { as: 'iter', name: object },
      iterator: { type: pointerTo(type, 'kernel'), object: last },
      registers: false,
      userMemory: false,
      hasProcess: true,
    },
  ];
};

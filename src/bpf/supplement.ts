/**
 * Numbers that are newer than the headers constants.ts is generated from, with the
 * kernel that brought each. Kept by hand; `tools/gen-bpf-constants.mjs --check` compares
 * them with the running kernel's BTF.
 */

/** enum bpf_attach_type, bpf_link_type, bpf_map_type and the flags that go with them. @public */
export const bpf_newer = {
  /** Linux 6.6. */
  BPF_TRACE_UPROBE_MULTI: 48,
  /** Linux 6.10. */
  BPF_TRACE_KPROBE_SESSION: 56,
  /** Linux 6.13. */
  BPF_TRACE_UPROBE_SESSION: 57,
  /** Linux 6.6. */
  BPF_LINK_TYPE_UPROBE_MULTI: 12,
  /** Linux 6.6: link_create.uprobe_multi.flags. */
  BPF_F_UPROBE_MULTI_RETURN: 1,
  /** Linux 6.2. */
  BPF_MAP_TYPE_CGRP_STORAGE: 32,
  /** Linux 6.9. */
  BPF_MAP_TYPE_ARENA: 33,
} as const;

/** Helpers after the last one in the headers; numbering goes on without a gap. */
export const NEWER_HELPERS: readonly { readonly name: string; readonly number: number; readonly since: string }[] = [
  { name: 'cgrp_storage_get', number: 210, since: '6.2' },
  { name: 'cgrp_storage_delete', number: 211, since: '6.2' },
];

/**
 * Names from the marks that macros left: believed where a mark is the only one in its
 * function and no other function has the same. A mark in many functions, or among others,
 * was inlined from elsewhere.
 */
import { type Literals, type Mark, nameInSignature, SIGNATURE } from './literals.ts';
import type { Methods } from './methods.ts';
import type { Finding } from './rules.ts';

/** A macro's argument made text reads like a name too; of one plain word it can't be told. */
const plainWord = /^[a-z]+$/;

export function findMarked(literals: Literals, methods: Methods, add: (finding: Finding) => void): void {
  const users = new Map<string, number>();
  const own = new Map<number, { readonly key: string; readonly mark: Mark } | undefined>();
  for (const mark of literals.marks) {
    // By text: the same literal may lie in the file twice. Assertions have the line behind the file's name.
    const key = `${literals.text(mark.name)}\0${literals.text(mark.file).replace(/:\d+$/, '')}`;
    const user = users.get(key);
    if (user === undefined) users.set(key, mark.index);
    else if (user !== mark.index) users.set(key, -1);
    const before = own.get(mark.index);
    if (!own.has(mark.index)) own.set(mark.index, { key, mark });
    else if (before?.key !== key) own.set(mark.index, undefined);
  }
  for (const [index, one] of own) {
    if (one === undefined || users.get(one.key) === -1) continue;
    const { mark } = one;
    const text = literals.text(mark.name);
    const proof = [mark.name, mark.file];
    const owner = methods.owners[index];
    if (mark.kind === SIGNATURE) {
      const name = nameInSignature(text);
      if (name !== undefined && (mark.record || !mark.header)) {
        add({ index, rule: 'signature', scopes: [], member: name.replaceAll('{anonymous}', '(anonymous namespace)'), proof });
      }
    } else if (plainWord.test(text)) continue;
    else if (owner !== undefined) {
      add({ index, rule: 'virtual-literal', scopes: [owner.type, ...owner.absent], member: text, proof });
    } else if (!mark.header) add({ index, rule: 'literal', scopes: [], member: text, proof });
  }
}

/**
 * Names from the marks that macros left. A function's own name stands in it alone, or
 * before and more often than others', and stands in no other function; what is in many
 * functions, or among others, was inlined from elsewhere. The bounds between name and hint
 * are those at which the precision measured on node and workerd drops (bench/evidence).
 */
import { type Literals, nameInSignature, SIGNATURE } from './literals.ts';
import type { Methods } from './methods.ts';
import { CONSTRUCTOR, type Finding } from './rules.ts';

/** A macro's argument made text (`KJ_LOG(fd)`) reads like a name too; one plain word can't be told from it. */
const plainWord = /^[a-z]+$/;

/** All marks of one name and file in one function. */
interface Own {
  name: string;
  readonly literal: number;
  readonly file: number;
  readonly key: string;
  readonly header: boolean;
  signature: boolean;
  count: number;
}

/** The last part of a scoped name, without template arguments. */
export function lastOf(name: string): string {
  const plain = name.replace(/<.*>/, '');
  const scope = plain.lastIndexOf('::');
  return scope < 0 ? plain : plain.slice(scope + 2);
}

export function findMarked(
  literals: Literals,
  methods: Methods,
  classesNamed: (name: string) => readonly number[],
  storedBy: (index: number) => ReadonlySet<number>,
  add: (finding: Finding) => void,
): void {
  const users = new Map<string, number>();
  const marks = new Map<number, Map<string, Own>>();
  for (const mark of literals.marks) {
    // A signature that the code itself loads is more often the condition of an assertion.
    const signature = mark.kind === SIGNATURE;
    if (signature && !mark.record) continue;
    const text = literals.text(mark.name);
    const name = signature ? nameInSignature(text) : text;
    if (name === undefined) continue;
    // By text: the same literal may lie in the file twice, and assertions have the line behind the file's name.
    const key = `${lastOf(name)}\0${literals.text(mark.file).replace(/:\d+$/, '')}`;
    const user = users.get(key);
    if (user === undefined) users.set(key, mark.index);
    else if (user !== mark.index) users.set(key, -1);
    let own = marks.get(mark.index);
    if (own === undefined) {
      own = new Map();
      marks.set(mark.index, own);
    }
    const before = own.get(key);
    if (before === undefined) {
      own.set(key, { name, literal: mark.name, file: mark.file, key, header: mark.header, signature, count: 1 });
      continue;
    }
    before.count++;
    if (signature) {
      before.signature = true;
      before.name = name;
    }
  }
  for (const [index, own] of marks) {
    const all = [...own.values()];
    const unique = all.filter((one) => users.get(one.key) !== -1);
    const [first] = all;
    const one = unique.length === 1 ? unique[0] : all.length === 1 ? first : undefined;
    const proof = (mark: Own): number[] => [mark.literal, mark.file];
    const most = all.reduce((best, mark) => (mark.count > best.count ? mark : best));
    if (one === undefined) {
      // Several names of equal standing: the first of them, if also the commonest, as a hint.
      if (first !== undefined && first === most && unique.includes(first)) {
        add({ index, rule: 'mentions', scopes: [], member: first.name, proof: proof(first) });
      }
      continue;
    }
    const isUnique = unique.length === 1;
    const stands = all.length === 1 || one === first || one === most;
    const isWord = plainWord.test(one.name);
    const owner = methods.owners[index];
    const name = one.name.replaceAll('{anonymous}', '(anonymous namespace)');
    const give = (rule: Finding['rule'], scopes: readonly number[] = []): void =>
      add({ index, rule, scopes, member: name, proof: proof(one) });
    if (one.signature) {
      if (isUnique && stands && !one.header) give('signature');
      else give('mentions');
    } else if (owner !== undefined) {
      if (stands && (isUnique ? !isWord || !one.header : !isWord && !one.header)) {
        give('virtual-literal', [owner.type, ...owner.absent]);
      }
    } else if (classesNamed(name).length > 0) {
      const tables = storedBy(index);
      const made = classesNamed(name).filter((type) => tables.has(type));
      // A constructor's name: constructors are mostly inlined into what makes the object.
      if (made.length === 1) {
        add({ index, rule: 'constructor-literal', scopes: made, member: CONSTRUCTOR, proof: proof(one) });
      } else if (one.count > 1 || (!isUnique && one.header)) give('literal');
      else give('mentions');
    } else if (one.file === 0) {
      // Passed to a format: what is no compound is more often something else than a function's name.
      give(isUnique && stands && /_|[a-z][A-Z]/.test(one.name) ? 'literal' : 'mentions');
    } else if (isUnique && stands && !isWord && (!one.header || one.count > 1)) give('literal');
    else give('mentions');
  }
}

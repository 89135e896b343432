/**
 * Names like the one that was asked for, for "did you mean" hints: a bounded
 * Damerau–Levenshtein distance (a swap of neighbours counts as one edit).
 */

/** Edits from `left` to `right`, or `bound + 1` as soon as it is certain that there are more than `bound`. */
export function distance(left: string, right: string, bound: number): number {
  if (Math.abs(left.length - right.length) > bound) return bound + 1;
  let beforeLast: number[] = [];
  let last: number[] = Array.from({ length: right.length + 1 }, (_, column) => column);
  for (let row = 1; row <= left.length; row++) {
    const current: number[] = [row];
    let least = row;
    for (let column = 1; column <= right.length; column++) {
      const same = left.charCodeAt(row - 1) === right.charCodeAt(column - 1);
      let edits = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
      );
      const swapped =
        row > 1 &&
        column > 1 &&
        left.charCodeAt(row - 1) === right.charCodeAt(column - 2) &&
        left.charCodeAt(row - 2) === right.charCodeAt(column - 1);
      if (swapped) edits = Math.min(edits, (beforeLast[column - 2] ?? 0) + 1);
      current.push(edits);
      if (edits < least) least = edits;
    }
    if (least > bound) return bound + 1;
    beforeLast = last;
    last = current;
  }
  return last[right.length] ?? bound + 1;
}

/**
 * At most `limit` of the candidates that are most like `name`, best first: equal but
 * for case, then few edits apart (up to a third of the length, at least 2), then those
 * that contain the name or that the name begins with. Empty when nothing is alike.
 */
export function nearest(name: string, candidates: Iterable<string>, limit: number): string[] {
  const wanted = name.toLowerCase();
  if (wanted === '' || limit <= 0) return [];
  const bound = Math.min(Math.max(2, Math.floor(wanted.length / 3)), Math.max(1, wanted.length - 1), 6);
  const found = new Map<string, number>();
  for (const candidate of candidates) {
    if (candidate === name || candidate === '') continue;
    const other = candidate.toLowerCase();
    const edits = distance(wanted, other, bound);
    if (edits <= bound) found.set(candidate, edits);
    else if (wanted.length >= 3 && other.includes(wanted)) {
      found.set(candidate, bound + 1 + (other.length - wanted.length) / 1024);
    } else if (other.length >= 4 && wanted.startsWith(other)) {
      found.set(candidate, bound + 2 + (wanted.length - other.length) / 1024);
    }
  }
  return [...found]
    .sort(([leftName, left], [rightName, right]) => left - right || (leftName < rightName ? -1 : 1))
    .slice(0, limit)
    .map(([candidate]) => candidate);
}

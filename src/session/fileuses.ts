/** Which processes have mapped which files, as far as it was told, and since when nobody has. */

export class FileUses<File> {
  readonly #files = new Map<number, Set<File>>();
  readonly #users = new Map<File, Set<number>>();
  /** Files that had users and have none, with the time when the last one left. */
  readonly #left = new Map<File, number>();

  mapped(pid: number, file: File): void {
    let files = this.#files.get(pid);
    if (files === undefined) {
      files = new Set();
      this.#files.set(pid, files);
    }
    files.add(file);
    const users = this.#users.get(file);
    if (users === undefined) this.#users.set(file, new Set([pid]));
    else users.add(pid);
    this.#left.delete(file);
  }

  forked(parent: number, child: number): void {
    for (const file of this.#files.get(parent) ?? []) this.mapped(child, file);
  }

  /** A process has ended, or become another program. */
  ended(pid: number, now: number): void {
    const files = this.#files.get(pid);
    if (files === undefined) return;
    this.#files.delete(pid);
    for (const file of files) {
      const users = this.#users.get(file);
      users?.delete(pid);
      if (users?.size === 0) this.#left.set(file, now);
    }
  }

  /** Ends of processes have been missed: whoever is still there has to be asked for. */
  lost(now: number): void {
    for (const pid of [...this.#files.keys()]) this.ended(pid, now);
  }

  /** Whether some file is without users. */
  get anyLeft(): boolean {
    return this.#left.size > 0;
  }

  /** The files that the last user left before that time. */
  leftBefore(time: number): File[] {
    return [...this.#left].flatMap(([file, since]) => (since <= time ? [file] : []));
  }

  forget(file: File): void {
    for (const pid of this.#users.get(file) ?? []) this.#files.get(pid)?.delete(file);
    this.#users.delete(file);
    this.#left.delete(file);
  }
}

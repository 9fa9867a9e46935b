/**
 * Members in groups, of which two are asked for: the largest, when somebody must give way, and the next in turn, when there is
 * room for one. Neither takes longer when there are many.
 */
export class CrowdedGroups<T> {
  /** The group whose turn is next first; in a group, who came first. */
  readonly #members = new Map<string, Set<T>>();
  /** At its size, the groups that have it. */
  readonly #ofSize: Set<string>[] = [new Set()];
  #largest = 0;

  /** How large the group is now. */
  add(group: string, member: T): number {
    const members = this.#members.get(group) ?? new Set();
    this.#members.set(group, members);
    const before = members.size;
    this.#resized(group, before, members.add(member).size);
    return members.size;
  }

  /** Harmless for one that is not there. */
  remove(group: string, member: T): void {
    const members = this.#members.get(group);
    if (members === undefined || !members.delete(member)) return;
    this.#resized(group, members.size + 1, members.size);
    if (members.size === 0) this.#members.delete(group);
  }

  /** Those of a group, who came first being the first. */
  of(group: string): ReadonlySet<T> {
    return this.#members.get(group) ?? new Set();
  }

  /** Of several that are as large, the one that has been so for longest; null where there is none. */
  largest(): string | null {
    const [group = null] = this.#largest === 0 ? [] : (this.#ofSize[this.#largest] ?? []);
    return group;
  }

  /** Takes out the first of the group whose turn it is, which is then the last to have one; null where there is none. */
  takeNext(): T | null {
    for (const [group, members] of this.#members) {
      for (const member of members) {
        this.remove(group, member);
        if (members.size > 0) {
          this.#members.delete(group);
          this.#members.set(group, members);
        }
        return member;
      }
    }
    return null;
  }

  #resized(group: string, before: number, now: number): void {
    this.#ofSize[before]?.delete(group);
    if (now > 0) (this.#ofSize[now] ??= new Set()).add(group);
    this.#largest = Math.max(this.#largest, now);
    while (this.#largest > 0 && !this.#ofSize[this.#largest]?.size) this.#largest -= 1;
  }
}

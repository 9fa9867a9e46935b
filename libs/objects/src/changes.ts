/**
 * Which fields of an object its writer had changed: oslo's `nova_object.changes`. They stand beside the frozen
 * object and not in it, and only where there are some: an object that was read with changes is written with them.
 */
import { LIST_ITEMS_MAX, refuse } from './fields.ts';

const NONE: readonly string[] = Object.freeze([]);
const CHANGES = new WeakMap<object, readonly string[]>();

/** Names on the wire; empty when there are none. */
export function changesOf(value: object): readonly string[] {
  return CHANGES.get(value) ?? NONE;
}

export function setChanges(value: object, names: readonly string[]): void {
  if (names.length > 0) CHANGES.set(value, names);
}

/** What stands in a primitive, without the names that are `unknown` to us, as oslo reads it. @throws ServiceError INVALID_ARGUMENT */
export function changesFromWire(given: unknown, known: ReadonlySet<string>, path: string): readonly string[] {
  if (!Array.isArray(given) || given.length > LIST_ITEMS_MAX) refuse(path, `expected a list of at most ${LIST_ITEMS_MAX} names of fields`);
  const names = new Set<string>();
  for (const name of given as unknown[]) {
    if (typeof name !== 'string') refuse(path, 'expected names of fields');
    if (known.has(name)) names.add(name);
  }
  return [...names];
}

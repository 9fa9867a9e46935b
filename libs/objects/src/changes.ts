/**
 * Which fields of an object its writer had changed: oslo's `nova_object.changes`. They stand beside the frozen
 * object and not in it, and only where there are some: an object that was read with changes is written with them.
 */
import { refuse } from './refusal.ts';
import { LIST_ITEMS_MAX } from './fields.ts';
import type { AnyField, Fields } from './field.ts';
import { wireName } from './record-codec.ts';

const NONE: readonly string[] = Object.freeze([]);
const CHANGES = new WeakMap<object, readonly string[]>();

/** Names on the wire; empty when there are none. */
export function changesOf(value: object): readonly string[] {
  return CHANGES.get(value) ?? NONE;
}

export function setChanges(value: object, names: readonly string[]): void {
  if (names.length > 0) CHANGES.set(value, names);
}

/** What stands in a primitive, without the names that are not `known`, as oslo reads it. @throws ServiceError INVALID_ARGUMENT */
export function changesFromWire(given: unknown, known: ReadonlySet<string>, path: string): readonly string[] {
  if (!Array.isArray(given) || given.length > LIST_ITEMS_MAX) refuse(path, `expected a list of at most ${LIST_ITEMS_MAX} names of fields`);
  const names = new Set<string>();
  for (const name of given as unknown[]) {
    if (typeof name !== 'string') refuse(path, 'expected names of fields');
    if (known.has(name)) names.add(name);
  }
  return [...names];
}

/**
 * What an object is said to have changed: its own changes, and the fields with objects that have some, as oslo counts
 * them; those in a plain list count only where the list is the object's whole content (`isList`).
 */
export function changesIn(fields: Fields, isList: boolean): (value: object) => readonly string[] {
  const nested = Object.entries(fields).filter(([, field]) => field.nested !== undefined && (isList || field.typeName === 'Object'));
  return (value) => {
    const names = changesOf(value);
    if (nested.length === 0) return names;
    const inner = nested.filter(([name, field]) => holdsChanges((value as Record<string, unknown>)[name], field)).map(([name]) => wireName(name));
    return inner.length === 0 ? names : [...new Set([...names, ...inner])];
  };
}

function holdsChanges(value: unknown, { nested }: AnyField): boolean {
  if (nested === undefined || typeof value !== 'object' || value === null) return false;
  return Array.isArray(value) ? value.some((each) => nested.hasChanges(each as never)) : nested.hasChanges(value as never);
}

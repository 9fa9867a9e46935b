/**
 * In which version an object's nested objects travel to an older reader: oslo's obj_make_compatible, declared.
 *
 * A reader's manifest decides when it is given, else the definition's `relations`. A list of objects goes by its
 * childVersions, else as said, else its children become 1.0, as oslo has it.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { AnyField } from './field.ts';
import { compareVersions } from './object-version.ts';
import type { Manifest } from './object-version.ts';
import { wireName } from './record-codec.ts';

/** Since version `own` of the object the field holds version `nested`; ascending. */
export type Relation = readonly (readonly [own: string, nested: string])[];
export type Relations = Readonly<Partial<Record<string, Relation>>>;

interface Question {
  /** The object, and its field that holds others. */
  readonly object: string;
  readonly field: string;
  readonly kind: AnyField;
  /** The version that the object itself is written in. */
  readonly target: string;
  readonly manifest: Manifest | undefined;
  readonly options: { readonly relations?: Relations; readonly childVersions?: Readonly<Record<string, string>> };
}

/**
 * The version of the objects in a field; null: the field did not exist yet; undefined: they stay as they are.
 * @throws ServiceError INVALID_ARGUMENT: neither a manifest nor a relation tells (oslo's ObjectActionError)
 */
export function versionWithin({ object, field, kind, target, manifest, options }: Question): string | null | undefined {
  const { relations = {}, childVersions } = options;
  if (childVersions !== undefined && Object.keys(childVersions).length > 0) return nestedVersion(Object.entries(childVersions), target);
  const nestedName = kind.nested?.name ?? '';
  const ruled = manifest === undefined ? relations[field] : undefined;
  if (ruled !== undefined) return nestedVersion(ruled, target);
  const told = manifest !== undefined && Object.hasOwn(manifest, nestedName) ? manifest[nestedName] : undefined;
  if (told !== undefined) return told;
  if (childVersions !== undefined) return '1.0';
  if (manifest !== undefined) return undefined;
  const path = `.${wireName(field)}`;
  throw new ServiceError('INVALID_ARGUMENT', `${path}: no rule says in which version ${nestedName} goes with ${object} ${target}; a manifest would`, {
    details: { path, oslo: 'ObjectActionError', action: 'obj_make_compatible', reason: `No rule for ${wireName(field)}` },
  });
}

function nestedVersion(relation: Relation, target: string): string | null | undefined {
  let version: string | null = null;
  for (const [own, nested] of relation) {
    const order = compareVersions(target, own);
    // Before the first the field did not exist; in a gap the version before it holds.
    if (order < 0) return version;
    if (order === 0) return nested;
    version = nested;
  }
  return undefined;
}

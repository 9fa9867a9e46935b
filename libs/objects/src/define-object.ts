/**
 * A versioned object: frozen data with a name and a version, whose definition is its codec (its form on the wire:
 * primitive.ts).
 *
 * Only fields that are set stand in the data; unset differs from null. A reader takes any minor version up
 * to its own and refuses a newer minor and every other major. For an older reader the definition itself says what
 * to leave out and in which versions the objects inside travel (backward.ts); only a change that is more than an
 * added field needs code.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import { versionWithin } from './backward.ts';
import type { Relation } from './backward.ts';
import { changesFromWire, changesIn, changesOf, setChanges } from './changes.ts';
import type { AnyField, Fields, JsonObject, JsonValue, ValuesOf } from './field.ts';
import { parseVersion } from './object-version.ts';
import type { Manifest } from './object-version.ts';
import { openPrimitive, primitiveOf } from './primitive.ts';
import type { Identity } from './primitive.ts';
import { recordCodec, wireName } from './record-codec.ts';
import { refuse } from './refusal.ts';

export interface PrimitiveOptions {
  /** What refusals call the object; its name unless told. */
  readonly path?: string;
  /** Names on the wire of the fields that a reader may take as changed; unless told those it was read with. */
  readonly changes?: readonly string[];
  /** The version to write, ours or an older one. */
  readonly version?: string;
  /** What the reader knows: the objects inside are written in these versions. */
  readonly manifest?: Manifest;
}

export interface ObjectDefinition<T> {
  readonly name: string;
  readonly version: string;
  readonly fields: Fields;
  readonly options: ObjectOptions<Fields>;
  /** The versions of this object and of those inside it: what we, as a reader, know. */
  readonly manifest: Manifest;
  /** Checked and frozen. @throws ServiceError INVALID_ARGUMENT naming the field */
  make(values: T): T;
  /**
   * A copy with other values, which count as changed. @throws ServiceError INVALID_ARGUMENT naming the field: a
   * wrong value, or another one for a field that is read-only and set (oslo's ReadOnlyFieldError)
   */
  change(value: T, changes: Partial<T>): T;
  /**
   * @throws ServiceError INVALID_ARGUMENT: another object (oslo's UnsupportedObjectError), another major or a newer
   * minor (IncompatibleObjectVersion), a wrong field
   */
  fromPrimitive(primitive: unknown, path?: string): T;
  /** @throws ServiceError INVALID_ARGUMENT: a wrong field, a version newer than ours (oslo's InvalidTargetVersion) */
  toPrimitive(value: T, options?: PrimitiveOptions): JsonObject;
  /** Whether a reader is told of changes, in it or inside of it. */
  hasChanges(value: T): boolean;
  /** As toPrimitive, as part of another object: never newer than ours, and `changes` as they were. */
  toNested(value: T, path: string, manifest: Manifest | undefined, version: string | undefined): JsonObject;
}

export type ObjectOf<D> = D extends ObjectDefinition<infer T> ? T : never;

/** A definition whose type does not matter where it is used. */
export type AnyDefinition = Omit<ObjectDefinition<unknown>, 'make' | 'change' | 'hasChanges' | 'toPrimitive' | 'toNested'> & {
  hasChanges(value: never): boolean;
  toPrimitive(value: never, options?: PrimitiveOptions): JsonObject;
  toNested(value: never, path: string, manifest: Manifest | undefined, version: string | undefined): JsonObject;
};

/** Data in the making: names on the wire. */
export type MutableData = Record<string, JsonValue>;

export interface ObjectOptions<F extends Fields> {
  /** By field: since which version of ours it holds which version of its object, ascending; for readers without a manifest. */
  readonly relations?: { readonly [K in keyof F]?: Relation };
  /** Of a list of objects (oslo's ObjectListBase, whose only field is `objects`): the children's version by the list's own. */
  readonly childVersions?: Readonly<Record<string, string>>;
  /** Signatures of the Python class's remotable methods, which its fingerprint contains. */
  readonly methods?: readonly string[];
  /** For the rare change that is more than an added field: edits the data for a reader of an older `version`. */
  readonly backward?: (data: MutableData, version: string) => void;
  /** Its counterpart: edits a copy of the data that a writer of an older `version` sent. */
  readonly forward?: (data: Record<string, unknown>, version: string) => void;
}

export function defineObject<const F extends Fields>(name: string, version: string, fields: F, options: ObjectOptions<F> = {}): ObjectDefinition<ValuesOf<F>> {
  const codec = recordCodec(fields);
  const own: Identity = { name, version, parsed: parseVersion(version, name) };
  refuseEarlySince(own, fields);
  const changed = changesIn(fields, options.childVersions !== undefined);
  type Values = ValuesOf<F>;

  function read(primitive: unknown, path: string): Values {
    const { data, changes, olderVersion } = openPrimitive(primitive, own, path);
    const edited = olderVersion === undefined || options.forward === undefined ? data : broughtForward(data, path, olderVersion, options.forward);
    const value = codec.fromWire(edited, path, olderVersion);
    if (changes !== undefined) setChanges(value, changesFromWire(changes, codec.wireNames, `${path}.changes`));
    return value;
  }

  function make(values: Values): Values {
    return codec.fromWire(codec.toWire(values, name), name);
  }

  /** The data for a reader of a version of ours, or of its manifest. */
  function backported(value: Values, path: string, target: string, manifest: Manifest | undefined): JsonObject {
    const data: MutableData = codec.toWire(value, path, {
      version: target,
      manifest,
      versionWithin: (field, kind) => versionWithin({ object: name, field, kind, target, manifest, options }),
    });
    if (parseVersion(target, path).rank < own.parsed.rank) options.backward?.(data, target);
    return data;
  }

  return {
    name,
    version,
    fields,
    options,
    manifest: manifestOf(name, version, fields),
    make,
    change(value, changes) {
      for (const [field, after] of Object.entries(changes)) refuseSecondValue(`${name}.${wireName(field)}`, fields[field], (value as Record<string, unknown>)[field], after);
      const copy = make({ ...value, ...changes });
      setChanges(copy, [...new Set([...changesOf(value), ...Object.keys(changes).map(wireName)])]);
      return copy;
    },
    hasChanges: (value) => changed(value).length > 0,
    fromPrimitive: (primitive, path = name) => read(primitive, path),
    toPrimitive(value, { path = name, changes, version: target = version, manifest } = {}) {
      if (target !== version && parseVersion(target, path).rank > own.parsed.rank) throw invalidTarget(path, name, version, target);
      const asItIs = target === version && (manifest === undefined || Object.keys(manifest).length === 0);
      const data = asItIs ? codec.toWire(value, path) : backported(value, path, target, manifest);
      const names = changes ?? changed(value);
      return primitiveOf(name, target, data, names.length === 0 ? names : names.filter((each) => Object.hasOwn(data, each)));
    },
    toNested(value, path, manifest, wanted) {
      if (wanted === undefined) return primitiveOf(name, version, codec.toWire(value, path), changed(value));
      const target = parseVersion(wanted, path).rank > own.parsed.rank ? version : wanted;
      return primitiveOf(name, target, backported(value, path, target, manifest), changed(value));
    },
  };
}

function broughtForward(data: unknown, path: string, version: string, forward: (data: Record<string, unknown>, version: string) => void): unknown {
  if (typeof data !== 'object' || data === null || Array.isArray(data)) refuse(path, 'expected an object with named values');
  const copy = { ...(data as Record<string, unknown>) };
  forward(copy, version);
  return copy;
}

/** Nobody would ever be sent such a field. */
function refuseEarlySince({ name, version, parsed }: Identity, fields: Fields): void {
  for (const [field, { since }] of Object.entries(fields)) {
    if (since !== undefined && parseVersion(since.version, name).rank > parsed.rank) refuse(`${name}.${wireName(field)}`, `came with ${since.version}, and the object is still ${version}: give it that version`);
  }
}

function refuseSecondValue(path: string, field: AnyField | undefined, before: unknown, after: unknown): void {
  if (before === undefined || !field?.isReadOnly) return;
  const text = (value: unknown): string => JSON.stringify(field.toWire(value as never, path));
  if (after !== undefined && text(before) === text(after)) return;
  const details = { path, oslo: 'ReadOnlyFieldError', field: path.slice(path.indexOf('.') + 1) };
  throw new ServiceError('INVALID_ARGUMENT', `${path}: is read-only and has another value already`, { details });
}

/** oslo's tree: this object, and those in its fields and lists. */
function manifestOf(name: string, version: string, fields: Fields): Manifest {
  const inner = Object.values(fields).map(({ nested }) => nested?.manifest ?? {});
  return Object.freeze(Object.assign({ [name]: version }, ...inner) as Record<string, string>);
}

function invalidTarget(path: string, objname: string, supported: string, version: string): ServiceError {
  return new ServiceError('INVALID_ARGUMENT', `${path}: cannot be written as version ${version} of ${objname}, which is newer than ${supported}`, {
    details: { path, oslo: 'InvalidTargetVersion', objname, supported, version },
  });
}

/**
 * An object's fingerprint: the hash by which oslo.versionedobjects' ObjectVersionChecker notices that an object
 * has changed, computed from our definition. Equal fingerprints mean that a Python class with the same fields,
 * remotable methods and child versions would be given the same one, so Nova's recorded ones hold here as well.
 *
 * It is the md5 of Python's printed form of (fields, methods[, child versions]). The type of a list's or map's
 * elements and the name of a nested object are not part of it; the golden payloads watch over those.
 */
import { createHash } from 'node:crypto';
import type { AnyDefinition } from './define-object.ts';
import type { AnyField, FieldKind } from './field.ts';
import { pyFloat, pyTuple, pythonRepr, pythonStr } from './python-repr.ts';
import type { PyValue } from './python-repr.ts';
import { pythonSignature } from './python-signature.ts';
import { wireName } from './record-codec.ts';

export interface FieldDescription {
  /** oslo's type class, such as `DateTime`. */
  readonly type: string;
  readonly nullable: boolean;
  /** As Python's str() prints it; unset: there is none. A set is `set([a,b])`, sorted. */
  readonly default?: string;
  /** Of an enum: as Python's repr() prints the list or tuple. */
  readonly validValues?: string;
}

export interface ObjectDescription {
  readonly version: string;
  /** By the names on the wire. */
  readonly fields: Readonly<Record<string, FieldDescription>>;
  /** Signatures of the remotable methods, as Python writes them. */
  readonly methods: readonly string[];
  /** The version of the children by the version of the list; every list object has it, if only empty. */
  readonly childVersions?: Readonly<Record<string, string>>;
}

/** `<version>-<md5>` of a definition of ours, as in Nova's test_objects.py. */
export function fingerprintOf(definition: AnyDefinition): string {
  return fingerprint(describeObject(definition));
}

/** What of a definition goes into its fingerprint. */
export function describeObject({ version, fields, options }: AnyDefinition): ObjectDescription {
  const described: ObjectDescription = {
    version,
    fields: Object.fromEntries(Object.entries(fields).map(([name, field]) => [wireName(name), describeField(field)])),
    methods: options.methods ?? [],
  };
  return options.childVersions === undefined ? described : { ...described, childVersions: options.childVersions };
}

function describeField(field: AnyField): FieldDescription {
  const { typeName, isNullable, fallback, validValues } = field;
  return {
    type: typeName,
    nullable: isNullable,
    ...(fallback === undefined ? {} : { default: printDefault(field, fallback) }),
    ...(validValues === undefined ? {} : { validValues: pythonRepr(validValues.form === 'tuple' ? pyTuple(...validValues.values) : validValues.values) }),
  };
}

function printDefault(field: FieldKind, value: unknown): string {
  // oslo prints a set in its own way, so that the hash does not depend on the order.
  if (value instanceof Set) return `set([${[...(value as ReadonlySet<unknown>)].map((each) => pythonStr(inPython(field.item, each))).toSorted().join(',')}])`;
  return pythonStr(inPython(field, value));
}

function inPython(field: FieldKind | undefined, value: unknown): PyValue {
  if (typeof value === 'number' && field?.typeName.endsWith('Float')) return pyFloat(value);
  if (Array.isArray(value)) return value.map((each) => inPython(field?.item, each));
  if (typeof value === 'object' && value !== null && !(value instanceof Date)) {
    return new Map(Object.entries(value).map(([name, each]) => [name, inPython(field?.item, each)]));
  }
  return value as PyValue;
}

/** `<version>-<md5>`. */
export function fingerprint(description: ObjectDescription): string {
  return `${description.version}-${createHash('md5').update(fingerprintInput(description)).digest('hex')}`;
}

/** The text that is hashed. */
export function fingerprintInput({ fields, methods, childVersions }: ObjectDescription): string {
  const parts = [
    pairs(Object.entries(fields).map(([name, field]) => [name, printField(field)])),
    pairs(methods.map(pythonSignature).map(({ name, spec }) => [name, spec])),
  ];
  if (childVersions !== undefined) {
    const versions = Object.entries(childVersions).map(([own, child]): [string, string] => [own, pythonRepr(child)]);
    // Python 3.12 prints a dict here; the hashes on record are of the older form, and oslo keeps to it.
    parts.push(versions.length === 0 ? 'OrderedDict()' : `OrderedDict(${pairs(versions)})`);
  }
  return `(${parts.join(', ')})`;
}

const UNSPECIFIED = "<class 'oslo_versionedobjects.fields.UnspecifiedDefault'>";

function printField({ type, nullable, default: fallback = UNSPECIFIED, validValues }: FieldDescription): string {
  const words = validValues === undefined ? '' : `,valid_values=${validValues}`;
  return `${type}(default=${fallback},nullable=${pythonRepr(nullable)}${words})`;
}

/** A list of (name, text) in the order of the names, as Python sorts them. */
function pairs(entries: readonly (readonly [name: string, text: string])[]): string {
  const sorted = entries.toSorted(([a], [b]) => (a < b ? -1 : Number(a > b)));
  return `[${sorted.map(([name, text]) => `(${pythonRepr(name)}, ${text})`).join(', ')}]`;
}

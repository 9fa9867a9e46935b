/**
 * The kinds of fields that objects and RPC arguments are made of: a small set, each with a limit on what it takes in.
 * Their wire forms are those of oslo.versionedobjects, whose class names stand in `typeName`.
 */
import { formatDatetime, parseDatetime } from './datetime-text.ts';
import { field, scalar } from './field.ts';
import type { Field, Item, JsonValue, LaterField, NestedDefinition } from './field.ts';
import { refuse, shown, within } from './refusal.ts';

export const STRING_LENGTH_MAX = 1_048_576;
export const LIST_ITEMS_MAX = 10_000;
export const JSON_DEPTH_MAX = 32;
export const JSON_VALUES_MAX = 100_000;

/**
 * A field that came with `version` of its object (or of the contract, among RPC arguments): left out for older
 * readers, and of the value `meaning` in the payloads of older writers.
 */
export function since<T>(version: string, later: Field<T>, meaning: NoInfer<T>): LaterField<T> {
  return { ...later, since: { version, meaning } };
}

// In the engine since Node 20, in TypeScript's library since es2024.
function isWellFormed(text: string): boolean {
  return (text as string & { isWellFormed(): boolean }).isWellFormed();
}

/**
 * Length limits are in UTF-16 code units; the default maximum is STRING_LENGTH_MAX. Half a surrogate pair is refused:
 * such a text has no UTF-8. `typeName` is for oslo's other names of it, such as SensitiveString.
 */
export function string(limits: { readonly minLength?: number; readonly maxLength?: number; readonly typeName?: string } = {}): Field<string> {
  const { minLength = 0, maxLength = STRING_LENGTH_MAX, typeName = 'String' } = limits;
  return scalar(typeName, (value, path) => {
    if (typeof value !== 'string') refuse(path, `expected a string, got ${shown(value)}`);
    if (value.length < minLength) refuse(path, `${value.length} characters are fewer than ${minLength}`);
    if (value.length > maxLength) refuse(path, `${value.length} characters are more than ${maxLength}`);
    if (!isWellFormed(value)) refuse(path, 'a text with half a surrogate pair is not accepted');
    return value;
  });
}

interface Bounds {
  readonly min?: number;
  readonly max?: number;
  readonly typeName?: string;
}

/** At most 2^53 - 1, beyond which JavaScript's numbers lose digits. */
export function integer({ min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER, typeName = 'Integer' }: Bounds = {}): Field<number> {
  return scalar(typeName, (value, path) => {
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) refuse(path, `expected an integer, got ${shown(value)}`);
    if (value < min) refuse(path, `${value} is below ${min}`);
    if (value > max) refuse(path, `${value} is above ${max}`);
    return value;
  });
}

export function nonNegativeInteger(): Field<number> {
  return integer({ min: 0, typeName: 'NonNegativeInteger' });
}

/** NaN and the infinities have no JSON, and are refused. */
export function float({ min = -Infinity, max = Infinity, typeName = 'Float' }: Bounds = {}): Field<number> {
  return scalar(typeName, (value, path) => {
    if (typeof value !== 'number' || !Number.isFinite(value)) refuse(path, `expected a finite number, got ${shown(value)}`);
    if (value < min) refuse(path, `${value} is below ${min}`);
    if (value > max) refuse(path, `${value} is above ${max}`);
    return value;
  });
}

export function nonNegativeFloat(): Field<number> {
  return float({ min: 0, typeName: 'NonNegativeFloat' });
}

/** oslo's FlexibleBoolean travels as true and false like any other; only its name differs. */
export function boolean({ typeName = 'Boolean' }: { readonly typeName?: string } = {}): Field<boolean> {
  return scalar(typeName, (value, path) => {
    if (typeof value !== 'boolean') refuse(path, `expected true or false, got ${shown(value)}`);
    return value;
  });
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
/** The form in which oslo's schema has them, dashes or none. */
const UUID_ON_WIRE = /^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$/;

export function isUuid(value: unknown): value is string {
  return typeof value === 'string' && UUID.test(value);
}

/** Kept as it was written; the dashes may be missing, as in oslo's. */
export function uuid(): Field<string> {
  return scalar('UUID', (value, path) => {
    if (typeof value !== 'string' || !UUID_ON_WIRE.test(value)) refuse(path, `expected a UUID (8-4-4-4-12 hexadecimal digits), got ${shown(value)}`);
    return value;
  });
}

/** `form`: how the Python definition of the same field writes its values; Nova's named enums write a tuple. */
export function enumeration<const V extends readonly string[]>(values: V, as: { readonly typeName?: string; readonly form?: 'list' | 'tuple' } = {}): Field<V[number]> {
  const { typeName = 'Enum', form = 'tuple' } = as;
  const known = new Set<string>(values);
  const check = (value: unknown, path: string): V[number] => {
    if (typeof value !== 'string' || !known.has(value)) {
      refuse(path, `expected one of ${values.join(', ')}, got ${typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : shown(value)}`);
    }
    return value;
  };
  return field<V[number]>({ typeName, validValues: { values, form }, fromWire: check, toWire: check });
}

/** A moment, on the wire `YYYY-MM-DDTHH:MM:SSZ` as oslo writes it: seconds only; a text without zone is UTC. */
export function datetime(): Field<Date> {
  return field<Date>({
    typeName: 'DateTime',
    fromWire(value, path) {
      const date = typeof value === 'string' ? parseDatetime(value) : null;
      return date ?? refuse(path, `expected a time of the calendar like 2026-07-01T12:00:00Z, got ${shown(value)}`);
    },
    toWire(value, path) {
      const text = value instanceof Date ? formatDatetime(value) : null;
      return text ?? refuse(path, `expected a Date of the years 1 to 9999, got ${shown(value)}`);
    },
  });
}

/** At most `maxItems` items, LIST_ITEMS_MAX unless told. */
export function listOf<T>(item: Item<T>, limits: { readonly maxItems?: number } = {}): Field<readonly T[]> {
  const { maxItems = LIST_ITEMS_MAX } = limits;
  const items = (value: unknown, path: string): readonly unknown[] => {
    if (!Array.isArray(value)) refuse(path, `expected a list, got ${shown(value)}`);
    if (value.length > maxItems) refuse(path, `${value.length} items are more than ${maxItems}`);
    return value as unknown[];
  };
  return field<readonly T[]>({
    typeName: 'List',
    item,
    validValues: item.validValues,
    nested: item.nested,
    fromWire: (value, path) => Object.freeze(each(items(value, path), path, (one) => item.fromWire(one, ''))),
    toWire: (value, path, manifest, version) => each(items(value, path), path, (one) => item.toWire(one as T, '', manifest, version)),
  });
}

function each<R>(items: readonly unknown[], path: string, convert: (one: unknown) => R): R[] {
  const converted: R[] = [];
  try {
    for (const one of items) converted.push(convert(one));
  } catch (error) {
    throw within(`${path}[${converted.length}]`, error);
  }
  return converted;
}

/** A set travels as a list without order; doubled members are one. */
export function setOf<T extends string | number>(item: Item<T>): Field<ReadonlySet<T>> {
  const list = listOf(item);
  return field<ReadonlySet<T>>({
    typeName: 'Set',
    item,
    fromWire: (value, path) => new Set(list.fromWire(value, path)),
    toWire: (value, path) => (value instanceof Set ? list.toWire([...value], path) : refuse(path, `expected a Set, got ${shown(value)}`)),
  });
}

/** Text keys to values of one kind, at most LIST_ITEMS_MAX of them. */
export function mapOf<T>(item: Item<T>): Field<Readonly<Record<string, T>>> {
  const convert = <R>(value: unknown, path: string, convertOne: (one: unknown) => R): Record<string, R> => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(path, `expected an object, got ${shown(value)}`);
    const names = Object.keys(value);
    if (names.length > LIST_ITEMS_MAX) refuse(path, `${names.length} entries are more than ${LIST_ITEMS_MAX}`);
    const converted: Record<string, R> = {};
    for (const name of names) {
      checkKey(name, path);
      try {
        converted[name] = convertOne((value as Record<string, unknown>)[name]);
      } catch (error) {
        throw within(`${path}[${JSON.stringify(name.slice(0, 40))}]`, error);
      }
    }
    return converted;
  };
  return field<Readonly<Record<string, T>>>({
    typeName: 'Dict',
    item,
    fromWire: (value, path) => Object.freeze(convert(value, path, (one) => item.fromWire(one, ''))),
    toWire: (value, path, manifest) => convert(value, path, (one) => item.toWire(one as T, '', manifest)),
  });
}

/** A key that a sender chose. */
function checkKey(name: string, path: string): void {
  if (name === '__proto__') refuse(path, 'the key __proto__ is not accepted');
  if (name.length > STRING_LENGTH_MAX) refuse(path, `a key of ${name.length} characters is longer than ${STRING_LENGTH_MAX}`);
  if (!isWellFormed(name)) refuse(path, 'a key with half a surrogate pair is not accepted');
}

/** Free JSON, at most JSON_DEPTH_MAX deep and of at most JSON_VALUES_MAX values; texts as `string()` takes them. */
export function json(): Field<JsonValue> {
  return scalar<JsonValue>('Json', (value, path) => frozenJson(value, path, 0, { left: JSON_VALUES_MAX }));
}

const jsonString = string();

function frozenJson(value: unknown, path: string, depth: number, values: { left: number }): JsonValue {
  if (depth > JSON_DEPTH_MAX) refuse(path, `nested deeper than ${JSON_DEPTH_MAX}`);
  if (--values.left < 0) refuse(path, `more than ${JSON_VALUES_MAX} values`);
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (typeof value === 'string') return jsonString.fromWire(value, path);
  if (Array.isArray(value)) return Object.freeze(value.map((one) => frozenJson(one, path, depth + 1, values)));
  if (typeof value !== 'object') refuse(path, `expected JSON, got ${shown(value)}`);
  const copy: Record<string, JsonValue> = {};
  for (const name of Object.keys(value)) {
    checkKey(name, path);
    copy[name] = frozenJson((value as Record<string, unknown>)[name], path, depth + 1, values);
  }
  return Object.freeze(copy);
}

/** A value that travels as a text of JSON inside of the JSON; of any kind, unless told. */
export function jsonText<T = JsonValue>(inner: Pick<Field<T>, 'fromWire' | 'toWire'> = json() as unknown as Field<T>, { typeName = 'Json' }: { readonly typeName?: string } = {}): Field<T> {
  return field<T>({
    typeName,
    fromWire: (value, path) => inner.fromWire(parsed(jsonString.fromWire(value, path), path), path),
    toWire: (value, path) => JSON.stringify(inner.toWire(value, path)),
  });
}

function parsed(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return refuse(path, 'a text that is not JSON');
  }
}

/** A nested object in its primitive form. */
export function object<T>(definition: { fromPrimitive(primitive: unknown, path?: string): T } & NestedDefinition<T>): Field<T> {
  return field<T>({
    typeName: 'Object',
    nested: definition,
    fromWire: (value, path) => definition.fromPrimitive(value, path),
    toWire: (value, path, manifest, version = manifest?.[definition.name]) =>
      // A reader that does not say which version of it it knows gets the object as it is: oslo's rule.
      definition.toNested(value, path, version === undefined ? undefined : manifest, version),
  });
}

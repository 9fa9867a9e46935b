/**
 * Fields: the small set of types that objects and RPC arguments are made of.
 *
 * A field is a value with two directions, `fromWire` (JSON as it arrived, hostile) and `toWire` (what we
 * send), and it refuses a wrong value by its path: `ConsoleConnection.port: 70000 is above 65535`. Both
 * directions apply the same check, so what we send is what we would accept. Every field has a limit on
 * what it takes in. The wire forms are those of oslo.versionedobjects (its class names stand in
 * `typeName`).
 */
import { ServiceError } from '@gatehouse/errors/service-error';

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [name: string]: JsonValue;
}

export interface Field<T> {
  /** oslo.versionedobjects' name of the field class, without the suffix Field. */
  readonly typeName: string;
  readonly isNullable: boolean;
  /** An optional field may be unset: absent on the wire, which differs from null. */
  readonly isOptional: boolean;
  readonly fallback: T | undefined;
  /** @throws ServiceError INVALID_ARGUMENT naming the path */
  fromWire(value: unknown, path: string): T;
  /** @throws ServiceError INVALID_ARGUMENT naming the path */
  toWire(value: T, path: string): JsonValue;
  nullable(): Field<T | null>;
  optional(): Field<T | undefined>;
  /** The value taken when the sender left the field out. */
  default(value: T): Field<T>;
}

export type Fields = Readonly<Record<string, Field<never> | AnyField>>;
// A field of some type, in positions where only its shape matters.
type AnyField = Pick<Field<unknown>, 'typeName' | 'isNullable' | 'isOptional' | 'fallback' | 'fromWire'> & {
  toWire(value: never, path: string): JsonValue;
};

export type TypeOf<F> = F extends { fromWire(value: unknown, path: string): infer T } ? T : never;

/** The TypeScript type of a record of fields; optional fields become optional properties. */
export type ValuesOf<F extends Fields> = {
  readonly [K in keyof F as undefined extends TypeOf<F[K]> ? never : K]: TypeOf<F[K]>;
} & {
  readonly [K in keyof F as undefined extends TypeOf<F[K]> ? K : never]?: TypeOf<F[K]>;
};

export const STRING_LENGTH_MAX = 1_048_576;
export const LIST_ITEMS_MAX = 10_000;
export const JSON_DEPTH_MAX = 32;

/** @throws ServiceError INVALID_ARGUMENT, always */
export function refuse(path: string, problem: string): never {
  throw new ServiceError('INVALID_ARGUMENT', `${path}: ${problem}`, { details: { path } });
}

/** A wrong value in words, cut short: its kind, and its text only where that cannot be long or secret. */
function shown(value: unknown): string {
  if (value === null) return 'null';
  if (value === undefined) return 'nothing';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'string') return 'a string';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

interface Codec<T> {
  readonly typeName: string;
  readonly fromWire: (value: unknown, path: string) => T;
  readonly toWire: (value: T, path: string) => JsonValue;
}

interface Modifiers<T> {
  readonly isNullable: boolean;
  readonly isOptional: boolean;
  readonly fallback: T | undefined;
}

const PLAIN = { isNullable: false, isOptional: false, fallback: undefined } as const;

function field<T>(codec: Codec<T>, modifiers: Modifiers<T> = PLAIN): Field<T> {
  return {
    ...codec,
    ...modifiers,
    nullable: () => field<T | null>(orNull(codec), { ...modifiers, isNullable: true }),
    optional: () => field<T | undefined>(codec as Codec<T | undefined>, { ...modifiers, isOptional: true }),
    default: (value) => field(codec, { ...modifiers, fallback: value }),
  };
}

function orNull<T>(codec: Codec<T>): Codec<T | null> {
  return {
    typeName: codec.typeName,
    fromWire: (value, path) => (value === null ? null : codec.fromWire(value, path)),
    toWire: (value, path) => (value === null ? null : codec.toWire(value, path)),
  };
}

/** A field whose wire form is its own value. */
function scalar<T extends JsonValue>(typeName: string, check: (value: unknown, path: string) => T): Field<T> {
  return field<T>({ typeName, fromWire: check, toWire: check });
}

/** Length limits are in UTF-16 code units; the default maximum is STRING_LENGTH_MAX. */
export function string(limits: { readonly minLength?: number; readonly maxLength?: number } = {}): Field<string> {
  const { minLength = 0, maxLength = STRING_LENGTH_MAX } = limits;
  return scalar('String', (value, path) => {
    if (typeof value !== 'string') refuse(path, `expected a string, got ${shown(value)}`);
    if (value.length < minLength) refuse(path, `${value.length} characters are fewer than ${minLength}`);
    if (value.length > maxLength) refuse(path, `${value.length} characters are more than ${maxLength}`);
    return value;
  });
}

export function integer(limits: { readonly min?: number; readonly max?: number } = {}): Field<number> {
  const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = limits;
  return scalar('Integer', (value, path) => {
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) {
      refuse(path, `expected an integer, got ${shown(value)}`);
    }
    if (value < min) refuse(path, `${value} is below ${min}`);
    if (value > max) refuse(path, `${value} is above ${max}`);
    return value;
  });
}

export function float(): Field<number> {
  return scalar('Float', (value, path) => {
    if (typeof value !== 'number' || !Number.isFinite(value)) refuse(path, `expected a finite number, got ${shown(value)}`);
    return value;
  });
}

export function boolean(): Field<boolean> {
  return scalar('Boolean', (value, path) => {
    if (typeof value !== 'boolean') refuse(path, `expected true or false, got ${shown(value)}`);
    return value;
  });
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export function isUuid(value: unknown): value is string {
  return typeof value === 'string' && UUID.test(value);
}

export function uuid(): Field<string> {
  return scalar('UUID', (value, path) => {
    if (!isUuid(value)) refuse(path, `expected a UUID (8-4-4-4-12 hexadecimal digits), got ${shown(value)}`);
    return value;
  });
}

export function enumeration<const V extends readonly string[]>(values: V): Field<V[number]> {
  const known = new Set<string>(values);
  return scalar<V[number]>('Enum', (value, path) => {
    if (typeof value !== 'string' || !known.has(value)) {
      refuse(path, `expected one of ${values.join(', ')}, got ${typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : shown(value)}`);
    }
    return value as V[number];
  });
}

const DATETIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:?\d{2})?$/;

/** A moment. On the wire `YYYY-MM-DDTHH:MM:SSZ`, seconds only, as oslo writes it; a text without zone is UTC. */
export function datetime(): Field<Date> {
  return field<Date>({
    typeName: 'DateTime',
    fromWire(value, path) {
      if (typeof value !== 'string' || !DATETIME.test(value)) {
        refuse(path, `expected a time like 2026-07-01T12:00:00Z, got ${shown(value)}`);
      }
      const zoned = /(?:Z|[+-]\d{2}:?\d{2})$/.test(value) ? value : `${value}Z`;
      const date = new Date(zoned);
      if (Number.isNaN(date.getTime())) refuse(path, 'a time that is not in the calendar');
      return date;
    },
    toWire(value, path) {
      if (!(value instanceof Date) || Number.isNaN(value.getTime())) refuse(path, `expected a Date, got ${shown(value)}`);
      return `${value.toISOString().slice(0, 19)}Z`;
    },
  });
}

interface Codable<T> {
  fromWire(value: unknown, path: string): T;
  toWire(value: T, path: string): JsonValue;
}

/** At most `maxItems` items, LIST_ITEMS_MAX unless told. */
export function listOf<T>(item: Codable<T>, limits: { readonly maxItems?: number } = {}): Field<readonly T[]> {
  const { maxItems = LIST_ITEMS_MAX } = limits;
  const checked = (value: unknown, path: string): readonly unknown[] => {
    if (!Array.isArray(value)) refuse(path, `expected a list, got ${shown(value)}`);
    if (value.length > maxItems) refuse(path, `${value.length} items are more than ${maxItems}`);
    return value as unknown[];
  };
  return field<readonly T[]>({
    typeName: 'List',
    fromWire: (value, path) => Object.freeze(checked(value, path).map((each, i) => item.fromWire(each, `${path}[${i}]`))),
    toWire: (value, path) => checked(value, path).map((each, i) => item.toWire(each as T, `${path}[${i}]`)),
  });
}

/** A set travels as a list without order; doubled members are one. */
export function setOf<T extends string | number>(item: Codable<T>): Field<ReadonlySet<T>> {
  const list = listOf(item);
  return field<ReadonlySet<T>>({
    typeName: 'Set',
    fromWire: (value, path) => new Set(list.fromWire(value, path)),
    toWire: (value, path) => list.toWire([...value], path),
  });
}

/** Text keys to values of one kind, at most LIST_ITEMS_MAX of them. */
export function mapOf<T>(item: Codable<T>): Field<Readonly<Record<string, T>>> {
  const entriesOf = (value: unknown, path: string): [string, unknown][] => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(path, `expected an object, got ${shown(value)}`);
    const entries = Object.entries(value);
    if (entries.length > LIST_ITEMS_MAX) refuse(path, `${entries.length} entries are more than ${LIST_ITEMS_MAX}`);
    return entries.map(([name, each]) => (name === '__proto__' ? refuse(path, 'the key __proto__ is not accepted') : [name, each]));
  };
  return field<Readonly<Record<string, T>>>({
    typeName: 'Dict',
    fromWire: (value, path) =>
      Object.freeze(Object.fromEntries(entriesOf(value, path).map(([name, each]) => [name, item.fromWire(each, `${path}[${JSON.stringify(name.slice(0, 40))}]`)]))),
    toWire: (value, path) =>
      Object.fromEntries(entriesOf(value, path).map(([name, each]) => [name, item.toWire(each as T, `${path}[${JSON.stringify(name.slice(0, 40))}]`)])),
  });
}

/** Free JSON, at most JSON_DEPTH_MAX deep. */
export function json(): Field<JsonValue> {
  return scalar<JsonValue>('Json', (value, path) => {
    checkJson(value, path, 0);
    return value as JsonValue;
  });
}

function checkJson(value: unknown, path: string, depth: number): void {
  if (depth > JSON_DEPTH_MAX) refuse(path, `nested deeper than ${JSON_DEPTH_MAX}`);
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return;
  if (typeof value === 'number' && Number.isFinite(value)) return;
  if (Array.isArray(value)) return value.forEach((each) => checkJson(each, path, depth + 1));
  if (typeof value !== 'object') refuse(path, `expected JSON, got ${shown(value)}`);
  if (Object.hasOwn(value, '__proto__')) refuse(path, 'the key __proto__ is not accepted');
  for (const each of Object.values(value)) checkJson(each, path, depth + 1);
}

/** A nested object in its primitive form. */
export function object<T>(definition: { readonly name: string; fromPrimitive(value: unknown, path?: string): T; toPrimitive(value: T, path?: string): JsonObject }): Field<T> {
  return field<T>({
    typeName: 'Object',
    fromWire: (value, path) => definition.fromPrimitive(value, path),
    toWire: (value, path) => definition.toPrimitive(value, path),
  });
}

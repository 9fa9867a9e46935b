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
import { formatDatetime, parseDatetime } from './datetime-text.ts';
import type { Manifest } from './object-version.ts';

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [name: string]: JsonValue;
}

/** What is known of a field besides its type. oslo's fingerprint of an object is made of these. */
export interface FieldFacts<T> {
  readonly isNullable: boolean;
  /** An optional field may be unset: absent on the wire, which differs from null. In oslo every field is. */
  readonly isOptional: boolean;
  /** Once set, a derived copy may not have another value (see ObjectDefinition.change). */
  readonly isReadOnly: boolean;
  /** oslo's default. It stands for null where the field takes none, and for absence where it is not optional. */
  readonly fallback: T | undefined;
  /** Of a field that came with a later version: that version, and what it means that an older payload lacks it. */
  readonly since: { readonly version: string; readonly meaning: T } | undefined;
}

/** What a field is in oslo's words, and what it holds. */
export interface FieldKind {
  /** oslo.versionedobjects' name of the type class, without the suffix Field. */
  readonly typeName: string;
  /** Of an enum, or a list of one. `form`: whether the Python definition writes them as a list or as a tuple. */
  readonly validValues?: { readonly values: readonly string[]; readonly form: 'list' | 'tuple' };
  /** The definition of a nested object or of a list of them. */
  readonly nested?: NestedDefinition;
  /** What a list, set or map holds. */
  readonly item?: FieldKind & { readonly isNullable: boolean };
}

export interface Field<T> extends FieldFacts<T>, FieldKind {
  /** @throws ServiceError INVALID_ARGUMENT naming the path */
  fromWire(value: unknown, path: string): T;
  /**
   * For a reader with `manifest`, nested objects are written in the versions it names (those that it does not
   * name as they are); `version` is that of the field's own object, where the object around it says so.
   * @throws ServiceError INVALID_ARGUMENT naming the path
   */
  toWire(value: T, path: string, manifest?: Manifest, version?: string): JsonValue;
  nullable(): Field<T | null>;
  optional(): Field<T | undefined>;
  /** The value taken when the sender left the field out. */
  default(value: T): Defaulted<T>;
  readOnly(): Field<T>;
}

/** What a field needs of the object that it holds. */
export interface NestedDefinition<T = never> {
  readonly name: string;
  readonly manifest: Manifest;
  fromPrimitive(primitive: unknown, path?: string): unknown;
  hasChanges(value: T): boolean;
  /** As part of another object; without a version as it is. */
  toNested(value: T, path: string, manifest: Manifest | undefined, version: string | undefined): JsonObject;
}

export type Fields = Readonly<Record<string, AnyField>>;
// A field of some type, in positions where only its shape matters.
export type AnyField = Omit<LaterField<unknown>, 'toWire'> & { toWire(value: never, path: string, manifest?: Manifest, version?: string): JsonValue };

export type TypeOf<F> = F extends { fromWire(value: unknown, path: string): infer T } ? T : never;

/** The TypeScript type of a record of fields; optional fields become optional properties. */
export type ValuesOf<F extends Fields> = {
  readonly [K in keyof F as undefined extends TypeOf<F[K]> ? never : K]: TypeOf<F[K]>;
} & {
  readonly [K in keyof F as undefined extends TypeOf<F[K]> ? K : never]?: TypeOf<F[K]>;
};

/** What a writer gives of a record: fields with a default may be left out as well. */
export type InputOf<F extends Fields> = {
  readonly [K in keyof F as MayBeLeftOut<F[K]> extends true ? never : K]: TypeOf<F[K]>;
} & {
  readonly [K in keyof F as MayBeLeftOut<F[K]> extends true ? K : never]?: TypeOf<F[K]> | undefined;
};
type MayBeLeftOut<F> = undefined extends TypeOf<F> ? true : F extends { readonly fallback: infer V } ? (undefined extends V ? false : true) : false;

/** A field that has a default. */
export type Defaulted<T> = Field<T> & { readonly fallback: T };

export const STRING_LENGTH_MAX = 1_048_576;
export const LIST_ITEMS_MAX = 10_000;
export const JSON_DEPTH_MAX = 32;

/** @throws ServiceError INVALID_ARGUMENT, always */
export function refuse(path: string, problem: string): never {
  throw new ServiceError('INVALID_ARGUMENT', `${path}: ${problem}`, { details: { path } });
}

/**
 * The same refusal as seen from outside: its path with `outer` before it. So a path costs nothing until something
 * is refused: each level knows only its own name, and adds it as the refusal passes.
 */
export function within(outer: string, error: unknown): unknown {
  if (!(error instanceof ServiceError) || typeof error.details['path'] !== 'string') return error;
  return new ServiceError(error.code, outer + error.message, { details: { ...error.details, path: outer + error.details['path'] } });
}

/** A wrong value in words, cut short: its kind, and its text only where that cannot be long or secret. */
export function shown(value: unknown): string {
  if (value === null) return 'null';
  if (value === undefined) return 'nothing';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'string') return 'a string';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

interface Codec<T> extends FieldKind {
  readonly fromWire: (value: unknown, path: string) => T;
  readonly toWire: (value: T, path: string, manifest?: Manifest, version?: string) => JsonValue;
}

const PLAIN = { isNullable: false, isOptional: false, isReadOnly: false, fallback: undefined, since: undefined } as const;

/** A field from its two directions. */
export function field<T>(codec: Codec<T>, facts: FieldFacts<T> = PLAIN): Field<T> {
  const { fallback, isNullable } = facts;
  return {
    ...codec,
    ...facts,
    fromWire: fallback === undefined || isNullable ? codec.fromWire : (value, path) => (value === null ? fallback : codec.fromWire(value, path)),
    nullable: () => field<T | null>(orNull(codec), { ...(facts as FieldFacts<T | null>), isNullable: true }),
    optional: () => field<T | undefined>(codec as Codec<T | undefined>, { ...(facts as FieldFacts<T | undefined>), isOptional: true }),
    default: (value) => field(codec, { ...facts, fallback: value }) as Defaulted<T>,
    readOnly: () => field(codec, { ...facts, isReadOnly: true }),
  };
}

/** A field that says when it came; what else it is stands inside of it: `since('1.1', string().nullable(), null)`. */
export type LaterField<T> = Omit<Field<T>, 'nullable' | 'optional' | 'default' | 'readOnly'>;

/**
 * A field that came with `version` of its object (or of the contract, among RPC arguments): left out for older
 * readers, and of the value `meaning` in the payloads of older writers.
 */
export function since<T>(version: string, later: Field<T>, meaning: NoInfer<T>): LaterField<T> {
  return { ...later, since: { version, meaning } };
}

function orNull<T>(codec: Codec<T>): Codec<T | null> {
  return {
    ...codec,
    fromWire: (value, path) => (value === null ? null : codec.fromWire(value, path)),
    toWire: (value, path, manifest, version) => (value === null ? null : codec.toWire(value, path, manifest, version)),
  };
}

/** A field whose wire form is its own value. */
export function scalar<T extends JsonValue>(typeName: string, check: (value: unknown, path: string) => T): Field<T> {
  return field<T>({ typeName, fromWire: check, toWire: check });
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

/** What a list, set or map asks of its items. */
type Item<T> = Pick<Field<T>, 'typeName' | 'isNullable' | 'validValues' | 'nested' | 'item' | 'fromWire' | 'toWire'>;

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
      if (name === '__proto__') refuse(path, 'the key __proto__ is not accepted');
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

/** Free JSON, at most JSON_DEPTH_MAX deep. */
export function json(): Field<JsonValue> {
  return scalar<JsonValue>('Json', (value, path) => frozenJson(value, path, 0));
}

function frozenJson(value: unknown, path: string, depth: number): JsonValue {
  if (depth > JSON_DEPTH_MAX) refuse(path, `nested deeper than ${JSON_DEPTH_MAX}`);
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (typeof value === 'string') return isWellFormed(value) ? value : refuse(path, 'a text with half a surrogate pair is not accepted');
  if (Array.isArray(value)) return Object.freeze(value.map((one) => frozenJson(one, path, depth + 1)));
  if (typeof value !== 'object') refuse(path, `expected JSON, got ${shown(value)}`);
  const copy: Record<string, JsonValue> = {};
  for (const [name, one] of Object.entries(value)) {
    if (name === '__proto__') refuse(path, 'the key __proto__ is not accepted');
    copy[name] = frozenJson(one, path, depth + 1);
  }
  return Object.freeze(copy);
}

/** A value that travels as a text of JSON inside of the JSON; of any kind, unless told. */
export function jsonText<T = JsonValue>(inner: Pick<Field<T>, 'fromWire' | 'toWire'> = json() as unknown as Field<T>, { typeName = 'Json' }: { readonly typeName?: string } = {}): Field<T> {
  const text = string();
  return field<T>({
    typeName,
    fromWire: (value, path) => inner.fromWire(parsed(text.fromWire(value, path), path), path),
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

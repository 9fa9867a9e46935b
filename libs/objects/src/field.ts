/**
 * What a field is: a value with two directions, `fromWire` (JSON as it arrived, hostile) and `toWire` (what we send).
 *
 * It refuses a wrong value by its path: `ConsoleConnection.port: 70000 is above 65535`. Both directions apply the same
 * check, so what we send is what we would accept. The kinds there are: fields.ts and network-fields.ts.
 */
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

/** A field that says when it came; what else it is stands inside of it: `since('1.1', string().nullable(), null)`. */
export type LaterField<T> = Omit<Field<T>, 'nullable' | 'optional' | 'default' | 'readOnly'>;

/** What a list, set or map asks of its items. */
export type Item<T> = Pick<Field<T>, 'typeName' | 'isNullable' | 'validValues' | 'nested' | 'item' | 'fromWire' | 'toWire'>;

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

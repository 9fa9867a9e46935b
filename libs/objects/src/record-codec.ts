/**
 * A record of named fields as one codec: what objects and RPC arguments have in common. Names are camelCase
 * in TypeScript and snake_case on the wire; this file is the only bridge between the two.
 */
import type { AnyField, Field, Fields, JsonObject, JsonValue, ValuesOf } from './field.ts';
import { parseVersion } from './object-version.ts';
import type { Manifest } from './object-version.ts';
import { refuse, within } from './refusal.ts';

/** The reader that a record is written for. */
export interface Reader {
  /** Fields that came after it are left out. */
  readonly version?: string;
  /** For the objects inside. */
  readonly manifest?: Manifest;
  /**
   * Where the record itself decides about the objects in a field: their version, null where the field is left
   * out, undefined where they are written as they are.
   */
  readonly versionWithin?: (name: string, field: AnyField) => string | null | undefined;
}

export interface RecordCodec<T> {
  /** Names on the wire that this record knows. */
  readonly wireNames: ReadonlySet<string>;
  /** The newest version that brought one of the fields that are set in `values`; null when all are from the start. */
  newest(values: T): string | null;
  /**
   * `version` is the writer's: a field that came later has its meaning for older payloads when it is absent.
   * Unknown names are passed over: a newer sender may say more. @throws ServiceError INVALID_ARGUMENT
   */
  fromWire(data: unknown, path: string, version?: string): T;
  /** @throws ServiceError INVALID_ARGUMENT */
  toWire(values: T, path: string, reader?: Reader): JsonObject;
}

export function wireName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

interface Slot {
  readonly name: string;
  readonly wire: string;
  /** The field's place in a refusal, below the record's. */
  readonly at: string;
  readonly field: Field<unknown>;
  /** The rank of the version that brought it; -1: it was there from the start. */
  readonly since: number;
}

export function recordCodec<F extends Fields>(fields: F): RecordCodec<ValuesOf<F>> {
  const slots = Object.entries(fields).map(([name, each]) => slotOf(name, each as unknown as Field<unknown>));
  const given = (values: unknown): Readonly<Record<string, unknown>> => values as Readonly<Record<string, unknown>>;

  return {
    wireNames: new Set(slots.map((slot) => slot.wire)),

    newest(values) {
      const set = slots.filter(({ name, since }) => since >= 0 && given(values)[name] !== undefined);
      const newest = set.reduce<Slot | null>((a, b) => (a === null || b.since > a.since ? b : a), null);
      return newest?.field.since?.version ?? null;
    },

    fromWire(data, path, version) {
      if (typeof data !== 'object' || data === null || Array.isArray(data)) refuse(path, 'expected an object with named values');
      const written = version === undefined ? Infinity : parseVersion(version, path).rank;
      const values: Record<string, unknown> = {};
      try {
        for (const slot of slots) {
          const { name, wire, at, field } = slot;
          const sent = (data as Record<string, unknown>)[wire];
          const value = sent === undefined ? absent(slot, written) : field.fromWire(sent, at);
          if (value !== undefined) values[name] = value;
        }
      } catch (error) {
        throw within(path, error);
      }
      return Object.freeze(values) as ValuesOf<F>;
    },

    toWire(values, path, reader) {
      if (typeof values !== 'object' || values === null) refuse(path, 'expected an object with named values');
      const data: Record<string, JsonValue> = {};
      try {
        if (reader !== undefined) writeFor(reader, slots, given(values), data);
        else {
          for (const slot of slots) {
            const value = given(values)[slot.name] ?? unset(slot, given(values)[slot.name]);
            if (value !== undefined) data[slot.wire] = slot.field.toWire(value, slot.at);
          }
        }
      } catch (error) {
        throw within(path, error);
      }
      return data;
    },
  };
}

function slotOf(name: string, field: Field<unknown>): Slot {
  const wire = wireName(name);
  // Of an object that JSON brought, these are there without having been sent.
  if (wire in {}) refuse(name, 'a field cannot have this name');
  return { name, wire, at: `.${wire}`, field, since: field.since === undefined ? -1 : parseVersion(field.since.version, name).rank };
}

/** What it means that a payload of a version lacks a field. */
function absent({ at, field, since }: Slot, written: number): unknown {
  if (since > written) return field.since?.meaning;
  if (field.isOptional) return undefined;
  return field.fallback === undefined ? refuse(at, 'is missing') : field.fallback;
}

/** What is written for null and for what is not set. */
function unset({ at, field }: Slot, value: unknown): unknown {
  if (value === null) return null;
  if (field.isOptional) return undefined;
  return field.fallback === undefined ? refuse(at, 'is missing') : field.fallback;
}

function writeFor(reader: Reader, slots: readonly Slot[], values: Readonly<Record<string, unknown>>, data: Record<string, JsonValue>): void {
  const { version, manifest, versionWithin } = reader;
  const known = version === undefined ? Infinity : parseVersion(version, '.version').rank;
  for (const slot of slots) {
    if (slot.since > known) continue;
    const value = values[slot.name] ?? unset(slot, values[slot.name]);
    if (value === undefined) continue;
    const { field, wire, at } = slot;
    if (versionWithin === undefined || field.nested === undefined) data[wire] = field.toWire(value, at, manifest);
    else {
      const within = versionWithin(slot.name, field);
      if (within !== null) data[wire] = field.toWire(value, at, within === undefined ? undefined : manifest, within);
    }
  }
}

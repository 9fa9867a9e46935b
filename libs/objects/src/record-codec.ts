/**
 * A record of named fields as one codec: what objects and RPC arguments have in common. Names are camelCase
 * in TypeScript and snake_case on the wire; this file is the only bridge between the two.
 */
import { refuse } from './fields.ts';
import type { Field, Fields, JsonObject, JsonValue, ValuesOf } from './fields.ts';

export interface RecordCodec<T> {
  /** Names on the wire that this record knows. */
  readonly wireNames: ReadonlySet<string>;
  /** Unknown names are passed over: a newer sender may say more. @throws ServiceError INVALID_ARGUMENT */
  fromWire(data: unknown, path: string): T;
  /** @throws ServiceError INVALID_ARGUMENT */
  toWire(values: T, path: string): JsonObject;
}

export function wireName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

interface Slot {
  readonly name: string;
  readonly wire: string;
  readonly field: Field<unknown>;
}

export function recordCodec<F extends Fields>(fields: F): RecordCodec<ValuesOf<F>> {
  const slots: readonly Slot[] = Object.entries(fields).map(([name, each]) => ({
    name,
    wire: wireName(name),
    field: each as unknown as Field<unknown>,
  }));

  return {
    wireNames: new Set(slots.map((slot) => slot.wire)),

    fromWire(data, path) {
      if (typeof data !== 'object' || data === null || Array.isArray(data)) refuse(path, 'expected an object with named values');
      const values: Record<string, unknown> = {};
      for (const { name, wire, field } of slots) {
        const at = `${path}.${wire}`;
        if (Object.hasOwn(data, wire)) values[name] = field.fromWire((data as Record<string, unknown>)[wire], at);
        else if (field.fallback !== undefined) values[name] = field.fallback;
        else if (!field.isOptional) refuse(at, 'is missing');
      }
      return Object.freeze(values) as ValuesOf<F>;
    },

    toWire(values, path) {
      const data: Record<string, JsonValue> = {};
      const given = values as Readonly<Record<string, unknown>>;
      for (const { name, wire, field } of slots) {
        const value = given[name] ?? (given[name] === undefined ? field.fallback : null);
        if (value !== undefined) data[wire] = field.toWire(value, `${path}.${wire}`);
        else if (!field.isOptional) refuse(`${path}.${wire}`, 'is missing');
      }
      return data;
    },
  };
}

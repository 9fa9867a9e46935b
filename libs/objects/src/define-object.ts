/**
 * A versioned object: frozen data with a name and a version, whose definition is its codec.
 *
 * Its primitive is oslo.versionedobjects', in Nova's namespace:
 *   {"nova_object.name", "nova_object.namespace": "nova", "nova_object.version", "nova_object.data": {...}}
 * Only fields that are set stand in the data; unset differs from null. A reader takes any minor version up
 * to its own and refuses a newer minor and every other major.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import { refuse } from './fields.ts';
import type { Fields, JsonObject, ValuesOf } from './fields.ts';
import { recordCodec } from './record-codec.ts';

export const NAMESPACE = 'nova';
const VERSION = /^\d{1,4}\.\d{1,4}$/;

export interface ObjectDefinition<T> {
  readonly name: string;
  readonly version: string;
  readonly fields: Fields;
  /** Checked and frozen. @throws ServiceError INVALID_ARGUMENT naming the field */
  make(values: T): T;
  /** @throws ServiceError INVALID_ARGUMENT: not this object, another major or a newer minor, a wrong field */
  fromPrimitive(primitive: unknown, path?: string): T;
  /** `changes` are wire names of fields a reader may take as changed; oslo writes the key only when there are some. */
  toPrimitive(value: T, path?: string, changes?: readonly string[]): JsonObject;
}

export type ObjectOf<D> = D extends ObjectDefinition<infer T> ? T : never;

export function defineObject<const F extends Fields>(name: string, version: string, fields: F): ObjectDefinition<ValuesOf<F>> {
  const codec = recordCodec(fields);
  const own = parseVersion(version, name);

  function dataOf(primitive: unknown, path: string): unknown {
    if (typeof primitive !== 'object' || primitive === null || Array.isArray(primitive)) {
      refuse(path, `expected a versioned object ${name} ${version}`);
    }
    const parts = primitive as Record<string, unknown>;
    if (parts['nova_object.namespace'] !== NAMESPACE) refuse(path, `expected the namespace ${NAMESPACE}`);
    if (parts['nova_object.name'] !== name) refuse(path, `expected the object ${name}`);
    const [major, minor] = parseVersion(parts['nova_object.version'], path);
    if (major !== own[0] || minor > own[1]) throw incompatible(path, name, version, `${major}.${minor}`);
    return parts['nova_object.data'];
  }

  return {
    name,
    version,
    fields,
    make: (values) => codec.fromWire(codec.toWire(values, name), name),
    fromPrimitive: (primitive, path = name) => codec.fromWire(dataOf(primitive, path), path),
    toPrimitive: (value, path = name, changes = []) => ({
      'nova_object.name': name,
      'nova_object.namespace': NAMESPACE,
      'nova_object.version': version,
      'nova_object.data': codec.toWire(value, path),
      ...(changes.length > 0 ? { 'nova_object.changes': changes } : {}),
    }),
  };
}

function parseVersion(version: unknown, path: string): readonly [number, number] {
  if (typeof version !== 'string' || !VERSION.test(version)) refuse(path, 'expected a version like 1.0');
  const [major, minor] = version.split('.');
  return [Number(major), Number(minor)];
}

function incompatible(path: string, name: string, supported: string, received: string): ServiceError {
  return new ServiceError('INVALID_ARGUMENT', `${path}: version ${received} of ${name} is not supported, ${supported} is`, {
    details: { path, oslo: 'IncompatibleObjectVersion', supported, received },
  });
}

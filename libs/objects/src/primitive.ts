/**
 * The primitive of an object, oslo.versionedobjects' in Nova's namespace, opened and closed:
 *   {"nova_object.name", "nova_object.namespace": "nova", "nova_object.version", "nova_object.data": {...}}
 * and `nova_object.changes` where there are some. Refusals carry what oslo says of the same.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import { refuse } from './refusal.ts';
import type { JsonObject, JsonValue } from './field.ts';
import { parseVersion } from './object-version.ts';
import type { ObjectVersion } from './object-version.ts';

export const NAMESPACE = 'nova';
const NAME_LENGTH_MAX = 100;

/** Who reads. */
export interface Identity {
  readonly name: string;
  readonly version: string;
  readonly parsed: ObjectVersion;
}

export interface OpenedPrimitive {
  readonly data: unknown;
  readonly changes: unknown;
  /** The writer's version, where it is older than ours. */
  readonly olderVersion: string | undefined;
}

/** @throws ServiceError INVALID_ARGUMENT: another object or namespace, another major, a newer minor */
export function openPrimitive(primitive: unknown, { name, version, parsed }: Identity, path: string): OpenedPrimitive {
  if (typeof primitive !== 'object' || primitive === null || Array.isArray(primitive)) refuse(path, `expected a versioned object ${name} ${version}`);
  const parts = primitive as Readonly<Record<string, unknown>>;
  const [namespace, found, received] = [parts['nova_object.namespace'], parts['nova_object.name'], parts['nova_object.version']];
  if (namespace !== NAMESPACE) throw unsupported(path, `expected the namespace ${NAMESPACE}`, `${shownName(namespace)}.${shownName(found)}`);
  if (found !== name) throw unsupported(path, `expected the object ${name}`, shownName(found));
  const opened = { data: parts['nova_object.data'], changes: parts['nova_object.changes'], olderVersion: undefined };
  if (received === version) return opened;
  const { major, minor, rank } = parseVersion(received, path);
  // A third part never makes an object newer: what it brought may be passed over.
  if (major !== parsed.major || minor > parsed.minor) throw incompatible(path, name, version, `${major}.${minor}`);
  return rank < parsed.rank ? { ...opened, olderVersion: received as string } : opened;
}

export function primitiveOf(name: string, version: string, data: JsonObject, changes: readonly string[]): JsonObject {
  const parts: Record<string, JsonValue> = { 'nova_object.name': name, 'nova_object.namespace': NAMESPACE, 'nova_object.version': version, 'nova_object.data': data };
  // oslo writes the key only when there are some.
  if (changes.length > 0) parts['nova_object.changes'] = changes;
  return parts;
}

export function unsupported(path: string, problem: string, objtype: string): ServiceError {
  return new ServiceError('INVALID_ARGUMENT', `${path}: ${problem}`, { details: { path, oslo: 'UnsupportedObjectError', objtype } });
}

export function shownName(name: unknown): string {
  return typeof name === 'string' ? name.slice(0, NAME_LENGTH_MAX) : '?';
}

function incompatible(path: string, objname: string, supported: string, received: string): ServiceError {
  return new ServiceError('INVALID_ARGUMENT', `${path}: version ${received} of ${objname} is not supported, ${supported} is`, {
    details: { path, oslo: 'IncompatibleObjectVersion', objname, supported, received },
  });
}

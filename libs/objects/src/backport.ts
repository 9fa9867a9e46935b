/**
 * What Nova's conductor does for its peers: rewrites an object that is newer than its reader in the versions that
 * the reader knows.
 */
import type { AnyDefinition } from './define-object.ts';
import { refuse } from './refusal.ts';
import type { JsonObject } from './field.ts';
import type { Manifest } from './object-version.ts';
import { shownName, unsupported } from './primitive.ts';
import { OBJECTS } from './registry.ts';

/**
 * The primitive of any object in the registry, rewritten for a reader with this manifest, which names the object
 * itself. @throws ServiceError INVALID_ARGUMENT: unknown object, newer than ours, wrong content, a version newer
 * than ours asked for
 */
export function backport(primitive: unknown, manifest: Manifest): JsonObject {
  const definition = definitionOf(primitive);
  const { name } = definition;
  if (!Object.hasOwn(manifest, name)) refuse('manifest', `expected a version of ${name}`);
  return definition.toPrimitive(definition.fromPrimitive(primitive) as never, { version: manifest[name], manifest });
}

/** The same for a reader that names its version of the object alone: those inside follow by the object's relations. */
export function backportTo(primitive: unknown, version: string): JsonObject {
  const definition = definitionOf(primitive);
  return definition.toPrimitive(definition.fromPrimitive(primitive) as never, { version });
}

function definitionOf(primitive: unknown): AnyDefinition {
  const name: unknown = typeof primitive === 'object' && primitive !== null ? (primitive as Record<string, unknown>)['nova_object.name'] : undefined;
  if (typeof name !== 'string') refuse('object', 'expected the primitive of a versioned object');
  const definition = Object.hasOwn(OBJECTS, name) ? OBJECTS[name] : undefined;
  if (definition !== undefined) return definition;
  throw unsupported('object', `${JSON.stringify(shownName(name))} is not known here`, shownName(name));
}

/** What JSON can say, and reading it from a request body that may hold anything. */
import { ServiceError } from '@gatehouse/errors/service-error';

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue | undefined;
}

/** Deepest nesting of a request body; the deepest that Nova's schemas know is 6. */
const DEPTH_MAX = 20;

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });

/**
 * The JSON value of a request body, whatever its content type says (Nova reads every body as JSON).
 * An empty body is null. Throws INVALID_ARGUMENT, in Nova's words, for bytes that are not UTF-8 JSON.
 */
export function readJson(body: Uint8Array): JsonValue {
  if (body.byteLength === 0) return null;
  let value: JsonValue;
  try {
    value = JSON.parse(UTF8.decode(body)) as JsonValue;
  } catch {
    // Nova answers 500 for bytes that are not UTF-8; here they are as malformed as bad JSON.
    throw new ServiceError('INVALID_ARGUMENT', 'Malformed request body');
  }
  if (deeperThan(value, DEPTH_MAX)) throw new ServiceError('INVALID_ARGUMENT', 'Malformed request body');
  return value;
}

function deeperThan(value: JsonValue | undefined, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (levels === 0) return true;
  for (const item of Object.values(value)) if (deeperThan(item as JsonValue, levels - 1)) return true;
  return false;
}

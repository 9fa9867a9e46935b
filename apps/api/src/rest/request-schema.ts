/**
 * Request bodies and queries are checked by JSON Schema, and refused in the words Nova uses, because its
 * clients show them and its tests match them. Nova reports one fault: the first in the order in which
 * Python's jsonschema walks a schema (type, then the properties in their order, then required, then
 * additional ones), so ajv collects all and that order picks.
 */
import { Ajv } from 'ajv';
import type { ErrorObject, ValidateFunction } from 'ajv';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { JsonObject, JsonValue } from './json.ts';
import { NAME_FORMATS } from './name-formats.ts';
import { UNSTORABLE_WORDS, isStorable } from '../storable-text.ts';
import { pythonRepr, pythonStr } from './python-text.ts';

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;

const ajv = new Ajv({ allErrors: true, verbose: true, strict: true, strictTypes: false, ownProperties: true });
for (const [name, format] of Object.entries(NAME_FORMATS)) ajv.addFormat(name, format.check);
// Lines may be broken, as programs write base64 and as Nova reads it.
ajv.addFormat('base64', (text) => BASE64.test(text.replaceAll(/[ \t\r\n]/g, '')));
ajv.addFormat('uuid', UUID);

export type Schema = JsonObject;
export type RequestCheck<T> = (value: JsonValue) => T;

/** A check of request bodies: returns the value as T, or throws INVALID_ARGUMENT with the first fault in Nova's words. */
export function bodySchema<T>(schema: Schema): RequestCheck<T> {
  const check = checkOf<T>(ajv.compile(schema), 'field/attribute');
  return (value) => {
    const checked = check(value);
    requireStorable(value, 'body');
    return checked;
  };
}

/** Whatever the schema says of a text, it may come to be stored, or be looked for. */
function requireStorable(value: JsonValue | undefined, field: string): void {
  if (typeof value === 'string' && !isStorable(value)) {
    throw new ServiceError('INVALID_ARGUMENT', `Invalid input for field/attribute ${field}. Value: ${pythonStr(value)}. ${pythonRepr(value)} ${UNSTORABLE_WORDS}`);
  }
  if (typeof value !== 'object' || value === null) return;
  const isList = Array.isArray(value);
  for (const [name, item] of Object.entries(value)) requireStorable(item as JsonValue, isList ? field : name);
}

/** The same for a query, whose values are all lists of strings (`?limit=1&limit=2`). */
export function querySchema<T>(schema: Schema): RequestCheck<T> {
  return checkOf<T>(ajv.compile(schema), 'query parameters');
}

function checkOf<T>(validate: ValidateFunction, subject: string): RequestCheck<T> {
  return (value) => {
    if (validate(value)) return value as T;
    const errors = validate.errors ?? [];
    throw new ServiceError('INVALID_ARGUMENT', messageOf(firstFault(errors), errors, subject));
  };
}

const KEYWORD_ORDER = ['type', 'enum', 'minLength', 'maxLength', 'pattern', 'format', 'minItems', 'maxItems', 'uniqueItems', 'properties', 'required', 'additionalProperties'];

function firstFault(errors: readonly ErrorObject[]): ErrorObject {
  const faults = errors.filter((error) => !['if', 'anyOf', 'oneOf'].includes(error.keyword) || errors.length === 1);
  const [first, ...others] = faults.length > 0 ? faults : errors;
  if (first === undefined) throw new ServiceError('INTERNAL', 'a schema refused without a reason');
  return others.reduce((best, error) => (precedes(error, best) ? error : best), first);
}

/** Whether Python's jsonschema would meet `error` before `best`; ajv already keeps the order of properties. */
function precedes(error: ErrorObject, best: ErrorObject): boolean {
  if (best.instancePath === error.instancePath) return rankOf(error) < rankOf(best);
  const isBelow = error.instancePath.startsWith(`${best.instancePath}/`);
  return isBelow && rankOf(best) > KEYWORD_ORDER.indexOf('properties');
}

function rankOf(error: ErrorObject): number {
  const rank = KEYWORD_ORDER.indexOf(error.keyword);
  return rank === -1 ? KEYWORD_ORDER.length : rank;
}

function messageOf(error: ErrorObject, errors: readonly ErrorObject[], subject: string): string {
  const path = error.instancePath.split('/').slice(1).map(unescapePointer);
  const nameFormat = error.keyword === 'format' ? NAME_FORMATS[String(error.params['format'])] : undefined;
  if (nameFormat !== undefined) return `An invalid 'name' value was provided. The name must be: ${nameFormat.expected}`;
  const value = error.data as JsonValue;
  const reason = error.keyword === 'additionalProperties' ? unexpected(error.instancePath, errors) : reasonOf(error, value);
  const field = fieldOf(path);
  return field === undefined ? reason : `Invalid input for ${subject} ${field}. Value: ${pythonStr(value)}. ${reason}`;
}

/** The innermost property's name; positions in lists do not name a field. */
function fieldOf(path: readonly string[]): string | undefined {
  return path.findLast((part) => !/^\d+$/.test(part)) ?? path.at(-1);
}

function unescapePointer(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~');
}

function reasonOf(error: ErrorObject, value: JsonValue): string {
  const shown = pythonRepr(value);
  const params = error.params as Readonly<Record<string, JsonValue>>;
  switch (error.keyword) {
    case 'type':
      return `${shown} is not of type ${typesOf(params['type'] ?? null)}`;
    case 'enum':
      return `${shown} is not one of ${pythonRepr(params['allowedValues'] ?? null)}`;
    case 'required':
      return `${pythonRepr(params['missingProperty'] ?? null)} is a required property`;
    case 'minLength':
    case 'minItems':
      return `${shown} is too short`;
    case 'maxLength':
    case 'maxItems':
      return `${shown} is too long`;
    case 'uniqueItems':
      return `${shown} has non-unique elements`;
    case 'minimum':
      return `${shown} is less than the minimum of ${pythonRepr(params['limit'] ?? null)}`;
    case 'pattern':
      return `${shown} does not match ${pythonRepr(params['pattern'] ?? null)}`;
    case 'format':
      return `${shown} is not a ${pythonRepr(params['format'] ?? null)}`;
    default:
      return `${shown} is not valid: ${error.message ?? error.keyword}`;
  }
}

/** One sentence for all the properties of an object that nobody knows, at most ten of them by name. */
function unexpected(path: string, errors: readonly ErrorObject[]): string {
  const names = errors
    .filter((error) => error.keyword === 'additionalProperties' && error.instancePath === path)
    .map((error) => pythonRepr(String(error.params['additionalProperty'])));
  const shown = names.length > 10 ? [...names.slice(0, 10), '...'] : names;
  return `Additional properties are not allowed (${shown.join(', ')} ${names.length === 1 ? 'was' : 'were'} unexpected)`;
}

function typesOf(type: JsonValue): string {
  return Array.isArray(type) ? type.map((item: JsonValue) => pythonRepr(item)).join(', ') : pythonRepr(type);
}

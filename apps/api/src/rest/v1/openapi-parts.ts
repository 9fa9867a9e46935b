/** What the descriptions of /v1 are made of. */
import type { JsonObject } from '../json.ts';
import { PARAMETERS } from './parameters.ts';
import type { ParameterName } from './parameters.ts';

export const TEXT: JsonObject = { type: 'string' };
export const UUID: JsonObject = { type: 'string', format: 'uuid' };
export const MOMENT: JsonObject = { type: 'string', format: 'date-time', pattern: 'Z$' };
export const COUNT: JsonObject = { type: 'integer', minimum: 0 };
export const orNull = (schema: JsonObject): JsonObject => ({ ...schema, type: [schema['type'] as string, 'null'] });
export const ref = (name: string): JsonObject => ({ $ref: `#/components/schemas/${name}` });

/** An object with these properties and no others; those that are not optional are always there. */
export function record(properties: JsonObject, optional: readonly string[] = []): JsonObject {
  return { type: 'object', properties, required: Object.keys(properties).filter((name) => !optional.includes(name)), additionalProperties: false };
}

export interface Operation {
  readonly summary: string;
  readonly parameters?: readonly ParameterName[];
  /** What its body must be, as JSON Schema. */
  readonly body?: JsonObject;
  readonly answers: JsonObject;
}

export function operation(operationId: string, { summary, parameters = [], body, answers }: Operation, more: readonly JsonObject[] = []): JsonObject {
  const query = parameters.map((name) => ({ name, in: 'query', required: false, ...PARAMETERS[name] }));
  const problem = { description: 'Refused.', content: { 'application/problem+json': { schema: ref('Problem') } } };
  const requestBody = body === undefined ? {} : { requestBody: { required: true, content: { 'application/json': { schema: body } } } };
  return { operationId, summary, parameters: [...query, ...more], ...requestBody, responses: { ...answers, default: problem } };
}

export const json = (description: string, name: string): JsonObject => ({ description, content: { 'application/json': { schema: ref(name) } } });
export const ID: JsonObject = { name: 'id', in: 'path', required: true, schema: UUID };

/** A request's body under /v1, checked: the first fault is told by its place. */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { z } from 'zod';
import type { JsonValue } from '../json.ts';

const WORDS_MAX = 500;

/** Throws INVALID_ARGUMENT. */
export function readBody<T extends z.ZodType>(schema: T, body: JsonValue): z.output<T> {
  const { data, error } = schema.safeParse(body);
  if (error === undefined) return data as z.output<T>;
  const [issue] = error.issues;
  const words = `${placeOf(issue?.path ?? [])}: ${issue?.message ?? 'does not fit'}`;
  throw new ServiceError('INVALID_ARGUMENT', words.length > WORDS_MAX ? `${words.slice(0, WORDS_MAX)}...` : words);
}

/** `network_data.links[2].type` */
function placeOf(path: readonly PropertyKey[]): string {
  const place = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
  return place === '' ? 'the body' : place.replace(/^\./, '');
}

/**
 * What is kept of a message that could not be served: enough to find its sender and its kind, and no secret. A request
 * carries console tokens in its arguments and an auth token in its context, so neither shows more than names, kinds
 * and sizes, and of a body that cannot be read there is only its length.
 */
import type { JsonObject, JsonValue } from '@gatehouse/objects/field';
import { decodeRequest } from './envelope.ts';
import type { RequestMessage } from './transport.ts';
import { isVersion } from './version.ts';

export interface DeadLetterFacts {
  /** Written by us: never words of the message. */
  readonly reason: string;
  readonly topic: string;
  readonly server: string;
  readonly queue: string;
  readonly exchange: string;
  readonly contentType: unknown;
  /** How many servers were lost with it. */
  readonly losses: number;
  readonly at: Date;
}

const NAMES_MAX = 50;
/** Arguments and context keys are named by people; what has digits or other letters might be a value in a key's place. */
const NAME = /^[a-z]+(_[a-z]+)*$/;
const NAME_LENGTH_MAX = 40;
const METHOD = /^[A-Za-z_]\w{0,63}$/;
const ID = /^[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}$/;
const REQUEST_ID = /^req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The letter, as JSON; safe to show to whoever may read a queue or a log. */
export function deadLetter(body: Uint8Array, facts: DeadLetterFacts): JsonObject {
  const { reason, topic, server, queue, exchange, contentType, losses, at } = facts;
  return {
    reason,
    at: at.toISOString(),
    from: { topic, server, queue, exchange },
    bytes: body.length,
    content_type: contentType === 'application/json' ? contentType : contentType === undefined ? null : 'another',
    losses,
    ...requestFacts(body),
  };
}

function requestFacts(body: Uint8Array): JsonObject {
  try {
    const { address, message } = decodeRequest(body);
    const ids = { msg_id: matching(address.msgId, ID), unique_id: matching(address.uniqueId, ID) };
    return message instanceof Error ? ids : { ...ids, ...messageFacts(message) };
  } catch {
    return {};
  }
}

function messageFacts({ method, namespace, version, args, context }: RequestMessage): JsonObject {
  return {
    method: matching(method, METHOD),
    namespace: matching(namespace, METHOD),
    version: isVersion(version) ? version : null,
    request_id: matching(context['request_id'], REQUEST_ID),
    args: sizes(args),
    context: sizes(context),
  };
}

/** Name -> kind and size; what bears no plain name is counted. */
function sizes(values: JsonObject): JsonObject {
  const names = Object.keys(values);
  const named = names.filter((name) => name.length <= NAME_LENGTH_MAX && NAME.test(name)).slice(0, NAMES_MAX);
  const shown: Record<string, JsonValue> = Object.fromEntries(named.map((name) => [name, sizeOf(values[name] ?? null)]));
  return named.length === names.length ? shown : { ...shown, '...': `${names.length - named.length} more` };
}

function sizeOf(value: JsonValue): string {
  if (value === null) return 'null';
  if (typeof value === 'string') return `text of ${value.length}`;
  if (Array.isArray(value)) return `list of ${value.length}`;
  if (typeof value === 'object') return `object of ${Object.keys(value).length}`;
  return typeof value;
}

function matching(value: JsonValue | undefined, form: RegExp): string | null {
  return typeof value === 'string' && form.test(value) ? value : null;
}

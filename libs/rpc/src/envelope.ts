/**
 * oslo.messaging's envelope 2.0, the bytes that both transports move: JSON text inside a JSON text.
 *
 *   {"oslo.version": "2.0", "oslo.message": "<the message as JSON text>"}
 *
 * A request's message holds method, args, namespace, version, one `_context_<key>` for each key of the context,
 * `_unique_id`, and for a call where the answer goes: `_msg_id`, `_reply_q`. A reply holds result, failure,
 * ending and `_msg_id`; one with ending false only says that the server still works on it.
 *
 * What arrives is hostile. A body that is no message at all throws (there is nobody to answer); a message that can
 * be answered and asks for nonsense is handed on as a refusal.
 */
import { randomBytes } from 'node:crypto';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { JsonObject, JsonValue } from '@gatehouse/objects/field';
import { isObject, jsonText, parseObject } from './json.ts';
import type { Reply, RequestMessage } from './transport.ts';
import { isVersion, versionIsCompatible } from './version.ts';

/** Both ways; oslo knows no limit, the broker's own is 512 MB. */
export const BODY_BYTES_MAX = 16 * 1024 * 1024;
export const CONTENT_TYPE = 'application/json';
export const CONTENT_ENCODING = 'utf-8';
const ENVELOPE_VERSION = '2.0';
const ENVELOPE_BEGINS = `{"oslo.version":"${ENVELOPE_VERSION}","oslo.message":`;
const NAME_LENGTH_MAX = 255;
/** Longer than any call waits, and what Node's timers can count. */
const MONITOR_MS_MAX = 86_400_000;
const CONTEXT_PREFIX = '_context_';

/** Where an answer goes, and what the message says about itself. */
export interface MessageAddress {
  readonly msgId: string | null;
  readonly replyQueue: string | null;
  readonly uniqueId: string | null;
  /** The caller wants a sign of life at least this often; null when it does not. */
  readonly monitorTimeoutMs: number | null;
}

export interface DecodedRequest {
  readonly address: MessageAddress;
  /** The error is a refusal to answer with. */
  readonly message: RequestMessage | ServiceError;
}

export interface DecodedReply extends Reply {
  readonly msgId: string;
  /** False: not an answer yet, the server is still at work. */
  readonly ending: boolean;
}

/** Ends in a letter, so that no id has sixteen decimal digits in a row and looks like a long integer (json.ts). */
const idPrefix = `${randomBytes(10).toString('hex').slice(0, 19)}f`;
let idsGiven = 0;

/** 32 hexadecimal digits like oslo's uuid4().hex: random for the process, counted within it. */
export function newMessageId(): string {
  idsGiven += 1;
  return idPrefix + idsGiven.toString(16).padStart(12, '0');
}

/** Where a call's answer goes. */
export interface CallAddress {
  readonly msgId: string;
  readonly replyQueue: string;
  /** Asks for a sign of life at least this often while the server works; oslo counts in whole seconds. */
  readonly monitorTimeoutMs?: number | null;
}

/** @throws ServiceError INVALID_ARGUMENT when it is larger than BODY_BYTES_MAX */
export function encodeRequest(message: RequestMessage, call: CallAddress | null): Buffer {
  return wrap(requestParts(message, call));
}

/**
 * A call to servers that answered as only ours do: the message alone, without the envelope's second round of JSON.
 * Should one of oslo's share their queue, it reads this as well. @throws ServiceError INVALID_ARGUMENT when it is
 * larger than BODY_BYTES_MAX
 */
export function encodeDirectRequest(message: RequestMessage, call: CallAddress): Buffer {
  return limited(Buffer.from(jsonText(requestParts(message, call))));
}

function requestParts(message: RequestMessage, call: CallAddress | null): JsonObject {
  const parts: Record<string, JsonValue> = { method: message.method, args: message.args };
  if (message.namespace !== null) parts['namespace'] = message.namespace;
  if (message.version !== null) parts['version'] = message.version;
  if (call !== null) {
    parts['_msg_id'] = call.msgId;
    parts['_reply_q'] = call.replyQueue;
    parts['_timeout'] = call.monitorTimeoutMs ? Math.ceil(call.monitorTimeoutMs / 1000) : null;
  }
  parts['_unique_id'] = newMessageId();
  for (const key in message.context) parts[prefixed(key)] = message.context[key] ?? null;
  return parts;
}

/** @throws ServiceError INVALID_ARGUMENT when it is larger than BODY_BYTES_MAX */
export function encodeReply(msgId: string, reply: Reply, ending = true): Buffer {
  return wrap({ result: reply.result, failure: reply.failure, ending, _msg_id: msgId, _unique_id: newMessageId() });
}

/**
 * A reply for a caller known to be ours, which offered a way back that oslo does not use: the message alone, without
 * the envelope's second round of JSON. @throws ServiceError INVALID_ARGUMENT when it is larger than BODY_BYTES_MAX
 */
export function encodeDirectReply(msgId: string, reply: Reply, ending = true): Buffer {
  return limited(Buffer.from(jsonText({ result: reply.result, failure: reply.failure, ending, _msg_id: msgId })));
}

function wrap(message: JsonObject): Buffer {
  return limited(Buffer.from(`${ENVELOPE_BEGINS}${JSON.stringify(jsonText(message))}}`));
}

function limited(body: Buffer): Buffer {
  if (body.length > BODY_BYTES_MAX) refuse(`the message has ${body.length} bytes, at most ${BODY_BYTES_MAX} are sent`);
  return body;
}

/** @throws ServiceError INVALID_ARGUMENT when the bytes are no message that could be answered */
export function decodeRequest(body: Uint8Array): DecodedRequest {
  const parts = unwrap(body);
  const address: MessageAddress = {
    msgId: name(parts['_msg_id']),
    replyQueue: name(parts['_reply_q']),
    uniqueId: name(parts['_unique_id']),
    monitorTimeoutMs: seconds(parts['_timeout']),
  };
  try {
    return { address, message: readMessage(parts) };
  } catch (error) {
    if (error instanceof ServiceError) return { address, message: error };
    throw error;
  }
}

function readMessage(parts: JsonObject): RequestMessage {
  const { method, args = {}, namespace = null, version = null } = parts;
  if (typeof method !== 'string' || method === '' || method.length > NAME_LENGTH_MAX) refuse('method: expected a name');
  if (!isObject(args)) refuse('args: expected an object with named values');
  if (namespace !== null && (typeof namespace !== 'string' || namespace.length > NAME_LENGTH_MAX)) refuse('namespace: expected a name or null');
  if (version !== null && !isVersion(version)) refuse('version: expected a version like 1.0');
  const context: Record<string, JsonValue> = {};
  for (const key in parts) {
    const own = contextKey(key);
    if (own !== null) context[own] = parts[key] ?? null;
  }
  return { method, args, namespace, version, context };
}

const CONTEXT_KEYS_MAX = 500;
const CONTEXT_KEY_LENGTH_MAX = 64;
const contextKeys = new Map<string, string | null>();
const prefixedKeys = new Map<string, string>();

/** As contextKey, the other way. */
function prefixed(key: string): string {
  const known = prefixedKeys.get(key);
  if (known !== undefined) return known;
  const name = CONTEXT_PREFIX + key;
  if (prefixedKeys.size < CONTEXT_KEYS_MAX && key.length <= CONTEXT_KEY_LENGTH_MAX) prefixedKeys.set(key, name);
  return name;
}

/** The key without its prefix; null for one that is none of the context's. Cutting a text anew for each request costs more than the request's JSON. */
function contextKey(key: string): string | null {
  const known = contextKeys.get(key);
  if (known !== undefined) return known;
  const own = key.startsWith(CONTEXT_PREFIX) && key !== '_context___proto__' ? key.slice(CONTEXT_PREFIX.length) : null;
  if (contextKeys.size < CONTEXT_KEYS_MAX && key.length <= CONTEXT_KEY_LENGTH_MAX) contextKeys.set(key, own);
  return own;
}

/** @throws ServiceError INVALID_ARGUMENT when the bytes are no reply */
export function decodeReply(body: Uint8Array): DecodedReply {
  const { _msg_id: msgId, result = null, failure = null, ending } = unwrap(body);
  if (typeof msgId !== 'string') refuse('_msg_id: expected the id of the call that this answers');
  if (failure !== null && typeof failure !== 'string') refuse('failure: expected a text or null');
  return { msgId, result, failure, ending: ending !== false };
}

/** Both begin so, ours and oslo's; what follows is one text. */
const WRAPPED = /^\{"oslo\.version": ?"/;

/** The message in the bytes, with or without its envelope (oslo takes both). */
function unwrap(body: Uint8Array): JsonObject {
  const text = textOf(body);
  const looksWrapped = WRAPPED.test(text);
  const outer = parseObject(text, 'the body', !looksWrapped);
  const version = outer['oslo.version'];
  const inner = outer['oslo.message'];
  if (version === undefined || inner === undefined) return looksWrapped ? parseObject(text, 'the body') : outer;
  if (version !== ENVELOPE_VERSION && !(isVersion(version) && versionIsCompatible(ENVELOPE_VERSION, version))) refuse(`oslo.version: expected ${ENVELOPE_VERSION}`);
  if (typeof inner !== 'string') refuse('oslo.message: expected a text');
  return parseObject(inner, 'oslo.message');
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function textOf(body: Uint8Array): string {
  if (body.length > BODY_BYTES_MAX) refuse(`the body has ${body.length} bytes, at most ${BODY_BYTES_MAX} are read`);
  try {
    return utf8.decode(body);
  } catch (cause) {
    throw new ServiceError('INVALID_ARGUMENT', 'the body is not UTF-8', { cause });
  }
}

/** AMQP counts a name's bytes, and nothing can be sent to a longer one. */
function name(value: JsonValue | undefined): string | null {
  return typeof value === 'string' && value !== '' && value.length <= NAME_LENGTH_MAX && Buffer.byteLength(value) <= NAME_LENGTH_MAX ? value : null;
}

/** oslo takes numbers and numeric texts. A timer of more than MONITOR_MS_MAX would go off at once, again and again. */
function seconds(value: JsonValue | undefined): number | null {
  const given = typeof value === 'string' ? Number.parseInt(value, 10) : value;
  return typeof given === 'number' && Number.isFinite(given) && given > 0 ? Math.min(Math.trunc(given) * 1000, MONITOR_MS_MAX) : null;
}

function refuse(problem: string): never {
  throw new ServiceError('INVALID_ARGUMENT', problem);
}

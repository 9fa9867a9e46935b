/**
 * Reading objects that are newer than ours: a peer that knows them is asked, once, to write them as we know them
 * (oslo's object_backport_versions), and they are read again.
 */
import { isServiceError } from '@gatehouse/errors/service-error';
import type { JsonObject, JsonValue } from '@gatehouse/objects/field';
import { JSON_DEPTH_MAX } from '@gatehouse/objects/fields';
import type { Manifest } from '@gatehouse/objects/object-version';
import { decodeFailure } from './failure.ts';
import { isNewer, parseLevel } from './level.ts';
import type { Transport } from './transport.ts';

/** Who is asked: a contract, for whoever serves it. */
export interface BackportPeer {
  readonly topic: string;
  readonly version: string;
  readonly namespace?: string | null;
}

export interface BackportRequest {
  readonly transport: Transport;
  readonly peer: BackportPeer;
  /** One server of the peer's topic; any of them when absent. */
  readonly server?: string | undefined;
  /** What we know of the objects that may occur. */
  readonly manifest: Manifest;
  /** The `_context_*` keys that the questions carry. */
  readonly context: JsonObject;
  /** Epoch milliseconds. */
  readonly deadline: number;
  readonly signal?: AbortSignal | undefined;
}

/** Objects of one request or reply that are asked for. */
export const BACKPORTS_MAX = 64;
const BACKPORTS_AT_ONCE = 8;
const BACKPORT_MS_MAX = 5_000;

/** Whether a peer could help: an object of our major version, and a newer minor. */
export function isNewerObject(error: unknown): boolean {
  if (!isServiceError(error) || error.details['oslo'] !== 'IncompatibleObjectVersion') return false;
  const { received, supported } = error.details;
  return isNewer(received, supported);
}

/**
 * The same value with its newer objects as the peer wrote them for us. Asks at most BACKPORTS_MAX questions, a
 * few at a time, and waits at most 5 s.
 * @throws `refusal`, the error that reading `wire` had ended with, when there is too much to ask or the peer cannot help
 */
export async function backported(wire: JsonValue, refusal: unknown, request: BackportRequest): Promise<JsonValue> {
  const newer: JsonObject[] = [];
  collectNewer(wire, request.manifest, newer, 0);
  if (newer.length === 0 || newer.length > BACKPORTS_MAX) throw refusal;
  const answers = new Map<JsonValue, JsonValue>();
  const deadline = Math.min(request.deadline, Date.now() + BACKPORT_MS_MAX);
  try {
    for (let from = 0; from < newer.length; from += BACKPORTS_AT_ONCE) {
      const some = newer.slice(from, from + BACKPORTS_AT_ONCE);
      await Promise.all(some.map(async (objinst) => void answers.set(objinst, await ask(objinst, { ...request, deadline }))));
    }
  } catch (cause) {
    if (refusal instanceof Error) refusal.cause ??= cause;
    throw refusal;
  }
  return replaced(wire, answers);
}

async function ask(objinst: JsonObject, { transport, peer, server, manifest, context, deadline, signal }: BackportRequest): Promise<JsonValue> {
  const reply = await transport.request({
    kind: 'call',
    topic: peer.topic,
    server,
    message: {
      method: 'object_backport_versions',
      args: { objinst, object_versions: manifest },
      namespace: peer.namespace ?? null,
      version: `${parseLevel(peer.version)?.[0] ?? 1}.0`,
      context,
    },
    deadline,
    signal,
  });
  if (reply?.failure != null) throw decodeFailure(reply.failure);
  return reply?.result ?? null;
}

/** The outermost objects that are, or hold, something newer than the manifest: oslo converts an object as a whole. */
function collectNewer(wire: JsonValue, manifest: Manifest, found: JsonObject[], depth: number): void {
  if (typeof wire !== 'object' || wire === null || depth > JSON_DEPTH_MAX || found.length > BACKPORTS_MAX) return;
  if (isObject(wire) && holdsNewer(wire, manifest, depth)) found.push(wire);
  else for (const each of Object.values(wire) as JsonValue[]) collectNewer(each, manifest, found, depth + 1);
}

function holdsNewer(wire: JsonValue, manifest: Manifest, depth: number): boolean {
  if (typeof wire !== 'object' || wire === null || depth > JSON_DEPTH_MAX) return false;
  if (isObject(wire)) {
    const name = wire['nova_object.name'] as string;
    if (Object.hasOwn(manifest, name) && isNewer(wire['nova_object.version'], manifest[name])) return true;
  }
  return (Object.values(wire) as JsonValue[]).some((each) => holdsNewer(each, manifest, depth + 1));
}

function replaced(wire: JsonValue, answers: ReadonlyMap<JsonValue, JsonValue>): JsonValue {
  const answer = answers.get(wire);
  if (answer !== undefined) return answer;
  if (typeof wire !== 'object' || wire === null) return wire;
  if (Array.isArray(wire)) return (wire as readonly JsonValue[]).map((each) => replaced(each, answers));
  return Object.fromEntries(Object.entries(wire).map(([name, each]) => [name, replaced(each as JsonValue, answers)]));
}

function isObject(wire: object): wire is JsonObject {
  return typeof (wire as JsonObject)['nova_object.name'] === 'string';
}

/**
 * One request on a server: finds its method, reads its arguments as their sender meant them, runs the handler and
 * writes the result as the caller knows it.
 *
 * A caller's level is what its context says, or else the version that it asks for: Python's callers say no level,
 * and know what they ask for.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { JsonObject, JsonValue } from '@gatehouse/objects/field';
import { backported, isNewerObject } from './backport-peer.ts';
import type { BackportPeer } from './backport-peer.ts';
import { contextFromWire, contextToWire, LEVEL_KEY } from './context.ts';
import type { RequestContext } from './context.ts';
import { findRoute } from './endpoint.ts';
import type { Endpoint, Route } from './endpoint.ts';
import type { Level, Levels } from './level.ts';
import type { IncomingRequest, RequestMessage, Transport } from './transport.ts';

/** Where objects are asked for that are newer than ours. */
export interface BackportWay {
  readonly transport: Transport;
  readonly peer: BackportPeer;
}

/** The result, as it travels. @throws ServiceError */
export async function runRequest(endpoints: readonly Endpoint[], request: IncomingRequest, way: BackportWay | null): Promise<JsonValue> {
  const { message, redelivered, wantsReply, expirationMs } = request;
  const route = findRoute(endpoints, message);
  if (redelivered && wantsReply && !route.method.idempotent) {
    throw new ServiceError('UNAVAILABLE', `the server that took ${message.method} was lost, or its connection; it may have run`);
  }
  const level = levelOf(route.levels, message);
  const context = contextFromWire(message.context, expirationMs, request);
  if (context.deadline <= Date.now()) throw new ServiceError('DEADLINE_EXCEEDED', `the deadline of ${message.method} passed before it could run`);
  let args: unknown;
  try {
    args = route.method.args.fromWire(message.args, route.title, level.to?.version);
  } catch (error) {
    if (way === null || !isNewerObject(error)) throw error;
    args = await newerArgs(route, level, message.args, error, context, way);
  }
  let value: unknown;
  try {
    value = await route.handler(args, context);
  } catch (error) {
    throw stopped(error, context, request);
  }
  return resultToWire(route, value, level);
}

/** A handler that its signal has stopped is no fault of ours: Node's own errors for it become those of RPC. */
function stopped(error: unknown, { deadline }: RequestContext, { message, signal }: IncomingRequest): unknown {
  if (!(error instanceof Error) || (error.name !== 'AbortError' && error.name !== 'TimeoutError')) return error;
  if (signal?.aborted) return new ServiceError('CANCELLED', `the caller of ${message.method} gave up waiting`, { cause: error });
  // A timer may come a moment before the clock says so.
  if (deadline - Date.now() > 5) return error;
  return new ServiceError('DEADLINE_EXCEEDED', `the deadline of ${message.method} passed while it ran`, { cause: error });
}

function levelOf(levels: Levels, { context, version }: RequestMessage): Level {
  const told = context[LEVEL_KEY] ?? version ?? '1.0';
  const level = typeof told === 'string' ? levels.of(told) : null;
  if (level === null) throw new ServiceError('INVALID_ARGUMENT', `_context_${LEVEL_KEY}: expected a version like ${levels.own.version}`);
  return level;
}

async function newerArgs({ method, title }: Route, level: Level, args: JsonObject, refusal: unknown, context: RequestContext, way: BackportWay): Promise<unknown> {
  const { deadline, signal } = context;
  const wire = await backported(args, refusal, { ...way, manifest: method.manifest, context: contextToWire(context, deadline), deadline, signal });
  return method.args.fromWire(wire, title, level.to?.version);
}

function resultToWire({ method: { result }, title }: Route, value: unknown, { to }: Level): JsonValue {
  if (result === null) return null;
  try {
    return to === undefined ? result.toWire(value as never, `${title} result`) : result.toWire(value as never, `${title} result`, to.manifest);
  } catch (cause) {
    // Our fault, not the caller's, whose arguments were fine.
    throw new ServiceError('INTERNAL', `${title} answered what its contract does not allow`, { cause });
  }
}

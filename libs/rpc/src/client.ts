/**
 * A contract's client: one function a method, typed by the contract.
 *
 *   const clock = createClient(clockContract, transport);
 *   const now = await clock.read({ zone: 'UTC' }, context);
 *
 * A call ends by its deadline whatever happens on the way. Where a method is idempotent and the way to the server
 * was lost (or nobody was there yet), the call is tried again, a few times, within the same deadline.
 *
 * A client speaks the newest level of its contract, or the older one that it is pinned to while older servers live:
 * then it sends nothing that came later. A request asks for the version in which its method or the latest of its
 * arguments came, so that a server which does not know one of them refuses instead of passing it over. A server that
 * refuses an object as newer than it knows is asked once more, with the objects as it knows them.
 */
import { ServiceError, isServiceError } from '@gatehouse/errors/service-error';
import type { JsonObject } from '@gatehouse/objects/field';
import { compareVersions } from '@gatehouse/objects/object-version';
import type { Manifest } from '@gatehouse/objects/object-version';
import { wireName } from '@gatehouse/objects/record-codec';
import { backported, isNewerObject } from './backport-peer.ts';
import { contextToWire, TIMEOUT_MS_DEFAULT } from './context.ts';
import type { RequestContext } from './context.ts';
import type { AnyMethod, Contract, InputArgsOf, Methods, ResultOf } from './contract.ts';
import { decodeFailure } from './failure.ts';
import { Levels, parseLevel, pinnedLevel } from './level.ts';
import type { Level, Pin } from './level.ts';
import type { OutgoingRequest, Reply, Transport } from './transport.ts';

export interface CallOptions {
  /** Directs the request to one server of the topic. */
  readonly server?: string;
  /** The earlier of this and the context's deadline counts. */
  readonly timeoutMs?: number;
  /** Fails with DEADLINE_EXCEEDED when the server gives no sign of life for this long, at least 2 s; for calls with a far deadline. */
  readonly monitorTimeoutMs?: number;
}

export interface ClientOptions {
  /** For calls that name none; 60 s. */
  readonly timeoutMs?: number;
  /** How often an idempotent call is tried again when it could not be delivered; 6 (about 3 s). */
  readonly retries?: number;
  /** The level to speak; the contract's newest unless told. */
  readonly pin?: string | Pin | undefined;
}

export type ClientMethod<M> = (args: InputArgsOf<M>, context: RequestContext, options?: CallOptions) => Promise<ResultOf<M>>;
export type Client<C> = C extends Contract<infer M> ? { readonly [K in keyof M]: ClientMethod<M[K]> } : never;

const RETRIES_DEFAULT = 6;
const RETRY_DELAY_MS_MIN = 50;
const RETRY_DELAY_MS_MAX = 2_000;

/**
 * Each method rejects with a ServiceError: the server's own with its code, INVALID_ARGUMENT for arguments that do
 * not fit the contract, UNAVAILABLE when nobody listens or the way was lost, DEADLINE_EXCEEDED, CANCELLED,
 * UNIMPLEMENTED for a method that came after the level to which the client is pinned.
 * @throws ServiceError INVALID_ARGUMENT for a pin that is no level of the contract
 */
export function createClient<M extends Methods>(contract: Contract<M>, transport: Transport, options: ClientOptions = {}): Client<Contract<M>> {
  const levels = new Levels(contract);
  const way = { contract, transport, options, levels, levelNow: levelOf(contract, levels, options.pin) };
  const entries = Object.entries(contract.methods).map(([name, method]) => [name, callerOf(way, name, method)]);
  return Object.freeze(Object.fromEntries(entries)) as Client<Contract<M>>;
}

type Caller = (args: never, context: RequestContext, options?: CallOptions) => Promise<unknown>;

interface Way {
  readonly contract: Contract;
  readonly transport: Transport;
  readonly options: ClientOptions;
  readonly levels: Levels;
  readonly levelNow: () => Level;
}

function levelOf(contract: Contract, levels: Levels, pin: string | Pin | undefined): () => Level {
  if (pin === undefined) return () => levels.own;
  const settled = typeof pin === 'string' ? { level: pin } : pin;
  pinnedLevel(contract, levels, settled);
  return () => pinnedLevel(contract, levels, settled);
}

function callerOf({ contract, transport, options, levels, levelNow }: Way, name: string, method: AnyMethod): Caller {
  const { timeoutMs: timeoutMsDefault = TIMEOUT_MS_DEFAULT, retries = RETRIES_DEFAULT } = options;
  const wire = wireName(name);
  const title = `${contract.topic}.${wire}`;
  const { kind } = method;
  const { topic, namespace } = contract;
  const attemptsMax = method.idempotent ? retries + 1 : 1;
  return async (args, context, { server, timeoutMs = timeoutMsDefault, monitorTimeoutMs } = {}) => {
    const level = levelNow();
    if (level.to !== undefined) refuseLater(method, title, level, options.pin);
    const { signal } = context;
    const deadline = Math.min(context.deadline, Date.now() + timeoutMs);
    let body = method.args.toWire(args, title, level.to);
    let isRewritten = false;
    const version = method.laterArgs.length === 0 ? method.since : sinceSent(method, body);
    for (let attempt = 1; ; attempt++) {
      const message = { method: wire, args: body, namespace, version, context: contextToWire(context, deadline, level.version) };
      const request: OutgoingRequest = { kind, topic, server, message, deadline, signal, monitorTimeoutMs };
      let reply: Reply | null;
      try {
        reply = await transport.request(request);
      } catch (error) {
        if (attempt >= attemptsMax || !isServiceError(error) || error.code !== 'UNAVAILABLE') throw error;
        await pauseAfter(attempt, deadline, signal, error);
        continue;
      }
      if (reply === null) return undefined;
      if (reply.failure !== null) {
        const error = decodeFailure(reply.failure);
        const manifest = isRewritten ? null : manifestOfReader(levels, level, title, error);
        if (manifest === null) throw error;
        isRewritten = true;
        body = method.args.toWire(args, title, { ...level.to, manifest });
        continue;
      }
      return method.result === null ? undefined : resultOf(method, reply, `${title} result`, { transport, contract, request });
    }
  };
}

/** @throws ServiceError UNIMPLEMENTED: the level has no such method */
function refuseLater(method: AnyMethod, title: string, level: Level, pin: string | Pin | undefined): void {
  if ((parseLevel(method.since)?.[1] ?? 0) <= level.minor) return;
  const setBy = typeof pin === 'object' && pin.setBy !== undefined ? ` (${pin.setBy})` : '';
  throw new ServiceError('UNIMPLEMENTED', `${title} came with ${method.since}, and this client is pinned to ${level.version}${setBy}`, {
    details: { since: method.since, pin: level.version },
  });
}

/** The objects as a server knows them that has refused one of our arguments' as newer; null when it refused something else. Nothing ran there. */
function manifestOfReader(levels: Levels, level: Level, title: string, error: ServiceError): Manifest | null {
  const { path, objname, supported } = error.details;
  if (!isNewerObject(error) || !String(path).startsWith(`${title}.`)) return null;
  return levels.whoseReaders(String(objname), String(supported), level)?.to?.manifest ?? null;
}

/** The version that brought the method, or the latest of the arguments that are sent. */
function sinceSent(method: AnyMethod, body: JsonObject): string {
  let newest = method.since;
  for (const { wire, since } of method.laterArgs) {
    if (Object.hasOwn(body, wire) && compareVersions(since, newest) > 0) newest = since;
  }
  return newest;
}

interface Asked {
  readonly transport: Transport;
  readonly contract: Contract;
  readonly request: OutgoingRequest;
}

/** What the method promises; objects that are newer than ours are read once more as the same topic writes them for us. */
function resultOf({ result, manifest }: AnyMethod, reply: Reply, title: string, { transport, contract, request }: Asked): unknown {
  try {
    return result?.fromWire(reply.result, title);
  } catch (error) {
    if (!isNewerObject(error)) throw unfit(error);
    const { server, deadline, signal, message } = request;
    return backported(reply.result, error, { transport, peer: contract, server, manifest, context: message.context, deadline, signal })
      .then((wire) => result?.fromWire(wire, title))
      .catch((cause: unknown) => { throw unfit(cause); });
  }
}

/** Not the caller's fault: the server answered something else than the contract says. */
function unfit(cause: unknown): ServiceError {
  const details = isServiceError(cause) ? cause.details : {};
  return new ServiceError('INTERNAL', `the answer does not fit the contract: ${cause instanceof Error ? cause.message : ''}`, { cause, details });
}

/** @throws the attempt's own error when the deadline would come first */
async function pauseAfter(attempt: number, deadline: number, signal: AbortSignal | undefined, error: ServiceError): Promise<void> {
  const delayMs = Math.min(RETRY_DELAY_MS_MAX, RETRY_DELAY_MS_MIN * 2 ** (attempt - 1)) * (0.5 + Math.random());
  if (Date.now() + delayMs >= deadline) throw error;
  await pause(delayMs, signal);
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      if (signal?.aborted) reject(new ServiceError('CANCELLED', 'the caller gave up while the call waited to be tried again'));
      else resolve();
    };
    const timer = setTimeout(finish, ms);
    signal?.addEventListener('abort', finish);
  });
}

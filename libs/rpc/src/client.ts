/**
 * A contract's client: one function a method, typed by the contract.
 *
 *   const clock = createClient(clockContract, transport);
 *   const now = await clock.read({ zone: 'UTC' }, context);
 *
 * A call ends by its deadline whatever happens on the way. Where a method is idempotent and the way to the server
 * was lost (or nobody was there yet), the call is tried again, a few times, within the same deadline.
 */
import { ServiceError, isServiceError } from '@gatehouse/errors/service-error';
import { wireName } from '@gatehouse/objects/record-codec';
import { contextToWire, TIMEOUT_MS_DEFAULT } from './context.ts';
import type { RequestContext } from './context.ts';
import type { AnyMethod, ArgsOf, Contract, Methods, ResultOf } from './contract.ts';
import { decodeFailure } from './failure.ts';
import type { Reply, Transport } from './transport.ts';

export interface CallOptions {
  /** Directs the request to one server of the topic. */
  readonly server?: string;
  /** The earlier of this and the context's deadline counts. */
  readonly timeoutMs?: number;
}

export interface ClientOptions {
  /** For calls that name none; 60 s. */
  readonly timeoutMs?: number;
  /** How often an idempotent call is tried again when it could not be delivered; 6 (about 3 s). */
  readonly retries?: number;
}

export type ClientMethod<M> = (args: ArgsOf<M>, context: RequestContext, options?: CallOptions) => Promise<ResultOf<M>>;
export type Client<C> = C extends Contract<infer M> ? { readonly [K in keyof M]: ClientMethod<M[K]> } : never;

const RETRIES_DEFAULT = 6;
const RETRY_DELAY_MS_MIN = 50;
const RETRY_DELAY_MS_MAX = 2_000;

/**
 * Each method rejects with a ServiceError: the server's own with its code, INVALID_ARGUMENT for arguments that do
 * not fit the contract, UNAVAILABLE when nobody listens or the way was lost, DEADLINE_EXCEEDED, CANCELLED.
 */
export function createClient<M extends Methods>(contract: Contract<M>, transport: Transport, options: ClientOptions = {}): Client<Contract<M>> {
  const entries = Object.entries(contract.methods).map(([name, method]) => [name, callerOf(contract, name, method, transport, options)]);
  return Object.freeze(Object.fromEntries(entries)) as Client<Contract<M>>;
}

type Caller = (args: never, context: RequestContext, options?: CallOptions) => Promise<unknown>;

function callerOf(contract: Contract, name: string, method: AnyMethod, transport: Transport, options: ClientOptions): Caller {
  const { timeoutMs: timeoutMsDefault = TIMEOUT_MS_DEFAULT, retries = RETRIES_DEFAULT } = options;
  const wire = wireName(name);
  const title = `${contract.topic}.${wire}`;
  const { kind, since: version } = method;
  const { topic, namespace } = contract;
  const attemptsMax = method.idempotent ? retries + 1 : 1;
  return async (args, context, { server, timeoutMs = timeoutMsDefault } = {}) => {
    const { signal } = context;
    const deadline = Math.min(context.deadline, Date.now() + timeoutMs);
    const body = method.args.toWire(args, title);
    for (let attempt = 1; ; attempt++) {
      const message = { method: wire, args: body, namespace, version, context: contextToWire(context, deadline) };
      let reply: Reply | null;
      try {
        reply = await transport.request({ kind, topic, server, message, deadline, signal });
      } catch (error) {
        if (attempt >= attemptsMax || !isServiceError(error) || error.code !== 'UNAVAILABLE') throw error;
        await pauseAfter(attempt, deadline, signal, error);
        continue;
      }
      return reply === null ? undefined : answerOf(method, reply, title);
    }
  };
}

function answerOf(method: AnyMethod, reply: Reply, title: string): unknown {
  if (reply.failure !== null) throw decodeFailure(reply.failure);
  return resultOf(method, reply, title);
}

function resultOf(method: AnyMethod, reply: Reply, title: string): unknown {
  if (method.result === null) return undefined;
  try {
    return method.result.fromWire(reply.result, `${title} result`);
  } catch (cause) {
    // Not the caller's fault: the server answered something else than the contract says.
    throw new ServiceError('INTERNAL', `the answer does not fit the contract: ${cause instanceof Error ? cause.message : ''}`, { cause });
  }
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

/**
 * A contract is a value that names a service's RPC methods in fields and objects. It types the client and the
 * server, and it holds the codecs of both, so neither knows the wire.
 *
 *   const clock = defineContract({ topic: 'clock', version: '1.1', methods: {
 *     read: method({ since: '1.0', idempotent: true, args: { zone: string() }, result: datetime() }),
 *   } });
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Field, Fields, ValuesOf } from '@gatehouse/objects/fields';
import { recordCodec, wireName } from '@gatehouse/objects/record-codec';
import type { RecordCodec } from '@gatehouse/objects/record-codec';
import { isVersion, versionIsCompatible } from './version.ts';

/** call: one server answers. cast: one server does it, no answer. fanout: every server does it, no answer. */
export type MethodKind = 'call' | 'cast' | 'fanout';

export interface MethodOptions<F extends Fields, R> {
  /** The first version of the contract with this method; what a request for it asks for. */
  readonly since: string;
  readonly kind?: MethodKind;
  readonly args?: F;
  /** Absent: the method answers null. */
  readonly result?: Field<R>;
  /** May run twice without harm: retried when a server is lost, and run again when a broker delivers it again. */
  readonly idempotent?: boolean;
}

export interface Method<A, R> {
  readonly since: string;
  readonly kind: MethodKind;
  readonly args: RecordCodec<A>;
  readonly result: Pick<Field<R>, 'fromWire' | 'toWire'> | null;
  readonly idempotent: boolean;
}

/** A method whose types do not matter where it is used. */
export type AnyMethod = Pick<Method<unknown, unknown>, 'since' | 'kind' | 'idempotent'> & {
  readonly args: Pick<RecordCodec<unknown>, 'fromWire' | 'wireNames'> & { toWire(values: never, path: string): ReturnType<RecordCodec<unknown>['toWire']> };
  readonly result: { fromWire(value: unknown, path: string): unknown; toWire(value: never, path: string): ReturnType<Field<unknown>['toWire']> } | null;
};

export type Methods = Readonly<Record<string, AnyMethod>>;

export interface Contract<M extends Methods = Methods> {
  readonly topic: string;
  /** A server of this contract answers every minor version of its major. */
  readonly version: string;
  readonly namespace: string | null;
  readonly methods: M;
}

export type ArgsOf<M> = M extends { readonly args: RecordCodec<infer A> } ? A : never;
export type ResultOf<M> = M extends Method<infer _A, infer R> ? R : never;

export function method<const F extends Fields = Record<never, never>, R = void>(options: MethodOptions<F, R>): Method<ValuesOf<F>, R> {
  if (!isVersion(options.since)) throw new ServiceError('INVALID_ARGUMENT', `since: expected a version like 1.0, got ${options.since}`);
  return {
    since: options.since,
    kind: options.kind ?? 'call',
    args: recordCodec(options.args ?? ({} as F)),
    result: options.result ?? null,
    idempotent: options.idempotent ?? false,
  };
}

/** @throws ServiceError INVALID_ARGUMENT when a method is newer than the contract or the topic is no name */
export function defineContract<const M extends Methods>(parts: {
  readonly topic: string;
  readonly version: string;
  readonly namespace?: string;
  readonly methods: M;
}): Contract<M> {
  const { topic, version, namespace = null, methods } = parts;
  if (!/^[a-z][a-z0-9_-]{0,63}$/.test(topic)) {
    throw new ServiceError('INVALID_ARGUMENT', `topic: expected lower-case letters, digits, - and _, got ${topic}`);
  }
  for (const [name, { since }] of Object.entries(methods)) {
    if (versionIsCompatible(version, since)) continue;
    throw new ServiceError('INVALID_ARGUMENT', `${topic}.${name}: since ${since} does not fit the contract's version ${version}`);
  }
  return Object.freeze({ topic, version, namespace, methods });
}

/** A contract's methods by their names on the wire (snake_case). */
export function methodsByWireName(contract: Contract): ReadonlyMap<string, { readonly name: string; readonly method: AnyMethod }> {
  return new Map(Object.entries(contract.methods).map(([name, each]) => [wireName(name), { name, method: each }]));
}

/**
 * A contract is a value that names a service's RPC methods in fields and objects. It types the client and the
 * server, and it holds the codecs of both, so neither knows the wire.
 *
 *   const clock = defineContract({
 *     topic: 'clock',
 *     version: '1.1',
 *     objects: { '1.0': { Alarm: '1.0' }, '1.1': { Alarm: '1.1' } },
 *     methods: {
 *       read: method({ since: '1.0', idempotent: true, args: { zone: string() }, result: datetime() }),
 *       wake: method({ since: '1.1', args: { alarm: object(Alarm) } }),
 *     },
 *   });
 *
 * Each minor version that was released is a level that peers may still speak (level.ts); what a contract says of it
 * never changes again.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Field, Fields, InputOf, JsonObject, JsonValue, ValuesOf } from '@gatehouse/objects/field';
import type { Manifest } from '@gatehouse/objects/object-version';
import { recordCodec, wireName } from '@gatehouse/objects/record-codec';
import type { RecordCodec } from '@gatehouse/objects/record-codec';
import { parseLevel } from './level.ts';
import { isVersion, versionIsCompatible } from './version.ts';

/** call: one server answers. cast: one server does it, no answer. fanout: every server does it, no answer. */
export type MethodKind = 'call' | 'cast' | 'fanout';

export interface MethodOptions<F extends Fields, R> {
  /** The first version of the contract with this method; what a request for it asks for. */
  readonly since: string;
  readonly kind?: MethodKind;
  /** An argument that came later is marked `since('1.2', field, meaning)` with the contract's version. */
  readonly args?: F;
  /** Absent: the method answers null. */
  readonly result?: Field<R>;
  /** May run twice without harm: retried when a server is lost, and run again when a broker delivers it again. */
  readonly idempotent?: boolean;
}

/** `A`: what a handler gets. `I`: what a caller gives, where arguments with a default may be absent. */
export interface Method<A, R, I = A> {
  readonly since: string;
  readonly kind: MethodKind;
  readonly args: Omit<RecordCodec<A>, 'toWire'> & { toWire(values: I, ...rest: Rest<RecordCodec<A>['toWire']>): JsonObject };
  readonly result: Pick<Field<R>, 'fromWire' | 'toWire'> | null;
  readonly idempotent: boolean;
  /** Names on the wire of the arguments that came later than the method, and when they did. */
  readonly laterArgs: readonly LaterArg[];
  /** What it is made of, for whoever compares or describes contracts. */
  readonly fields: { readonly args: Fields; readonly result: Field<R> | null };
  /** The objects in arguments and result, nested ones too, in the versions that this process knows. */
  readonly manifest: Manifest;
}

export interface LaterArg {
  readonly wire: string;
  readonly since: string;
}

/** A method whose types do not matter where it is used. */
export type AnyMethod = Omit<Method<unknown, unknown>, 'args' | 'result' | 'fields'> & {
  readonly fields: { readonly args: Fields; readonly result: Fields[string] | null };
  readonly args: Omit<RecordCodec<unknown>, 'toWire'> & { toWire(values: never, ...rest: Rest<RecordCodec<unknown>['toWire']>): JsonObject };
  readonly result: { fromWire(value: unknown, path: string): unknown; toWire(value: never, ...rest: Rest<Field<unknown>['toWire']>): JsonValue } | null;
};
type Rest<F> = F extends (first: never, ...rest: infer R) => unknown ? R : never;

export type Methods = Readonly<Record<string, AnyMethod>>;

export interface Contract<M extends Methods = Methods> {
  readonly topic: string;
  /** A server of this contract answers every minor version of its major. */
  readonly version: string;
  readonly namespace: string | null;
  /** Of each level the objects that came or changed with it, in the versions that its peers read. */
  readonly objects: Readonly<Record<string, Manifest>>;
  readonly methods: M;
}

export type ArgsOf<M> = M extends { readonly args: { fromWire(...rest: never): infer A } } ? A : never;
export type InputArgsOf<M> = M extends { readonly args: { toWire(values: infer I, ...rest: never): unknown } } ? I : never;
export type ResultOf<M> = M extends { readonly result: { fromWire(...rest: never): infer R } | null } ? R : void;

export function method<const F extends Fields = Record<never, never>, R = void>(options: MethodOptions<F, R>): Method<ValuesOf<F>, R, InputOf<F>> {
  if (!isVersion(options.since)) throw new ServiceError('INVALID_ARGUMENT', `since: expected a version like 1.0, got ${options.since}`);
  const args = options.args ?? ({} as F);
  const result = options.result ?? null;
  return {
    since: options.since,
    kind: options.kind ?? 'call',
    args: recordCodec(args) as unknown as Method<ValuesOf<F>, R, InputOf<F>>['args'],
    result,
    idempotent: options.idempotent ?? false,
    fields: { args, result },
    laterArgs: Object.entries(args).flatMap(([name, field]) => (field.since ? [{ wire: wireName(name), since: field.since.version }] : [])),
    manifest: Object.freeze(Object.assign({}, ...[...Object.values(args), result].map((field) => field?.nested?.manifest)) as Manifest),
  };
}

/** @throws ServiceError INVALID_ARGUMENT when a method, an argument or a level is newer than the contract, or the topic is no name */
export function defineContract<const M extends Methods>(parts: {
  readonly topic: string;
  readonly version: string;
  readonly namespace?: string;
  readonly objects?: Readonly<Record<string, Manifest>>;
  readonly methods: M;
}): Contract<M> {
  const { topic, version, namespace = null, objects = {}, methods } = parts;
  if (!/^[a-z][a-z0-9_-]{0,63}$/.test(topic)) {
    throw new ServiceError('INVALID_ARGUMENT', `topic: expected lower-case letters, digits, - and _, got ${topic}`);
  }
  const mustFit = (what: string, since: string): void => {
    if (parseLevel(since) !== null && versionIsCompatible(version, since)) return;
    throw new ServiceError('INVALID_ARGUMENT', `${topic}.${what}: since ${since} does not fit the contract's version ${version}`);
  };
  for (const [name, { since, laterArgs }] of Object.entries(methods)) {
    mustFit(name, since);
    for (const each of laterArgs) mustFit(`${name}.${each.wire}`, each.since);
  }
  for (const level of Object.keys(objects)) mustFit('objects', level);
  return Object.freeze({ topic, version, namespace, objects, methods });
}

/** Methods by their names on the wire (snake_case). */
export function methodsByWireName(methods: Methods): ReadonlyMap<string, { readonly name: string; readonly method: AnyMethod }> {
  return new Map(Object.entries(methods).map(([name, each]) => [wireName(name), { name, method: each }]));
}

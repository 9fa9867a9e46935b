/**
 * What one server answers: contracts with their handlers, tried in order as oslo.messaging tries its endpoints. The
 * first whose namespace and major version fit and that has the method takes the request. Every contract's server
 * answers the methods of backport-server.ts as well.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import { backportHandlers, backportMethods } from './backport-server.ts';
import type { RequestContext } from './context.ts';
import { methodsByWireName } from './contract.ts';
import type { AnyMethod, ArgsOf, Contract, Methods, ResultOf } from './contract.ts';
import { Levels } from './level.ts';
import type { RequestMessage } from './transport.ts';
import { versionIsCompatible } from './version.ts';

export type Handler<M> = (args: ArgsOf<M>, context: RequestContext) => Promise<ResultOf<M>> | ResultOf<M>;
export type Handlers<C> = C extends Contract<infer M> ? { readonly [K in keyof M]: Handler<M[K]> } : never;

type AnyHandler = (args: unknown, context: RequestContext) => unknown;

export interface Route {
  readonly levels: Levels;
  readonly method: AnyMethod;
  readonly handler: AnyHandler;
  /** For refusals: `consoleauth.connect`. */
  readonly title: string;
}

export interface Endpoint {
  readonly contract: Contract;
  /** By the methods' names on the wire. */
  readonly routes: ReadonlyMap<string, Route>;
}

/** A contract with its handlers; a method without one is refused as unknown. */
export function endpoint<M extends Methods>(contract: Contract<M>, handlers: Handlers<Contract<M>>): Endpoint {
  const byName = { ...backportHandlers, ...handlers } as unknown as Readonly<Record<string, AnyHandler | undefined>>;
  const levels = new Levels(contract);
  const routes = new Map<string, Route>();
  for (const [wire, { name, method }] of methodsByWireName({ ...backportMethods, ...contract.methods })) {
    const handler = byName[name];
    if (handler !== undefined) routes.set(wire, { levels, method, handler, title: `${contract.topic}.${wire}` });
  }
  return { contract, routes };
}

/** @throws ServiceError UNIMPLEMENTED, as oslo's UnsupportedVersion or NoSuchMethod */
export function findRoute(endpoints: readonly Endpoint[], { method, namespace, version }: RequestMessage): Route {
  // oslo takes an absent version for 1.0.
  const requested = version ?? '1.0';
  let fits = false;
  for (const { contract, routes } of endpoints) {
    if (namespace !== contract.namespace || !versionIsCompatible(contract.version, requested)) continue;
    fits = true;
    const route = routes.get(method);
    if (route !== undefined) return route;
  }
  if (fits) throw new ServiceError('UNIMPLEMENTED', `Endpoint does not support RPC method ${method}`, { details: { oslo: 'NoSuchMethod' } });
  const supported = endpoints.map(({ contract }) => contract.version).join(', ');
  const words = `Endpoint does not support RPC version ${requested}. Attempted method: ${method}`;
  throw new ServiceError('UNIMPLEMENTED', words, { details: { oslo: 'UnsupportedVersion', supported } });
}

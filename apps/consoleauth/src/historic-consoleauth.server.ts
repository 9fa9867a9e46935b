/** The RPC edge for Nova's own services: what they knew consoleauth by, beside our contract on the same topic. */
import { consoleauth1, consoleauth2 } from '@gatehouse/contracts/historic-consoleauth';
import { endpoint } from '@gatehouse/rpc/endpoint';
import type { Endpoint } from '@gatehouse/rpc/endpoint';
import type { HistoricTokens } from './historic-tokens.ts';

export function historicEndpoints(tokens: HistoricTokens): readonly Endpoint[] {
  const rest = {
    checkToken: ({ token }: { readonly token: string }) => tokens.check(token),
    deleteTokensForInstance: ({ instanceUuid }: { readonly instanceUuid: string }) => tokens.deleteForInstance(instanceUuid),
  };
  return [
    endpoint(consoleauth2, { ...rest, authorizeConsole: (args, context) => tokens.authorize(args, context) }),
    endpoint(consoleauth1, { ...rest, authorizeConsole: (args, context) => tokens.authorize(args, context) }),
  ];
}

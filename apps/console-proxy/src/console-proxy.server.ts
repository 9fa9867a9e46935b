/** The RPC edge of a console proxy. */
import type { consoleProxy } from '@gatehouse/contracts/console-proxy';
import type { Handlers } from '@gatehouse/rpc/server';
import type { ConsoleProxy } from './console-proxy.ts';

export function consoleProxyHandlers(proxy: ConsoleProxy): Handlers<typeof consoleProxy> {
  return { endSessions: ({ sessions }) => proxy.endSessions(sessions) };
}

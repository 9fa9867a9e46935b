/**
 * How a proxy speaks to consoleauth: at the level of the fleet, except that clients are let in at the newest. The fleet's
 * level is known a minute after the start only, and just then, when a proxy was started again, its clients come back with
 * grants that the older levels do not know. `connect` carries no object, so an older consoleauth understands it or
 * says UNIMPLEMENTED, and is asked again as it is used to (console-proxy.ts).
 */
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { AUTO, type FleetPins } from '@gatehouse/contracts/fleet-pins';
import { createClient, type Client } from '@gatehouse/rpc/client';
import type { Transport } from '@gatehouse/rpc/transport';

/** `level`: as GATEHOUSE_RPC_PIN_CONSOLEAUTH says; one that is named counts for every request. */
export function authClient(transport: Transport, pins: FleetPins, level: string): Client<typeof consoleauth> {
  const pinned = createClient(consoleauth, transport, { pin: pins.of(consoleauth) });
  return level === AUTO ? { ...pinned, connect: createClient(consoleauth, transport).connect } : pinned;
}

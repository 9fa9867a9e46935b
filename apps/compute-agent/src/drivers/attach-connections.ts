/** The consoles of a guest that has one screen and some serial ports, as connections: through the agent's stream, or by TCP. */
import { ConsoleConnection } from '@gatehouse/objects/console-connection';
import type { ConsoleType } from './driver.ts';

export interface GuestPorts {
  readonly host: string;
  readonly instanceUuid: string;
  readonly serialPorts: number;
  /** Whether its screen is served by SPICE too. */
  readonly spice?: boolean;
}

export interface TcpConsole {
  readonly host: string;
  readonly instanceUuid: string;
  /** Where proxies dial it. */
  readonly address: string;
  readonly port: number;
}

export function tcpConnection({ host, instanceUuid, address, port }: TcpConsole, consoleType: ConsoleType): ConsoleConnection {
  return ConsoleConnection.make({
    ...{ instanceUuid, host, port, consoleType },
    ...{ tokenHash: null, accessUrl: null, expires: null },
    options: { transport: 'tcp', address },
  });
}

/** Of that type, by ascending port; empty where the guest has none. */
export function attachConnections({ host, instanceUuid, serialPorts, spice = false }: GuestPorts, consoleType: ConsoleType): ConsoleConnection[] {
  return Array.from({ length: portCount(serialPorts, consoleType, spice) }, (_, port) =>
    ConsoleConnection.make({
      ...{ instanceUuid, host, port, consoleType },
      ...{ tokenHash: null, accessUrl: null, expires: null },
      options: { transport: 'attach' },
    }),
  );
}

export function portCount(serialPorts: number, consoleType: ConsoleType, spice = false): number {
  if (consoleType === 'serial') return serialPorts;
  if (consoleType === 'spice-html5') return spice ? 1 : 0;
  return consoleType === 'novnc' ? 1 : 0;
}

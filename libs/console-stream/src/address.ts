/** `host:port` as both ends read it. IPv6 in brackets: `[::1]:9000`. */
import { isIP } from 'node:net';
import { ServiceError } from '@gatehouse/errors/service-error';

export interface Address {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Throws ServiceError INVALID_ARGUMENT. */
export function parseAddress(text: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65535) {
    throw new ServiceError('INVALID_ARGUMENT', `'${text.slice(0, 100)}' is no address; expected host:port, such as 127.0.0.1:9000 or [::1]:9000`);
  }
  return { host: match[1] ?? match[2]!, port };
}

export function formatAddress({ host, port }: Address): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether only this machine's own processes can be at the other side. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

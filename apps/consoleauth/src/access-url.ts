/** Where a user opens a console: the proxy's page for its type, with the token in the fragment, which no server sees. */
import type { ConsoleType } from '@gatehouse/objects/console-connection';
import { ServiceError } from '@gatehouse/errors/service-error';

const PAGES: Partial<Record<ConsoleType, string>> = {
  novnc: 'vnc',
  serial: 'serial',
};

/** @throws ServiceError FAILED_PRECONDITION for a console type that no page shows */
export function accessUrl(proxyBaseUrl: string, consoleType: ConsoleType, token: string): string {
  const page = PAGES[consoleType];
  if (page === undefined) {
    throw new ServiceError('FAILED_PRECONDITION', `console type ${consoleType} has no page; ${Object.keys(PAGES).join(' and ')} have`);
  }
  return `${proxyBaseUrl.replace(/\/+$/, '')}/${page}#token=${token}`;
}

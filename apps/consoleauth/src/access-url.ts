/** Where a user opens a console: the proxy's page for its type, with the token in the fragment, which no server sees. */
import type { ConsoleType } from '@gatehouse/objects/console-connection';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleAuthConfig } from './config.ts';

export type AccessUrlConfig = Pick<ConsoleAuthConfig, 'proxyBaseUrl'>;

const PAGES: Partial<Record<ConsoleType, string>> = {
  novnc: 'vnc',
  serial: 'serial',
};

/** The proxy as users reach it for this console type. */
export function accessUrlBase({ proxyBaseUrl }: AccessUrlConfig, _consoleType: ConsoleType): string {
  return proxyBaseUrl;
}

/** @throws ServiceError FAILED_PRECONDITION for a console type that no page shows */
export function accessUrl(config: AccessUrlConfig, consoleType: ConsoleType, token: string): string {
  const page = PAGES[consoleType];
  if (page === undefined) {
    throw new ServiceError('FAILED_PRECONDITION', `console type ${consoleType} has no page; ${Object.keys(PAGES).join(' and ')} have`);
  }
  return `${accessUrlBase(config, consoleType).replace(/\/+$/, '')}/${page}#token=${token}`;
}

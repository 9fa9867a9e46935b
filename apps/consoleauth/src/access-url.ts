/**
 * Where a user opens a console: a page of the proxy, or what an operator names for the type, with the token.
 *
 *   fragment   the token stands behind `#`, which no server, log or referrer sees (the default)
 *   nova       Nova's own shapes, for clients that expect them: `?path=%3Ftoken%3D...` for noVNC's page, which makes it
 *              the query of its WebSocket, and `?token=...` for all others
 *
 * A WebSocket's address (ws://) has no fragment (RFC 6455, 3): there the token stands in the query, whatever the style.
 */
import type { ConsoleType } from '@gatehouse/objects/console-connection';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleAuthConfig } from './config.ts';

export const URL_STYLES = ['fragment', 'nova'] as const;

export type AccessUrlConfig = Pick<ConsoleAuthConfig, 'proxyBaseUrl' | 'consoleUrlStyle' | 'vncBaseUrl' | 'serialBaseUrl' | 'spiceBaseUrl'>;

/** The proxy's own places; other types are opened elsewhere, where an operator says so. */
const PLACES: Partial<Record<ConsoleType, Readonly<Record<AccessUrlConfig['consoleUrlStyle'], string>>>> = {
  novnc: { fragment: 'vnc', nova: 'vnc_auto.html' },
  serial: { fragment: 'serial', nova: '' },
  'spice-html5': { fragment: 'spice', nova: 'spice_auto.html' },
};

/**
 * Where consoles of this type are opened, without a token.
 * @throws ServiceError FAILED_PRECONDITION for a console type that nothing shows
 */
export function accessUrlBase(config: AccessUrlConfig, consoleType: ConsoleType): string {
  const own = ownBaseUrl(config, consoleType);
  if (own !== null) return own;
  const place = PLACES[consoleType]?.[config.consoleUrlStyle];
  if (place === undefined) throw new ServiceError('FAILED_PRECONDITION', `console type ${consoleType} has no page here; ${Object.keys(PLACES).join(', ')} have`);
  const url = `${config.proxyBaseUrl.replace(/\/+$/, '')}/${place}`;
  // Nova's serial clients are no browsers: they dial.
  return config.consoleUrlStyle === 'nova' && consoleType === 'serial' ? url.replace(/^http/, 'ws') : url;
}

/** @throws ServiceError as accessUrlBase */
export function accessUrl(config: AccessUrlConfig, consoleType: ConsoleType, token: string): string {
  const url = new URL(accessUrlBase(config, consoleType));
  if (config.consoleUrlStyle === 'fragment' && !/^wss?:$/.test(url.protocol)) {
    url.hash = `token=${token}`;
  } else if (consoleType === 'novnc') {
    const path = url.searchParams.getAll('path').at(-1) ?? '';
    url.searchParams.set('path', `${path}${path.includes('?') ? '&' : '?'}token=${token}`);
  } else {
    url.searchParams.set('token', token);
  }
  return url.href;
}

function ownBaseUrl({ vncBaseUrl, serialBaseUrl, spiceBaseUrl }: AccessUrlConfig, consoleType: ConsoleType): string | null {
  if (consoleType === 'novnc') return vncBaseUrl;
  if (consoleType === 'serial') return serialBaseUrl;
  return consoleType === 'spice-html5' ? spiceBaseUrl : null;
}

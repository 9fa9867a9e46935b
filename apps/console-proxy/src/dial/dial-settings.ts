/** What an operator sets about the hosts that the proxy dials, checked as a whole when the proxy starts. */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Logger } from '@gatehouse/runtime/logger';
import { HostTls } from './host-tls.ts';
import type { VncScheme, VncSecurity } from './rfb-host.ts';

export interface DialConfig {
  readonly dialTls: 'off' | 'required';
  readonly dialTlsCa: string | null;
  readonly dialTlsCert: string | null;
  readonly dialTlsKey: string | null;
  readonly vncAuthSchemes: readonly VncScheme[] | null;
  readonly vncPasswordFile: string | null;
}

export interface DialMeans {
  /** Serial and SPICE consoles are dialled with TLS; VNC has VeNCrypt for that. */
  readonly tlsRequired: boolean;
  /** Null where no authority is set: then nothing is dialled with TLS. */
  readonly tls: HostTls | null;
  readonly vnc: VncSecurity;
}

/** @throws ServiceError INVALID_ARGUMENT, naming the settings that do not go together or the file that cannot be used */
export function readDialMeans(config: DialConfig, log: Logger): DialMeans {
  const { dialTlsCa, dialTlsCert, dialTlsKey, vncPasswordFile } = config;
  const tlsRequired = config.dialTls === 'required';
  const schemes = config.vncAuthSchemes ?? [tlsRequired ? 'vencrypt' : 'none'];
  if (tlsRequired && schemes.some((scheme) => scheme !== 'vencrypt')) {
    throw wrong(`GATEHOUSE_VNC_AUTH_SCHEMES is ${schemes.join(',')}, and with GATEHOUSE_DIAL_TLS=required only vencrypt is TLS: set vencrypt`);
  }
  if (dialTlsCa === null && (tlsRequired || schemes.includes('vencrypt') || dialTlsCert !== null)) {
    throw wrong('GATEHOUSE_DIAL_TLS_CA is not set: TLS to console hosts takes the PEM file of who signs their certificates');
  }
  if ((dialTlsCert === null) !== (dialTlsKey === null)) {
    throw wrong('GATEHOUSE_DIAL_TLS_CERT and GATEHOUSE_DIAL_TLS_KEY belong together: set both or none');
  }
  if (schemes.includes('vnc') && vncPasswordFile === null) {
    throw wrong('GATEHOUSE_VNC_PASSWORD_FILE is not set: the scheme vnc of GATEHOUSE_VNC_AUTH_SCHEMES takes a password');
  }
  const own = dialTlsCert === null || dialTlsKey === null ? null : { certificate: dialTlsCert, key: dialTlsKey };
  const tls = dialTlsCa === null ? null : new HostTls({ authority: dialTlsCa, own }, log);
  return { tlsRequired, tls, vnc: { schemes, tls, passwordFile: vncPasswordFile } };
}

const wrong = (message: string): ServiceError => new ServiceError('INVALID_ARGUMENT', message);

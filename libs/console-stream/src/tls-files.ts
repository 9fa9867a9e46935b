/** The certificate, key and authority of one end of the console stream, read from where its configuration says. */
import { readFileSync } from 'node:fs';
import { ServiceError } from '@gatehouse/errors/service-error';

export interface TlsFiles {
  readonly certificate: Buffer;
  readonly key: Buffer;
  /** Those who may sign the other side's certificate; given, the other side must show one. */
  readonly authority?: Buffer;
}

/** Paths of PEM files; null where they are not set. */
export interface TlsPaths {
  readonly streamTlsCert: string | null;
  readonly streamTlsKey: string | null;
  readonly streamTlsCa: string | null;
}

/**
 * All three, or none: then undefined, and the stream stays on loopback. Both ends show a certificate, so that no
 * proxy takes another process for the host, and no host another process for a proxy.
 *
 * @throws ServiceError INVALID_ARGUMENT when only some are set or one cannot be read; it names the setting
 */
export function readTlsFiles({ streamTlsCert, streamTlsKey, streamTlsCa }: TlsPaths): TlsFiles | undefined {
  if (streamTlsCert === null && streamTlsKey === null && streamTlsCa === null) return undefined;
  return {
    certificate: readPem('GATEHOUSE_STREAM_TLS_CERT', streamTlsCert),
    key: readPem('GATEHOUSE_STREAM_TLS_KEY', streamTlsKey),
    authority: readPem('GATEHOUSE_STREAM_TLS_CA', streamTlsCa),
  };
}

function readPem(setting: string, path: string | null): Buffer {
  if (path === null) {
    throw new ServiceError('INVALID_ARGUMENT', `${setting} is not set: TLS between proxies and agents takes all of GATEHOUSE_STREAM_TLS_CERT, _KEY and _CA`);
  }
  try {
    const content = readFileSync(path);
    if (content.includes('-----BEGIN ')) return content;
  } catch (cause) {
    const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unreadable';
    throw new ServiceError('INVALID_ARGUMENT', `${setting} names ${path}, which cannot be read (${reason}): set the path of a PEM file`, { cause });
  }
  throw new ServiceError('INVALID_ARGUMENT', `${setting} names ${path}, which is no PEM file: set the path of one`);
}

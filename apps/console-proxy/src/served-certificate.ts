/**
 * The certificate that browsers are shown, read again when its files change: a new pair serves new connections, and those
 * that are open go on. A pair that cannot be served is told once, and the old one stays. Files are looked at by their
 * place and time, again and again: watching them would miss the links that certbot and Kubernetes turn.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Logger } from '@gatehouse/runtime/logger';

/** Nova's words for [console] ssl_minimum_version. */
export const TLS_VERSIONS = ['default', 'tlsv1_1', 'tlsv1_2', 'tlsv1_3'] as const;

export interface CertificateSettings {
  /** The path of a PEM file with the certificate, and behind it those that signed it. */
  readonly proxyTlsCert: string | null;
  /** The path of its key's PEM file; null: it stands in the certificate's, as Nova has it. */
  readonly proxyTlsKey: string | null;
  readonly proxyTlsMinVersion: (typeof TLS_VERSIONS)[number];
  /** An OpenSSL cipher list; null: node's own. */
  readonly proxyTlsCiphers: string | null;
}

const MIN_VERSIONS = { default: 'TLSv1.2', tlsv1_1: 'TLSv1.1', tlsv1_2: 'TLSv1.2', tlsv1_3: 'TLSv1.3' } as const;

interface Served {
  readonly options: SecureContextOptions;
  readonly expires: Date;
}

export class ServedCertificate {
  readonly #settings: CertificateSettings;
  readonly #log: Logger;
  #served: Served;
  /** Of the files as they were last judged; unknown at first, so that the first look reads them once more. */
  #stamp: string | null = null;
  #isGood = true;
  #isTold = false;

  private constructor(settings: CertificateSettings, log: Logger) {
    this.#settings = settings;
    this.#log = log;
    this.#served = load(settings);
  }

  /** null when no certificate is set. @throws ServiceError INVALID_ARGUMENT naming the setting whose file cannot be served */
  static read(settings: CertificateSettings, log: Logger): ServedCertificate | null {
    if (settings.proxyTlsCert !== null) return new ServedCertificate(settings, log);
    if (settings.proxyTlsKey === null) return null;
    throw new ServiceError('INVALID_ARGUMENT', 'GATEHOUSE_PROXY_TLS_KEY is set without GATEHOUSE_PROXY_TLS_CERT: set both, or none');
  }

  get options(): SecureContextOptions {
    return this.#served.options;
  }

  /** When it will be good no more. */
  get expires(): Date {
    return this.#served.expires;
  }

  /**
   * Answers what to serve from now on when the files have changed, else null; never rejects. Whoever replaces two files
   * replaces one first: a broken pair is told only when it is found so a second time, or was asked for.
   */
  async refresh({ isAsked = false }: { readonly isAsked?: boolean } = {}): Promise<SecureContextOptions | null> {
    const stamp = await this.#look();
    const isSeen = stamp === this.#stamp;
    if (isSeen && (this.#isGood || this.#isTold) && !isAsked) return null;
    this.#stamp = stamp;
    try {
      const served = load(this.#settings);
      const isNew = !this.#isGood || String(served.options.cert) !== String(this.#served.options.cert) || String(served.options.key) !== String(this.#served.options.key);
      this.#isGood = true;
      this.#isTold = false;
      if (!isNew) return null;
      this.#served = served;
      this.#log.info({ expires: served.expires.toISOString() }, 'the TLS certificate was read again and is served');
      return served.options;
    } catch (error) {
      this.#isTold = isSeen || isAsked;
      if (this.#isTold) this.#log.error({ err: error }, 'the new TLS certificate cannot be served; the one before stays');
      this.#isGood = false;
      return null;
    }
  }

  async #look(): Promise<string> {
    const { proxyTlsCert, proxyTlsKey } = this.#settings;
    const paths = [proxyTlsCert, proxyTlsKey].filter((path) => path !== null);
    const stamps = paths.map((path) => stat(path).then(({ ino, size, mtimeMs }) => `${ino} ${size} ${mtimeMs}`, (error: NodeJS.ErrnoException) => String(error.code)));
    return (await Promise.all(stamps)).join();
  }
}

function load({ proxyTlsCert, proxyTlsKey, proxyTlsMinVersion, proxyTlsCiphers }: CertificateSettings): Served {
  const cert = readPem('GATEHOUSE_PROXY_TLS_CERT', proxyTlsCert ?? '');
  const key = proxyTlsKey === null ? cert : readPem('GATEHOUSE_PROXY_TLS_KEY', proxyTlsKey);
  const ciphers = proxyTlsCiphers === null ? {} : { ciphers: proxyTlsCiphers };
  const options: SecureContextOptions = { cert, key, minVersion: MIN_VERSIONS[proxyTlsMinVersion], honorCipherOrder: true, ...ciphers };
  use('GATEHOUSE_PROXY_TLS_CIPHERS', `is no list of ciphers that OpenSSL has: set one, such as ECDHE+AESGCM:ECDHE+CHACHA20`, () => createSecureContext(ciphers));
  const where = proxyTlsKey === null ? `${proxyTlsCert}, with no GATEHOUSE_PROXY_TLS_KEY beside it,` : proxyTlsKey;
  use('GATEHOUSE_PROXY_TLS_CERT', `names ${proxyTlsCert}, in which no certificate can be read: set the path of a PEM file`, () => new X509Certificate(cert));
  const setting = proxyTlsKey === null ? 'GATEHOUSE_PROXY_TLS_CERT' : 'GATEHOUSE_PROXY_TLS_KEY';
  use(setting, `names ${where} which does not hold the key of that certificate, or holds it locked: set the path of its PEM file`, () => createSecureContext(options));
  return { options, expires: new Date(new X509Certificate(cert).validTo) };
}

function readPem(setting: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unreadable';
    throw new ServiceError('INVALID_ARGUMENT', `${setting} names ${path}, which cannot be read (${reason}): set the path of a PEM file`, { cause });
  }
}

/** OpenSSL says what it disliked in a code, and never what was in the file. */
function use(setting: string, problem: string, work: () => unknown): void {
  try {
    work();
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : '';
    throw new ServiceError('INVALID_ARGUMENT', `${setting} ${problem}${code}`);
  }
}

/**
 * TLS towards the hosts: who they are is verified, against one authority of our own and against the names by which we know
 * the host; who we are is shown where a certificate is set. The files are looked at again for each console, so that
 * a renewed certificate counts without a restart; what cannot be used is logged, and what was there before stays.
 */
import { readFileSync, statSync } from 'node:fs';
import { isIP, type Socket } from 'node:net';
import { checkServerIdentity, connect, createSecureContext, type PeerCertificate, type SecureContext, type TLSSocket } from 'node:tls';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Logger } from '@gatehouse/runtime/logger';
import { firstSign } from './handshake-bytes.ts';
import { hostRefusal, WORDS } from './host-refusal.ts';

/** Paths of PEM files. */
export interface HostTlsPaths {
  /** Who may sign the hosts' certificates; nobody else does. */
  readonly authority: string;
  /** What this proxy shows to hosts that ask. */
  readonly own: { readonly certificate: string; readonly key: string } | null;
}

/** In TLS 1.3 a host judges our certificate after our side of the handshake is over: so long its refusal may take to arrive. */
const LATE_REFUSAL_MS = 200;

export class HostTls {
  readonly #paths: HostTlsPaths;
  readonly #log: Logger;
  #stamp: string;
  #context: SecureContext;

  /** @throws ServiceError INVALID_ARGUMENT when a file cannot be used; it names the file */
  constructor(paths: HostTlsPaths, log: Logger) {
    this.#paths = paths;
    this.#log = log;
    this.#stamp = this.#stampNow();
    this.#context = this.#load();
  }

  /**
   * TLS over a connected socket to the host of these names, any of which its certificate may be for.
   *
   * @throws ServiceError UNAVAILABLE; its cause says which certificate, whose signature, which names
   */
  async secure(socket: Socket, names: readonly string[]): Promise<TLSSocket> {
    const servername = names.find((name) => isIP(name) === 0) ?? '';
    const verifyName = (_name: string, certificate: PeerCertificate): Error | undefined => namesNone(certificate, names);
    // Verified all the same, below: there the certificate that was wrong can still be described.
    const options = { rejectUnauthorized: false, checkServerIdentity: verifyName };
    const tls = connect({ socket, secureContext: this.#current(), servername, minVersion: 'TLSv1.2', ...options });
    await established(tls, this.#paths.own !== null);
    if (!tls.authorized) {
      const refusal = this.#wrongCertificate(tls);
      tls.destroy();
      throw refusal;
    }
    return tls;
  }

  /** As `secure`, for protocols in which the host speaks when it likes: resolves when it has had time to refuse us. */
  async secureAndSettle(socket: Socket, names: readonly string[]): Promise<TLSSocket> {
    const tls = await this.secure(socket, names);
    const sign = await firstSign(tls, ['readable', 'session', 'error', 'close'], LATE_REFUSAL_MS);
    // Something to read, and nothing there: that is how an end is told.
    const isOver = sign === 'error' || sign === 'close' || (sign === 'readable' && tls.readableLength === 0);
    if (isOver) throw this.refusedAfter(tls, 'it closed the connection right after TLS');
    // 'session' comes from the middle of a read: what is written there is never sent.
    await nextTurn();
    return tls;
  }

  /** What it means that a host closes right after TLS: `detail` says where we were. */
  refusedAfter(tls: TLSSocket, detail: string): ServiceError {
    const failure = failures.get(tls);
    return hostRefusal(WORDS.stranger, `${detail}${failure === undefined ? '' : ` (${clean(failure.message)})`}${showing(this.#paths.own !== null)}`);
  }

  #wrongCertificate(tls: TLSSocket): ServiceError {
    const { subject, issuer, subjectaltname, valid_to: validTo, fingerprint256 } = tls.getPeerCertificate();
    const shown = `the certificate of ${nameOf(subject)} (issuer ${nameOf(issuer)}, names ${clean(subjectaltname ?? 'none')}, valid to ${clean(validTo)}, SHA-256 ${fingerprint256})`;
    return hostRefusal(WORDS.identity, `${shown} is refused: ${clean(String(tls.authorizationError))}; trusted is ${this.#paths.authority}`);
  }

  #current(): SecureContext {
    const stamp = this.#stampNow();
    if (stamp === this.#stamp) return this.#context;
    this.#stamp = stamp;
    try {
      this.#context = this.#load();
      this.#log.info('the certificates for console hosts were read again');
    } catch (error) {
      this.#log.error({ err: error }, 'the changed certificates for console hosts cannot be used; those from before stay');
    }
    return this.#context;
  }

  #stampNow(): string {
    const { authority, own } = this.#paths;
    return [authority, ...(own === null ? [] : [own.certificate, own.key])].map(stampOf).join(' ');
  }

  #load(): SecureContext {
    const { authority, own } = this.#paths;
    const shown = own === null ? {} : { cert: readPem('GATEHOUSE_DIAL_TLS_CERT', own.certificate), key: readPem('GATEHOUSE_DIAL_TLS_KEY', own.key) };
    const ca = readPem('GATEHOUSE_DIAL_TLS_CA', authority);
    try {
      return createSecureContext({ ca, ...shown, minVersion: 'TLSv1.2' });
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : 'unusable';
      throw new ServiceError('INVALID_ARGUMENT', `the files of GATEHOUSE_DIAL_TLS_CA, _CERT and _KEY cannot be used (${reason}): set PEM files, the key that of the certificate`, { cause });
    }
  }
}

/** A TLS socket tells its error once, and may look as if it had had none. */
const failures = new WeakMap<TLSSocket, Error>();

function established(tls: TLSSocket, shows: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    // Stays, as on the socket below: an error between two steps is found where the next one reads.
    tls.on('error', (error) => {
      failures.set(tls, error);
      reject(tlsRefusal(error, shows));
    });
    tls.once('close', () => reject(hostRefusal(WORDS.insecure, `the connection was closed during the TLS handshake${showing(shows)}`)));
    tls.once('secureConnect', () => resolve());
  });
}

/** What a TLS failure says about who refused whom. */
function tlsRefusal(error: Error, shows: boolean): ServiceError {
  const code = 'code' in error ? String(error.code) : '';
  const isOfOurs = /ALERT_(CERTIFICATE|BAD_CERTIFICATE|UNKNOWN_CA|UNSUPPORTED_CERTIFICATE|ACCESS_DENIED|HANDSHAKE_FAILURE)/.test(code);
  return hostRefusal(isOfOurs ? WORDS.stranger : WORDS.insecure, `TLS failed: ${clean(error.message)}${isOfOurs ? showing(shows) : ''}`);
}

const showing = (shows: boolean): string =>
  shows ? ': it may not trust the certificate of GATEHOUSE_DIAL_TLS_CERT' : ': it may ask for a client certificate, and GATEHOUSE_DIAL_TLS_CERT is not set';

/** An error unless the certificate's alternative names hold one of ours; a common name alone counts for nothing (RFC 9525). */
function namesNone(certificate: PeerCertificate, names: readonly string[]): Error | undefined {
  const isNamed = certificate.subjectaltname !== undefined && names.some((name) => checkServerIdentity(name, certificate) === undefined);
  return isNamed ? undefined : new Error(`it is not for ${names.join(' or ')}`);
}

function readPem(setting: string, path: string): Buffer {
  try {
    const content = readFileSync(path);
    if (content.includes('-----BEGIN ')) return content;
  } catch (cause) {
    throw new ServiceError('INVALID_ARGUMENT', `${setting} names ${path}, which cannot be read: set the path of a PEM file`, { cause });
  }
  throw new ServiceError('INVALID_ARGUMENT', `${setting} names ${path}, which is no PEM file: set the path of one`);
}

function stampOf(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats === undefined ? 'none' : `${stats.ino}:${stats.size}:${stats.mtimeMs}`;
}

const nameOf = (name: PeerCertificate['subject'] | undefined): string => clean(String(name?.CN ?? 'nobody'));

/** A host's words in a log line: short, and plain. */
const clean = (words: string): string => words.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 200);

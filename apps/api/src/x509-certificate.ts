/** An X.509 certificate as a key pair of type x509: one PEM block, kept as it came. */
import { X509Certificate } from 'node:crypto';
import { ServiceError } from '@gatehouse/errors/service-error';
import { rsaWeakness } from './ssh-public-key.ts';

const PEM_CHARS_MAX = 65_536;
const ONE_PEM = /^\s*-----BEGIN CERTIFICATE-----\r?\n[A-Za-z0-9+/=\r\n]+-----END CERTIFICATE-----\s*$/;

export interface X509Key {
  /** SHA-1 of the certificate's DER form, 20 lower-case hex pairs with colons: the form Nova stores and shows. */
  readonly fingerprint: string;
  /** SHA-256 in the same form. */
  readonly fingerprintSha256: string;
  /** Why its key should not be trusted any more, or null. */
  readonly weakness: string | null;
}

/** Throws INVALID_ARGUMENT, in Nova's words and with the reason, unless the text is exactly one readable PEM certificate. */
export function parseX509(text: string): X509Key {
  if (text.length > PEM_CHARS_MAX) throw invalid(`a certificate has at most ${PEM_CHARS_MAX} characters`);
  if (text.includes('PRIVATE KEY-----')) throw invalid('a private key is in the text, which should never leave its machine: send the certificate alone');
  if (!ONE_PEM.test(text)) throw invalid('one PEM block, BEGIN CERTIFICATE to END CERTIFICATE, is accepted');
  const certificate = readCertificate(text);
  return {
    fingerprint: certificate.fingerprint.toLowerCase(),
    fingerprintSha256: certificate.fingerprint256.toLowerCase(),
    weakness: weaknessOf(certificate),
  };
}

function readCertificate(text: string): X509Certificate {
  try {
    return new X509Certificate(text.trim());
  } catch (cause) {
    throw invalid('the certificate could not be read', cause);
  }
}

function weaknessOf(certificate: X509Certificate): string | null {
  try {
    const { asymmetricKeyType: type = '', asymmetricKeyDetails: details = {} } = certificate.publicKey;
    if (type === 'dsa') return 'DSA keys are no longer accepted; use RSA';
    return type === 'rsa' ? rsaWeakness(details.modulusLength ?? 0) : null;
  } catch (cause) {
    throw invalid('its key could not be read', cause);
  }
}

function invalid(reason: string, cause?: unknown): ServiceError {
  const message = `Keypair data is invalid: failed to generate X509 fingerprint. Error message: ${reason}`;
  return new ServiceError('INVALID_ARGUMENT', message, { cause });
}

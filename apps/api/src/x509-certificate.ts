/** An X.509 certificate as a key pair of type x509: one PEM block, kept as it came. */
import { X509Certificate } from 'node:crypto';
import { ServiceError } from '@gatehouse/errors/service-error';

const PEM_CHARS_MAX = 65_536;
const ONE_PEM = /^\s*-----BEGIN CERTIFICATE-----\r?\n[A-Za-z0-9+/=\r\n]+-----END CERTIFICATE-----\s*$/;

/**
 * The SHA-1 of the certificate's DER form, 20 lower-case hex pairs with colons, as Nova stores it.
 * Throws INVALID_ARGUMENT unless the text is exactly one readable PEM certificate.
 */
export function x509Fingerprint(text: string): string {
  if (text.length > PEM_CHARS_MAX) throw invalid(`a certificate has at most ${PEM_CHARS_MAX} characters`);
  if (!ONE_PEM.test(text)) throw invalid('one PEM block, BEGIN CERTIFICATE to END CERTIFICATE, is accepted');
  try {
    return new X509Certificate(text).fingerprint.toLowerCase();
  } catch (cause) {
    throw invalid('the certificate could not be read', cause);
  }
}

function invalid(reason: string, cause?: unknown): ServiceError {
  const message = `Keypair data is invalid: failed to generate X509 fingerprint. Error message: ${reason}`;
  return new ServiceError('INVALID_ARGUMENT', message, { cause });
}

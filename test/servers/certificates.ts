import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/** A certificate for an address, two days long, signed by itself and so its own authority; paths of PEM files in `folder`. */
export function makeCertificate(folder: string, name: string, address = '127.0.0.1'): CertificateFiles {
  const [key, certificate] = [join(folder, `${name}.key`), join(folder, `${name}.pem`)];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    '-subj', `/CN=${name}`, '-addext', `subjectAltName=IP:${address}`, '-keyout', key, '-out', certificate], { stdio: 'ignore' });
  return { certificate, key };
}

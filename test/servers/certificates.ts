import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
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

/** A certificate for `names` (`IP:127.0.0.1,DNS:compute-1`; none: it has no alternative names), signed by an authority of makeCertificate's. */
export function makeSignedCertificate(folder: string, name: string, authority: CertificateFiles, names: string): CertificateFiles {
  const [key, certificate, config] = [join(folder, `${name}.key`), join(folder, `${name}.pem`), join(folder, 'openssl.cnf')];
  writeFileSync(config, '[req]\ndistinguished_name = name\n[name]\n');
  const extensions = ['basicConstraints=critical,CA:FALSE', ...(names === '' ? [] : [`subjectAltName=${names}`])];
  execFileSync('openssl', ['req', '-x509', '-config', config, '-CA', authority.certificate, '-CAkey', authority.key, '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
    '-nodes', '-days', '2', '-subj', `/CN=${name}`, ...extensions.flatMap((each) => ['-addext', each]), '-keyout', key, '-out', certificate], { stdio: 'ignore' });
  return { certificate, key };
}

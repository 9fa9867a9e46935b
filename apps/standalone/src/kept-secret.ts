// A secret that is made once and kept in the data directory, readable by its owner alone.

import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { ServiceError } from '@gatehouse/errors/service-error';

const SECRET_BYTES = 32;

/**
 * The secret in `path`, made at the first call.
 *
 * @throws ServiceError FAILED_PRECONDITION when the file is there and holds no secret.
 */
export function keptSecret(path: string): string {
  if (!existsSync(path)) {
    writeFileSync(path, `${randomBytes(SECRET_BYTES).toString('hex')}\n`, { mode: 0o600, flag: 'wx' });
  }
  chmodSync(path, 0o600);
  const secret = readFileSync(path, 'utf8').trim();
  if (secret.length >= 16) return secret;
  throw new ServiceError('FAILED_PRECONDITION',
    `${path} holds no secret of at least 16 characters: remove the file to have a new one made`);
}

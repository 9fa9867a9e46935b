// The folder of everything that standalone keeps.

import { accessSync, constants, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { ServiceError } from '@gatehouse/errors/service-error';

/**
 * Makes the folder, readable by its owner alone, unless it is there.
 *
 * @throws ServiceError INVALID_ARGUMENT when it cannot be made or written
 */
export function makeDataDir(dataDir: string): void {
  try {
    // One level above must exist, or be made level by level: Node's own recursive mkdir never returns on /proc.
    makeLevels(dataDir);
    accessSync(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    throw new ServiceError('INVALID_ARGUMENT', `GATEHOUSE_DATA_DIR is ${dataDir}, which cannot be made or written (${reason}): set a folder of your own`, { cause });
  }
}

function makeLevels(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null;
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT' || dirname(folder) === folder) throw error;
    makeLevels(dirname(folder));
    mkdirSync(folder, { mode: 0o700 });
  }
}

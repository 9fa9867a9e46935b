/** The folder of all machines of this host. Whoever may enter it reaches their screens and lines past every check. */
import { mkdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { ServiceError } from '@gatehouse/errors/service-error';

const OTHERS = 0o077;
const ADVICE = 'set GATEHOUSE_STATE_DIR to a folder of its own';

/**
 * Makes the folder, private to this user, or finds it so; the rights of one that exists are never changed. Throws
 * ServiceError FAILED_PRECONDITION when it cannot be made or is not this user's alone.
 */
export async function openStateDir(stateDir: string): Promise<void> {
  const folder = path.resolve(stateDir);
  const made = await mkdir(folder, { recursive: true, mode: 0o700 }).catch((cause: NodeJS.ErrnoException) => {
    throw new ServiceError('FAILED_PRECONDITION', `the folder ${folder} cannot be made (${cause.code ?? cause.message}); ${ADVICE}`, { cause });
  });
  if (made !== undefined) return;
  const { uid, mode } = await stat(folder);
  if (uid !== process.getuid?.()) throw new ServiceError('FAILED_PRECONDITION', `the folder ${folder} belongs to another user; ${ADVICE}`);
  if ((mode & OTHERS) === 0) return;
  const rights = (mode & 0o777).toString(8);
  throw new ServiceError('FAILED_PRECONDITION', `the folder ${folder} is open to others (mode ${rights}); ${ADVICE}, or close it (chmod 700) if it is only for machines`);
}

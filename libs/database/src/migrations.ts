/** A database's migrations as files: prisma/<database>/migrations/<name>/migration.sql, applied in order of name. */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ServiceError } from '@gatehouse/errors/service-error';

export interface Migration {
  readonly name: string;
  readonly sql: string;
}

/** @throws ServiceError FAILED_PRECONDITION: the folder is missing or holds no migration */
export async function readMigrations(folder: URL): Promise<readonly Migration[]> {
  const path = fileURLToPath(folder);
  try {
    const entries = await readdir(path, { withFileTypes: true });
    const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name).sort();
    if (names.length === 0) throw new Error('it is empty');
    return await Promise.all(
      names.map(async (name) => ({ name, sql: await readFile(join(path, name, 'migration.sql'), 'utf8') })),
    );
  } catch (cause) {
    throw new ServiceError('FAILED_PRECONDITION', `no migrations can be read from ${path}`, { cause });
  }
}

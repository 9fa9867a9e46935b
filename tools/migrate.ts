// What `npm run stack` runs first, and the bundle dist/migrate: brings both databases to the newest schema and exits. Waits
// for databases that are not there yet; safe to run while services and other migrations run.
import { isServiceError } from '@gatehouse/errors/service-error';
import { openApiDb } from '@gatehouse/api-db/api-db';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import { readConfig, secretUrl } from '@gatehouse/runtime/config';
import { createLogger } from '@gatehouse/runtime/logger';
import { waitFor } from '@gatehouse/runtime/wait-for';
import { z } from 'zod';

const POSTGRESQL = ['postgresql', 'postgres'];
const migrateConfig = z.object({ apiDatabaseUrl: secretUrl(POSTGRESQL), cellDatabaseUrl: secretUrl(POSTGRESQL) });

async function migrate(): Promise<void> {
  const config = readConfig(migrateConfig, process.env);
  const log = createLogger({ service: 'gatehouse-migrate', pretty: process.stdout.isTTY });
  const databases = [
    { what: 'the api database', open: () => openApiDb({ url: config.apiDatabaseUrl }) },
    { what: 'the cell database', open: () => openCellDb({ url: config.cellDatabaseUrl }) },
  ];
  for (const { what, open } of databases) {
    const database = await open();
    try {
      const { applied } = await waitFor({
        what,
        attempt: () => database.migrate(),
        log,
        timeoutMs: 120_000,
        isFinal: (error) => !isServiceError(error) || error.code !== 'UNAVAILABLE',
      });
      log.info({ applied }, applied.length > 0 ? `migrated ${what}` : `${what} is up to date`);
    } finally {
      await database.close();
    }
  }
}

await migrate().catch((error: unknown) => {
  process.stderr.write(`gatehouse-migrate: ${isServiceError(error) ? error.message : String(error instanceof Error ? error.stack : error)}\n`);
  process.exit(1);
});

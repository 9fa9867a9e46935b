import { openCellDb } from '@gatehouse/cell-db/cell-db';
import { composeApp } from '@gatehouse/runtime/app';
import { runProcess } from '@gatehouse/runtime/run-process';
import { waitFor } from '@gatehouse/runtime/wait-for';
import { startMetadata } from './app.module.ts';
import { metadataProcessConfig } from './config.ts';

await runProcess({
  name: 'metadata',
  env: process.env,
  config: metadataProcessConfig,
  async start({ config, log, metrics, clock, signal }) {
    const cellDb = await openCellDb({ url: config.cellDatabaseUrl });
    // The service answers meanwhile, with 503.
    void waitFor({ what: 'the cell database', attempt: () => cellDb.check(), log, signal }).catch(() => {});
    const metadata = await startMetadata({ config, cellDb, log, metrics, clock });
    return composeApp('metadata', { apps: [metadata], resources: [{ name: 'cell database', close: () => cellDb.close() }], log });
  },
});

import { openCellDb } from '@gatehouse/cell-db/cell-db';
import { composeApp } from '@gatehouse/runtime/app';
import { runProcess } from '@gatehouse/runtime/run-process';
import { startMetadata } from './app.module.ts';
import { metadataProcessConfig } from './config.ts';

await runProcess({
  name: 'metadata',
  env: process.env,
  config: metadataProcessConfig,
  async start({ config, log, metrics, clock }) {
    const cellDb = await openCellDb({ url: config.cellDatabaseUrl });
    const metadata = await startMetadata({ config, cellDb, log, metrics, clock });
    return composeApp('metadata', { apps: [metadata], resources: [{ name: 'cell database', close: () => cellDb.close() }], log });
  },
});

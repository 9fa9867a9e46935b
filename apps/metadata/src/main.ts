import { openCellDb } from '@gatehouse/cell-db/cell-db';
import { composeApp } from '@gatehouse/runtime/app';
import { brokerTransport } from '@gatehouse/runtime/broker';
import { runProcess } from '@gatehouse/runtime/run-process';
import { waitFor } from '@gatehouse/runtime/wait-for';
import { startMetadata } from './app.module.ts';
import { metadataNameOf, metadataProcessConfig } from './config.ts';

await runProcess({
  name: 'metadata',
  env: process.env,
  config: metadataProcessConfig,
  async start({ config, log, metrics, clock, signal }) {
    const cellDb = await openCellDb({ url: config.cellDatabaseUrl });
    const transport = brokerTransport(config, `gatehouse-metadata ${metadataNameOf(config)}`, log);
    // The service answers meanwhile, with 503.
    void waitFor({ what: 'the cell database', attempt: () => cellDb.check(), log, signal }).catch(() => {});
    const metadata = await startMetadata({ config, transport, cellDb, log, metrics, clock });
    const resources = [
      { name: 'cell database', close: () => cellDb.close() },
      { name: 'message broker', close: () => transport.close() },
    ];
    return composeApp('metadata', { apps: [metadata], resources, log });
  },
});

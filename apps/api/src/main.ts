import { openApiDb } from '@gatehouse/api-db/api-db';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import { composeApp } from '@gatehouse/runtime/app';
import { brokerTransport } from '@gatehouse/runtime/broker';
import { runProcess } from '@gatehouse/runtime/run-process';
import { SteeredClock } from '@gatehouse/runtime/steered-clock';
import { waitFor } from '@gatehouse/runtime/wait-for';
import { startApi } from './app.module.ts';
import { apiProcessConfig } from './config.ts';

/** To the database of a further cell, which is asked for little, and only until its key pairs have moved. */
const LEGACY_CONNECTIONS_MAX = 4;

await runProcess({
  name: 'api',
  env: process.env,
  config: apiProcessConfig,
  async start({ config, log, metrics, clock: machine, signal }) {
    const { transportUrl, apiDatabaseUrl, cellDatabaseUrl, legacyCellDatabaseUrls } = config;
    const transport = brokerTransport(config, 'gatehouse-api', log);
    const apiDb = await openApiDb({ url: apiDatabaseUrl });
    const cellDb = await openCellDb({ url: cellDatabaseUrl });
    const furtherUrls = new Set(legacyCellDatabaseUrls.filter((url) => url !== cellDatabaseUrl));
    const legacyCells = await Promise.all([...furtherUrls].map((url) => openCellDb({ url, connectionsMax: LEGACY_CONNECTIONS_MAX })));
    // Who lives is told by times that consoleauth wrote; so they are read by the same clock.
    const clock = new SteeredClock({ log, machine });
    const looks = clock.follow(() => cellDb.now());
    // The api answers meanwhile, with 503.
    for (const [what, database] of [['the api database', apiDb], ['the cell database', cellDb]] as const) {
      void waitFor({ what, attempt: () => database.check(), log, signal }).catch(() => {});
    }
    const cell = { name: 'cell1', transportUrl, databaseUrl: cellDatabaseUrl };
    const api = await startApi({ config, transport, apiDb, cellDb, log, metrics, clock, cell, legacyCells });
    const resources = [
      { name: 'api database', close: () => apiDb.close() },
      { name: 'cell database', close: () => cellDb.close() },
      ...legacyCells.map((legacy) => ({ name: 'legacy cell database', close: () => legacy.close() })),
      { name: 'clock', close: () => looks.stop() },
      { name: 'message broker', close: () => transport.close() },
    ];
    return composeApp('api', { apps: [api], resources, log });
  },
});

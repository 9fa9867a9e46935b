import { openApiDb } from '@gatehouse/api-db/api-db';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import { createAmqpTransport } from '@gatehouse/rpc/amqp-transport';
import { composeApp } from '@gatehouse/runtime/app';
import { runProcess } from '@gatehouse/runtime/run-process';
import { startApi } from './app.module.ts';
import { apiProcessConfig } from './config.ts';

await runProcess({
  name: 'api',
  env: process.env,
  config: apiProcessConfig,
  async start({ config, log, metrics, clock }) {
    const { transportUrl, rpcExchange, apiDatabaseUrl, cellDatabaseUrl } = config;
    const transport = createAmqpTransport({ url: transportUrl, exchange: rpcExchange, connectionName: 'gatehouse-api', log });
    const apiDb = await openApiDb({ url: apiDatabaseUrl });
    const cellDb = await openCellDb({ url: cellDatabaseUrl });
    const cell = { name: 'cell1', transportUrl, databaseUrl: cellDatabaseUrl };
    const api = await startApi({ config, transport, apiDb, cellDb, log, metrics, clock, cell });
    const resources = [
      { name: 'api database', close: () => apiDb.close() },
      { name: 'cell database', close: () => cellDb.close() },
      { name: 'message broker', close: () => transport.close() },
    ];
    return composeApp('api', { apps: [api], resources, log });
  },
});

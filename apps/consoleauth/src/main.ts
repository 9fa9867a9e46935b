import { hostname } from 'node:os';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import { composeApp } from '@gatehouse/runtime/app';
import { openAudit } from '@gatehouse/runtime/audit';
import { brokerTransport } from '@gatehouse/runtime/broker';
import { runProcess } from '@gatehouse/runtime/run-process';
import { waitFor } from '@gatehouse/runtime/wait-for';
import { startConsoleAuth } from './app.module.ts';
import { consoleAuthProcessConfig } from './config.ts';

await runProcess({
  name: 'consoleauth',
  env: process.env,
  config: consoleAuthProcessConfig,
  async start({ config, log, clock, signal }) {
    const server = config.consoleauthName ?? `${hostname()}.${process.pid}`;
    const audit = openAudit(config, 'consoleauth', clock, log);
    const transport = brokerTransport(config, `gatehouse-consoleauth ${server}`, log);
    // A start that is called off does not wait for its broker.
    signal.addEventListener('abort', () => void transport.close(), { once: true });
    const cellDb = await openCellDb({ url: config.cellDatabaseUrl });
    await waitFor({ what: 'the cell database', attempt: () => cellDb.check(), log, signal });
    const app = await startConsoleAuth({ config, server, transport, cellDb, audit, log, clock });
    const resources = [
      { name: 'audit', close: () => audit.close() },
      { name: 'cell database', close: () => cellDb.close() },
      { name: 'transport', close: () => transport.close() },
    ];
    return composeApp('consoleauth', { apps: [app], resources, log });
  },
});

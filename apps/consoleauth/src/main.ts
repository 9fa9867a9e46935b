import { hostname } from 'node:os';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import { composeApp } from '@gatehouse/runtime/app';
import { openAudit } from '@gatehouse/runtime/audit';
import { brokerTransport } from '@gatehouse/runtime/broker';
import { runProcess } from '@gatehouse/runtime/run-process';
import { SteeredClock } from '@gatehouse/runtime/steered-clock';
import { waitFor } from '@gatehouse/runtime/wait-for';
import { startConsoleAuth } from './app.module.ts';
import { consoleAuthProcessConfig } from './config.ts';

await runProcess({
  name: 'consoleauth',
  env: process.env,
  config: consoleAuthProcessConfig,
  async start({ config, log, clock: machine, signal }) {
    const server = config.consoleauthName ?? `${hostname()}.${process.pid}`;
    const clock = new SteeredClock({ log, machine });
    const audit = openAudit(config, 'consoleauth', clock, log);
    const transport = brokerTransport(config, `gatehouse-consoleauth ${server}`, log);
    // A start that is called off does not wait for its broker.
    signal.addEventListener('abort', () => void transport.close(), { once: true });
    const cellDb = await openCellDb({ url: config.cellDatabaseUrl });
    const attempt = async (): Promise<void> => {
      await cellDb.check();
      await clock.look(() => cellDb.now());
    };
    await waitFor({ what: 'the cell database', attempt, log, signal });
    const looks = clock.follow(() => cellDb.now());
    const app = await startConsoleAuth({ config, server, transport, cellDb, audit, log, clock });
    const resources = [
      { name: 'audit', close: () => audit.close() },
      { name: 'cell database', close: () => cellDb.close() },
      { name: 'clock', close: () => looks.stop() },
      { name: 'transport', close: () => transport.close() },
    ];
    return composeApp('consoleauth', { apps: [app], resources, log });
  },
});

import { openCellDb } from '@gatehouse/cell-db/cell-db';
import { composeApp } from '@gatehouse/runtime/app';
import { brokerTransport } from '@gatehouse/runtime/broker';
import { runProcess } from '@gatehouse/runtime/run-process';
import { SteeredClock } from '@gatehouse/runtime/steered-clock';
import { waitFor } from '@gatehouse/runtime/wait-for';
import { startComputeAgent } from './app.module.ts';
import { computeAgentProcessConfig } from './config.ts';

await runProcess({
  name: 'compute-agent',
  env: process.env,
  config: computeAgentProcessConfig,
  async start({ config, log, clock: machine, signal }) {
    const transport = brokerTransport(config, `gatehouse-compute-agent ${config.host}`, log);
    // A start that is called off does not wait for its broker.
    signal.addEventListener('abort', () => void transport.close(), { once: true });
    const cellDb = await openCellDb({ url: config.cellDatabaseUrl });
    await waitFor({ what: 'the cell database and its tables', attempt: () => cellDb.instances.count({ host: config.host }), log, signal });
    // The api tells by what was written of an instance whether somebody still works on it; so it is written by the same clock.
    const clock = new SteeredClock({ log, machine });
    await waitFor({ what: "the cell database's time", attempt: () => clock.look(() => cellDb.now()), log, signal });
    const looks = clock.follow(() => cellDb.now());
    const app = await startComputeAgent({ config, transport, cellDb, log, clock });
    const resources = [
      { name: 'cell database', close: () => cellDb.close() },
      { name: 'clock', close: () => looks.stop() },
      { name: 'transport', close: () => transport.close() },
    ];
    return composeApp('compute-agent', { apps: [app], resources, log });
  },
});

/** An api of its own, over two databases that are there, whose agent begins what it is asked for and never ends it: to be killed. */
import { openApiDb } from '@gatehouse/api-db/api-db';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import { systemClock } from '@gatehouse/runtime/clock';
import { createLogger } from '@gatehouse/runtime/logger';
import { createMetrics } from '@gatehouse/runtime/metrics';
import { startApi } from './app.module.ts';
import { apiConfig } from './config.ts';
import { serveHangingAgent } from './test-hanging-agent.ts';

const [apiUrl = '', cellUrl = ''] = process.argv.slice(2);
const [apiDb, cellDb, transport] = [await openApiDb({ url: apiUrl }), await openCellDb({ url: cellUrl }), createMemoryTransport()];
await serveHangingAgent(cellDb, transport, 'host-a');
const log = createLogger({ service: 'killed-api', level: 'error' });
const config = apiConfig.parse({ apiPort: '0' });
const api = await startApi({ config, transport, apiDb, cellDb, log, metrics: createMetrics('killed-api'), clock: systemClock });
console.log(`listens on ${api.addresses[0]?.url ?? ''}`);

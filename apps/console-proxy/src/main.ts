import { composeApp } from '@gatehouse/runtime/app';
import { openAudit } from '@gatehouse/runtime/audit';
import { brokerTransport } from '@gatehouse/runtime/broker';
import { runProcess } from '@gatehouse/runtime/run-process';
import { startConsoleProxy } from './app.module.ts';
import { consoleProxyProcessConfig, proxyNameOf } from './config.ts';

/** To stop in, besides what running consoles get. */
const STOP_MS = 8_000;
/** What is kept of that for the process itself. */
const RESERVE_MS = 1_000;

const drainTimeoutMs = ({ proxyDrain }: { readonly proxyDrain: number }) => proxyDrain * 1_000 + STOP_MS;

await runProcess({
  name: 'console-proxy',
  env: process.env,
  config: consoleProxyProcessConfig,
  drainTimeoutMs,
  async start({ config, log, metrics, clock, signal }) {
    const audit = openAudit(config, 'console-proxy', clock, log);
    const transport = brokerTransport(config, `gatehouse-console-proxy ${proxyNameOf(config)}`, log);
    // A start that is called off does not wait for its broker.
    signal.addEventListener('abort', () => void transport.close(), { once: true });
    const app = await startConsoleProxy({ config, transport, audit, log, metrics, clock });
    const resources = [{ name: 'audit', close: () => audit.close() }, { name: 'message broker', close: () => transport.close() }];
    return composeApp('console-proxy', { apps: [app], resources, log, drainTimeoutMs: drainTimeoutMs(config) - RESERVE_MS });
  },
});

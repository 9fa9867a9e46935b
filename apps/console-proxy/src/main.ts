import { composeApp } from '@gatehouse/runtime/app';
import { brokerTransport } from '@gatehouse/runtime/broker';
import { runProcess } from '@gatehouse/runtime/run-process';
import { startConsoleProxy } from './app.module.ts';
import { consoleProxyProcessConfig, proxyNameOf } from './config.ts';

await runProcess({
  name: 'console-proxy',
  env: process.env,
  config: consoleProxyProcessConfig,
  async start({ config, log, metrics, clock, signal }) {
    const transport = brokerTransport(config, `gatehouse-console-proxy ${proxyNameOf(config)}`, log);
    // A start that is called off does not wait for its broker.
    signal.addEventListener('abort', () => void transport.close(), { once: true });
    const app = await startConsoleProxy({ config, transport, log, metrics, clock });
    return composeApp('console-proxy', { apps: [app], resources: [{ name: 'message broker', close: () => transport.close() }], log });
  },
});

import { createAmqpTransport } from '@gatehouse/rpc/amqp-transport';
import { composeApp } from '@gatehouse/runtime/app';
import { runProcess } from '@gatehouse/runtime/run-process';
import { startConsoleProxy } from './app.module.ts';
import { consoleProxyProcessConfig, proxyNameOf } from './config.ts';

await runProcess({
  name: 'console-proxy',
  env: process.env,
  config: consoleProxyProcessConfig,
  async start({ config, log, metrics, clock, signal }) {
    const connectionName = `gatehouse-console-proxy ${proxyNameOf(config)}`;
    const transport = createAmqpTransport({ url: config.transportUrl, exchange: config.rpcExchange, connectionName, log });
    // A start that is called off does not wait for its broker.
    signal.addEventListener('abort', () => void transport.close(), { once: true });
    const app = await startConsoleProxy({ config, transport, log, metrics, clock });
    return composeApp('console-proxy', { apps: [app], resources: [{ name: 'message broker', close: () => transport.close() }], log });
  },
});

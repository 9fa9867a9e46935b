/**
 * What runs in the processes of the relays that are ours (relays.ts), as a bundle: what is shipped is what is measured.
 *
 *   node dist/relay-bench/main.js <role> <the guest's port> [certificate and key, PEM files: clients come by TLS]
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { WebSocketServer } from 'ws';
import { startConsoleProxy } from '@gatehouse/console-proxy/app.module';
import { consoleProxyConfig } from '@gatehouse/console-proxy/config';
import { TestConsoleAuth } from '@gatehouse/console-proxy/test-console-auth';
import { serveConsoleStream } from '@gatehouse/console-stream/serve-console-stream';
import type { ConsoleType } from '@gatehouse/objects/console-connection';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import { noAudit } from '@gatehouse/runtime/audit';
import { systemClock } from '@gatehouse/runtime/clock';
import { silentLogger } from '@gatehouse/runtime/logger';
import { createMetrics } from '@gatehouse/runtime/metrics';

/** Of the side of clients. */
const [role = '', guestPort = '', certificate = null, key = null] = process.argv.slice(2);

async function serveOurs(guestPort: number, endpoint?: string, consoleType: ConsoleType = 'serial'): Promise<number> {
  const transport = createMemoryTransport();
  const auth = new TestConsoleAuth();
  await auth.serve(transport);
  auth.consoles.set('bench', { instanceName: 'bench', consoleType, port: guestPort, ...(endpoint === undefined ? {} : { endpoint }) });
  const config = consoleProxyConfig.parse({ proxyPort: '0', proxyName: 'bench', ...(certificate !== null && key !== null ? { proxyTlsCert: certificate, proxyTlsKey: key } : {}) });
  const unlimited = Object.fromEntries(Object.entries(config).map(([name, value]) => [name, /PerAddress/.test(name) ? 100_000 : value])) as typeof config;
  const app = await startConsoleProxy({ config: unlimited, transport, audit: noAudit, log: silentLogger, metrics: createMetrics('bench'), clock: systemClock });
  return Number(new URL(app.addresses[0]!.url).port);
}

/** A host: each Attach is a connection to the guest, as QEMU's sockets are. */
async function serveAgent(guestPort: number): Promise<number> {
  const attach = async (): Promise<{ stream: Socket; offset: number }> => {
    const stream = connect({ port: guestPort, host: '127.0.0.1', noDelay: true });
    await once(stream, 'connect');
    return { stream, offset: 0 };
  };
  const server = await serveConsoleStream({ listen: '127.0.0.1:0', attach, limits: { attachesMax: 10_000 }, log: { warn() {}, debug() {} } });
  return Number(server.endpoint.split(':')[1]);
}

async function serveWs(guestPort: number): Promise<number> {
  const server = certificate !== null && key !== null ? createTlsServer({ cert: readFileSync(certificate), key: readFileSync(key) }) : createServer();
  const acceptor = new WebSocketServer({ server, perMessageDeflate: false });
  acceptor.on('connection', (client, request) => {
    const guest = connect({ port: guestPort, host: '127.0.0.1', noDelay: true });
    const { socket } = request;
    guest.on('data', (bytes) => {
      client.send(bytes);
      if (socket.writableNeedDrain) guest.pause();
    });
    socket.on('drain', () => guest.resume());
    client.on('message', (bytes: Buffer) => {
      if (!guest.write(bytes)) client.pause();
    });
    guest.on('drain', () => client.resume());
    guest.on('close', () => client.terminate());
    client.on('close', () => guest.destroy());
    guest.on('error', () => {});
    client.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

const ROLES: Readonly<Record<string, (port: number) => Promise<number>>> = {
  ours: (guestPort) => serveOurs(guestPort),
  'ours vnc': (guestPort) => serveOurs(guestPort, undefined, 'novnc'),
  attach: (agentPort) => serveOurs(1, `127.0.0.1:${agentPort}`),
  agent: serveAgent,
  'ws + net': serveWs,
};

const port = await ROLES[role]!(Number(guestPort));
process.on('message', () => {
  globalThis.gc?.();
  process.send?.('collected');
});
process.on('disconnect', () => process.exit(0));
process.send?.(port);

/**
 * The other machine of the half-open tests: it runs in a network namespace of its own, with one cable to the proxy's. It does
 * what the lines on its standard input say, and answers each with a line. `vanish` pulls the cable: from then on its packets go
 * nowhere, nobody is told, and its connections stay open as they do when a laptop is shut or a host loses its power.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { Duplex } from 'node:stream';
import { createInterface } from 'node:readline';
import WebSocket from 'ws';
import { serveConsoleStream } from '@gatehouse/console-stream/serve-console-stream';

/** Its address on the cable, and its end of it. */
export const PEER_ADDRESS = '10.213.77.2';
export const PEER_DEVICE = 'gh-peer';

export type PeerOrder =
  | { readonly do: 'cable' }
  | { readonly do: 'open'; readonly url: string; readonly protocols: readonly string[] }
  | { readonly do: 'guest' }
  | { readonly do: 'agent'; readonly certificate: string; readonly key: string }
  | { readonly do: 'vanish' };

function echo(): Duplex {
  return new Duplex({
    read() {},
    write(bytes: Buffer, _encoding, done) {
      this.push(bytes);
      done();
    },
  });
}

async function obey(order: PeerOrder): Promise<object> {
  switch (order.do) {
    case 'cable':
      execFileSync('ip', ['addr', 'add', `${PEER_ADDRESS}/30`, 'dev', PEER_DEVICE]);
      execFileSync('ip', ['link', 'set', PEER_DEVICE, 'up']);
      return {};
    case 'open': {
      const socket = new WebSocket(order.url, [...order.protocols]);
      socket.on('error', () => {});
      await new Promise((resolve, reject) => socket.once('message', resolve).once('close', reject));
      return {};
    }
    case 'guest': {
      const server = createServer((socket) => socket.on('error', () => {}).pipe(socket));
      await new Promise<void>((resolve) => server.listen(0, PEER_ADDRESS, resolve));
      return { port: (server.address() as AddressInfo).port };
    }
    case 'agent': {
      const [certificate, key] = [readFileSync(order.certificate), readFileSync(order.key)];
      const tls = { certificate, key, authority: certificate };
      const log = { warn() {}, debug() {} };
      const { endpoint } = await serveConsoleStream({ listen: `${PEER_ADDRESS}:0`, tls, log, attach: () => Promise.resolve({ stream: echo(), offset: 0 }) });
      return { endpoint };
    }
    case 'vanish':
      execFileSync('ip', ['link', 'set', PEER_DEVICE, 'down']);
      return {};
  }
}

if (process.argv[2] === 'obey') {
  for await (const line of createInterface({ input: process.stdin })) {
    const answer = await obey(JSON.parse(line) as PeerOrder).catch((error: unknown) => ({ error: String(error) }));
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  process.exit(0);
}

/** An attach is for whoever waits for it: when nobody does any more, it is given up at each of its steps, at both ends. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { ServiceError } from '@gatehouse/errors/service-error';
import { attachConsole } from './attach-console.ts';
import type { AttachOpen } from './attach-call.ts';
import type { GuestConsole } from './open-console.ts';
import { IN_THE_CALL, OWN_CALL, SECRET, SHARED, TestStreams, collect, until } from './test-streams.ts';

const GONE = new ServiceError('CANCELLED', 'nobody waits');

for (const [what, way] of [['whose call shares a stream', SHARED], ['with a byte connection', OWN_CALL], ['whose bytes go in the call', IN_THE_CALL]] as const) {
  describe(`an attach ${what} that nobody waits for any more`, () => {
    const streams = new TestStreams(way);
    afterEach(() => streams.close());
    const attach = (endpoint: string, signal: AbortSignal) =>
      attachConsole({ endpoint, sessionId: 's-1', attachSecret: SECRET, ...way, signal, connectTimeoutMs: 600_000 });

    it('is given up before anything was said', async () => {
      const server = await streams.serveGuest(new PassThrough());
      await assert.rejects(attach(server.endpoint, AbortSignal.abort(GONE)), GONE);
      await until(() => server.openAttaches === 0);
    });

    it('is given up while its host says nothing at all', async () => {
      const sockets = new Set<Socket>();
      const silent = createServer((socket) => void sockets.add(socket.on('error', () => {}))).listen(0, '127.0.0.1');
      await once(silent, 'listening');
      const gone = new AbortController();
      const attached = attach(`127.0.0.1:${(silent.address() as AddressInfo).port}`, gone.signal);
      await until(() => sockets.size === 1);
      gone.abort(GONE);
      await assert.rejects(attached, GONE);
      for (const socket of sockets) socket.destroy();
      silent.close();
    });

    it('is given up while its console is opened, and its host stops opening it', async () => {
      const opens: AttachOpen[] = [];
      const server = await streams.serve((open) => (opens.push(open), new Promise<GuestConsole>(() => {})));
      const gone = new AbortController();
      const attached = attach(server.endpoint, gone.signal);
      await until(() => opens.length === 1);
      gone.abort(GONE);
      await assert.rejects(attached, GONE);
      await until(() => server.openAttaches === 0 && opens[0]!.signal.aborted);
    });

    it('does not care any more once it is open', async () => {
      const server = await streams.serveGuest(new PassThrough());
      const gone = new AbortController();
      const console = await streams.attach(server, { signal: gone.signal });
      gone.abort(GONE);
      console.write('hi');
      assert.equal((await collect(console, 2)).toString(), 'hi');
    });
  });
}

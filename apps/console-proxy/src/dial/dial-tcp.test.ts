import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { echo, startGuest, type TestGuest } from '../test-guests.ts';
import { dialFirst } from './dial-tcp.ts';
import { readExactly } from './handshake-bytes.ts';
import { dial, refusalOf, startHost } from './test-host.ts';

const never = new AbortController().signal;

describe('a console that is dialled by TCP', () => {
  let guest: TestGuest;
  /** Never given out, and nobody serves it. */
  const nobody = 1;
  before(async () => {
    guest = await startGuest(echo);
  });
  after(() => guest.close());

  it('is refused in words without an address, which stands in the log, when nobody listens', async () => {
    const { code, words, detail } = await refusalOf(dial({ port: nobody, consoleType: 'serial' }));
    assert.deepEqual([code, words], ['UNAVAILABLE', "The console's host could not be reached."]);
    assert.equal(detail, `127.0.0.1:${nobody}: no connection to 127.0.0.1 (ECONNREFUSED)`);
  });

  it('is refused when its host has no address', async () => {
    const { code, words, detail } = await refusalOf(dial({ port: 1, options: { address: 'no-such-host.invalid' } }));
    assert.deepEqual([code, words], ['UNAVAILABLE', "The console's host could not be reached."]);
    assert.match(detail, /^no-such-host\.invalid:1: its name cannot be looked up \(E[A-Z_]+\)$/);
  });

  for (const port of [-1, 0]) {
    it(`is refused when its port is ${port}, as that of a machine that does not run`, async () => {
      const { words, detail } = await refusalOf(dial({ port }));
      assert.equal(words, 'This console has no port at the moment; is the machine running?');
      assert.match(detail, new RegExp(`its port is ${port}$`));
    });
  }

  it('is given up in time, in words, when its host says nothing', async () => {
    const host = await startHost();
    const { code, words, detail } = await refusalOf(dial({ port: host.port, timeoutMs: 1_500 }));
    assert.deepEqual([code, words], ['DEADLINE_EXCEEDED', "The console's host did not answer within 1.5 s."]);
    assert.match(detail, /the connection was closed where the RFB version should have come \(after 0 bytes of it\)$/);
    await host.close();
  });

  it('is given up in time, however slowly its host drips', async () => {
    const dripping = await startGuest((socket) => {
      const drip = setInterval(() => socket.write('R'), 50);
      socket.on('close', () => clearInterval(drip));
    });
    assert.equal((await refusalOf(dial({ port: dripping.port, timeoutMs: 300 }))).code, 'DEADLINE_EXCEEDED');
    await dripping.close();
  });

  it('is reached at its host where no address is told', async () => {
    const stream = await dial({ port: guest.port, consoleType: 'serial', host: 'localhost', options: { address: '127.0.0.1' } });
    stream.write('hello');
    assert.equal((await readExactly(stream, 5, 'words')).toString(), 'hello');
    stream.destroy();
  });

  describe('under a name of several addresses', () => {
    it('is reached at the one that answers, whichever it is', async () => {
      for (const addresses of [['127.0.0.1', '127.0.0.9'], ['127.0.0.9', '127.0.0.1'], ['::1', '127.0.0.9', '127.0.0.1']]) {
        const socket = await dialFirst(addresses, guest.port, never);
        assert.equal(socket.remoteAddress, '127.0.0.1');
        socket.destroy();
      }
    });

    it('is reached by IPv6', async () => {
      const server = createServer((socket) => void socket.end('six'));
      server.listen(0, '::1');
      await once(server, 'listening');
      const socket = await dialFirst(['::1'], (server.address() as AddressInfo).port, never);
      assert.equal((await readExactly(socket, 3, 'words')).toString(), 'six');
      socket.destroy();
      server.close();
    });

    it('is refused when all refuse, and the log has each', async () => {
      await assert.rejects(dialFirst(['127.0.0.9', '127.0.0.1'], nobody, never), (error: Error & { cause?: Error }) => {
        assert.equal(error.cause?.message, 'no connection to 127.0.0.9 (ECONNREFUSED), 127.0.0.1 (ECONNREFUSED)');
        return true;
      });
    });

    it('is given up when told, with nothing left open', async () => {
      const signal = AbortSignal.timeout(50);
      // An address of documentation's (RFC 5737): silent, or without a route.
      await assert.rejects(dialFirst(['192.0.2.1'], 9, signal), { message: "The console's host could not be reached." });
    });
  });
});

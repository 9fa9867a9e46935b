import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseAddress } from './address.ts';
import { encodeRequest } from './attach-messages.ts';
import { prefaceOf } from './byte-preface.ts';
import { ConsoleEnded } from './console-ended.ts';
import type { ConsoleStreamServer } from './serve-console-stream.ts';
import { startTicketedCall } from './test-raw-calls.ts';
import type { TicketedCall } from './test-raw-calls.ts';
import { OWN_CALL, SHARED, TestStreams, closeOf, collect, duplexOf, failsWith, until } from './test-streams.ts';

for (const [words, way] of [['whose call shares a stream', SHARED], ['whose call has its own', OWN_CALL]] as const) {
  describe(`a byte connection ${words}`, () => {
    const streams = new TestStreams(way);
    const sockets: Socket[] = [];
    const calls: TicketedCall[] = [];

    afterEach(async () => {
      for (const socket of sockets.splice(0)) socket.destroy();
      for (const { cancel, close } of calls.splice(0)) {
        cancel();
        close();
      }
      await streams.close();
    });

    function dial({ endpoint }: ConsoleStreamServer, ...pieces: Buffer[]): Socket {
      const socket = connect({ ...parseAddress(endpoint), noDelay: true });
      socket.on('error', () => {});
      for (const piece of pieces) socket.write(piece);
      sockets.push(socket);
      return socket;
    }

    async function call(server: ConsoleStreamServer): Promise<TicketedCall> {
      const opened = await startTicketedCall(server, way === SHARED);
      calls.push(opened);
      return opened;
    }

    it('is closed when it shows a ticket that nobody was given', async () => {
      const server = await streams.serveGuest(echo());
      const socket = dial(server, prefaceOf(Buffer.alloc(32, 1)));
      socket.resume();
      await closeOf(socket);
      await streams.attach(server);
    });

    it('is good for one console once', async () => {
      const server = await streams.serveGuest(echo());
      const { ticket } = await call(server);
      const first = dial(server, prefaceOf(ticket), Buffer.from('hi'));
      assert.equal((await collect(first, 2)).toString(), 'hi');
      const second = dial(server, prefaceOf(ticket));
      second.resume();
      await closeOf(second);
      first.write('!');
      assert.equal((await collect(first, 1)).toString(), '!');
    });

    it('is the console of one of those who race with the same ticket', async () => {
      const server = await streams.serveGuest(echo());
      const { ticket } = await call(server);
      const racers = Array.from({ length: 5 }, () => dial(server, prefaceOf(ticket), Buffer.from('hi')));
      const heard = racers.map(() => '');
      racers.forEach((socket, i) => socket.on('data', (bytes: Buffer) => { heard[i] += bytes.toString(); }));
      await until(() => racers.filter((socket) => socket.closed).length === 4 && heard.includes('hi'));
      assert.deepEqual([...heard].sort(), ['', '', '', '', 'hi']);
    });

    it('is no good for another call, nor that call for it', async () => {
      const guests = [echo(), echo()];
      const server = await streams.serve(async () => ({ stream: guests.shift()!, offset: 0 }));
      const [one, other] = [await call(server), await call(server)];
      other.cancel();
      await until(() => server.openAttaches === 1);
      const withdrawn = dial(server, prefaceOf(other.ticket)).resume();
      await closeOf(withdrawn);
      assert.equal((await collect(dial(server, prefaceOf(one.ticket), Buffer.from('hi')), 2)).toString(), 'hi');
    });

    it('is known however its preface is cut', async () => {
      const server = await streams.serveGuest(echo());
      const { ticket } = await call(server);
      const socket = dial(server);
      for (const byte of Buffer.concat([prefaceOf(ticket), Buffer.from('hi')])) {
        socket.write(Buffer.of(byte));
        await sleep(1);
      }
      assert.equal((await collect(socket, 2)).toString(), 'hi');
    });

    for (const [what, said] of [['what is no preface', Buffer.alloc(100, 'x')], ['half a preface and then the end', prefaceOf(Buffer.alloc(32)).subarray(0, 30)]] as const) {
      it(`is closed when it says ${what}`, async () => {
        const server = await streams.serveGuest(echo());
        const socket = dial(server);
        socket.resume().end(said);
        await closeOf(socket);
        await streams.attach(server);
      });
    }

    it('is closed when it says nothing', async () => {
      const server = await streams.serveGuest(echo());
      const socket = dial(server);
      socket.resume();
      await closeOf(socket);
    });

    it('that does not come ends the console, and its ticket', async () => {
      const guest = echo();
      const server = await streams.serveGuest(guest, 0, { attachTimeoutMs: 50 });
      const { ticket, status } = await call(server);
      assert.equal((await status).code, 4);
      assert.match((await status).details, /did not open the console's byte connection within 50 ms/);
      await until(() => guest.destroyed && server.openAttaches === 0);
      const late = dial(server, prefaceOf(ticket));
      late.resume();
      await closeOf(late);
    });

    it('that is cut ends the console, and lets the guest go', async () => {
      const guest = echo();
      const server = await streams.serveGuest(guest);
      const { ticket, status } = await call(server);
      const socket = dial(server, prefaceOf(ticket), Buffer.from('hi'));
      await collect(socket, 2);
      socket.resetAndDestroy();
      assert.equal((await status).code, 1);
      await until(() => guest.destroyed && server.openAttaches === 0);
    });

    it('ends when its call is cancelled', async () => {
      const guest = echo();
      const server = await streams.serveGuest(guest);
      const { ticket, cancel } = await call(server);
      const socket = dial(server, prefaceOf(ticket), Buffer.from('hi'));
      await collect(socket, 2);
      cancel();
      await closeOf(socket);
      await until(() => guest.destroyed && server.openAttaches === 0);
    });

    it('is not ended before the proxy has heard why, and brings the last output first', async () => {
      const guest = new PassThrough();
      const server = await streams.serveGuest(duplexOf(guest));
      const { ticket, said, halfClose, status } = await call(server);
      const socket = dial(server, prefaceOf(ticket));
      const ended = once(socket, 'end');
      guest.end('bye');
      await until(() => said.length > 0);
      assert.deepEqual(said, [{ end: { reason: 'guest_closed', words: 'The machine closed the console.' } }]);
      assert.equal(await Promise.race([ended, sleep(100, 'still open')]), 'still open');
      halfClose();
      assert.equal((await collect(socket, 3)).toString(), 'bye');
      await ended;
      assert.equal((await status).code, 0);
    });

    it('is closed, and its call with it, when the proxy does not hear of the end', async () => {
      const guest = new PassThrough();
      const server = await streams.serveGuest(duplexOf(guest), 0, { lastOutputTimeoutMs: 50 });
      const { ticket, said, status } = await call(server);
      const socket = dial(server, prefaceOf(ticket)).resume();
      guest.end('bye');
      await Promise.all([closeOf(socket), status, until(() => server.openAttaches === 0)]);
      assert.equal((await status).code, 0);
      assert.equal(said.length, 1);
    });

    it('that something between took and never passed on ends the console with words', async () => {
      // The call has to come so far in that time, too.
      const server = await streams.serveGuest(echo(), 0, { attachTimeoutMs: 1_500 });
      const accepted: Socket[] = [];
      const between = createServer((from) => {
        accepted.push(from);
        if (accepted.length === 1) from.pipe(dial(server)).pipe(from);
      }).listen(0, '127.0.0.1');
      await once(between, 'listening');
      const console = await streams.attach({ endpoint: `127.0.0.1:${(between.address() as AddressInfo).port}` });
      const [error] = await once(console.resume(), 'error') as [Error];
      between.close();
      accepted.forEach((each) => each.destroy());
      assert.ok(failsWith('DEADLINE_EXCEEDED', /did not open the console's byte connection/)(error));
    });

    for (const [listens, host] of [['[::1]:0', '[::1]'], ['127.0.0.1:0', 'localhost']] as const) {
      it(`goes where the call went: by ${host} to a host at ${listens}`, async () => {
        const server = await streams.serve(async () => ({ stream: echo(), offset: 0 }), {}, listens);
        const console = await streams.attach({ endpoint: server.endpoint.replace(/^.*:/, `${host}:`) });
        console.write('hi');
        assert.equal((await collect(console, 2)).toString(), 'hi');
      });
    }

    it('carries nothing in the call', async () => {
      const server = await streams.serveGuest(echo());
      const { send, status } = await call(server);
      send(encodeRequest({ data: { offset: 0, ack: 0, payload: Buffer.from('x') } }));
      assert.equal((await status).code, 3);
      assert.match((await status).details, /connection of their own/);
    });

    it('that was closed without a word was lost: no machine closed its console', async () => {
      const server = await streams.serveGuest(new PassThrough());
      const accepted: Socket[] = [];
      const between = createServer((from) => {
        accepted.push(from);
        from.pipe(dial(server)).pipe(from);
      }).listen(0, '127.0.0.1');
      await once(between, 'listening');
      const console = await streams.attach({ endpoint: `127.0.0.1:${(between.address() as AddressInfo).port}` });
      console.resume();
      await until(() => accepted.length === 2);
      const failed = once(console, 'error') as Promise<[Error]>;
      accepted[1]!.end();
      const [error] = await failed;
      between.close();
      accepted.forEach((each) => each.destroy());
      assert.ok(failsWith('UNAVAILABLE', /lost/)(error));
      assert.equal(console.ending?.reason, 'host_unreachable');
    });

    it('does not matter to a console that ended before it was there', async () => {
      const guest = new PassThrough();
      const server = await streams.serve(async () => {
        setImmediate(() => guest.destroy(new ConsoleEnded('instance_deleted')));
        return { stream: guest, offset: 0 };
      });
      const console = await streams.attach(server);
      console.resume();
      if (!console.closed) await once(console, 'close');
      assert.equal(console.ending?.reason, 'instance_deleted');
      await until(() => server.openAttaches === 0);
    });
  });
}

/** Says what it hears. */
function echo(): Duplex {
  return new PassThrough();
}

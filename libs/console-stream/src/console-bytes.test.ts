import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Duplex, PassThrough, Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '@gatehouse/errors/service-error';
import { runningMsOf } from '../../../test/servers/running-time.ts';
import { ConsoleEnded } from './console-ended.ts';
import { IN_THE_CALL, OWN_CALL, SHARED, TestStreams, collect, digest, duplexOf, hashing, pieces, until } from './test-streams.ts';

/** Both ends of today, and those of which one knows no byte connection. */
for (const [words, way] of [['over a connection of their own', SHARED], ['over one beside a call of their own', OWN_CALL], ['in the call', IN_THE_CALL]] as const) {
  describe(`a console's bytes ${words}`, () => {
    const streams = new TestStreams(way);

    /** The windows, or what the kernel keeps of a connection for a reader that does not read. */
    const heldBytesMax = way.byteConnection ? 32 * 1024 * 1024 : 512 * 1024;

    afterEach(() => streams.close());

    it('carries megabytes both ways unchanged', async () => {
      const down = randomBytes(5_000_000);
      const up = randomBytes(3_000_000);
      const seen = hashing();
      const output = pieces(down);
      const guest = new Duplex({
        read() { if (output.length > 0) this.push(output.shift()); },
        write(chunk: Buffer, _encoding, done) { seen.add(chunk); setImmediate(done); },
      });
      const console = await streams.attach(await streams.serveGuest(guest));
      const read = collect(console, down.length);
      for (const piece of pieces(up)) if (!console.write(piece)) await once(console, 'drain');
      assert.equal(digest(await read), digest(down));
      await until(() => seen.bytes() === up.length);
      assert.equal(seen.digest(), digest(up));
    });

    it('has copied what was taken: the writer may use the memory again', async () => {
      const seen: Buffer[] = [];
      const guest = new Duplex({ read() {}, write(chunk: Buffer, _encoding, done) { seen.push(Buffer.from(chunk)); done(); } });
      const console = await streams.attach(await streams.serveGuest(guest));
      const memory = Buffer.alloc(4_096);
      const sent: Buffer[] = [];
      for (let i = 0; i < 40 && console.writableLength === 0; i += 1) {
        sent.push(Buffer.from(memory.fill(i + 1)));
        console.write(memory);
      }
      assert.ok(sent.length > 10);
      await until(() => Buffer.concat(seen).length === sent.length * memory.length);
      assert.equal(digest(Buffer.concat(seen)), digest(Buffer.concat(sent)));
    });

    it('stops the guest when nobody reads, without holding more than the windows', async () => {
      let produced = 0;
      const guest = new Duplex({
        read() {
          produced += 16_384;
          setImmediate(() => this.push(Buffer.alloc(16_384)));
        },
        write(_chunk, _encoding, done) { done(); },
      });
      const console = await streams.attach(await streams.serveGuest(guest), { windowBytes: 128 * 1024 });
      const held = await steady(() => produced);
      assert.ok(held < heldBytesMax, `${held} bytes were taken from the guest`);
      console.resume();
      await until(() => produced > 4 * held);
    });

    it('stops the writer when the guest does not take its input', async () => {
      const guest = new Duplex({ read() {}, write() {} });
      const console = await streams.attach(await streams.serveGuest(guest, 0, { inputWindowBytes: 64 * 1024 }));
      let taken = 0;
      const write = (): void => void console.write(Buffer.alloc(16_384), (error) => {
        if (error) return;
        taken += 16_384;
        write();
      });
      write();
      const held = await steady(() => taken);
      assert.ok(held < heldBytesMax, `${held} bytes were taken`);
    });

    it('lets a neighbour on the same connection run while one reader stands still', async () => {
      const flood = (): Duplex => new Duplex({ read() { this.push(Buffer.alloc(65536)); }, write(_c, _e, done) { done(); } });
      const server = await streams.serve(async () => ({ stream: flood(), offset: 0 }));
      await streams.attach(server);
      const lively = await streams.attach(server);
      let bytes = 0;
      lively.on('data', (chunk: Buffer) => { bytes += chunk.length; });
      await until(() => bytes > 8 * 1024 * 1024);
    });

    it('passes the wanted offset on and says at which one the output begins', async () => {
      const asked: (number | null)[] = [];
      const server = await streams.serve(async ({ offset }) => {
        asked.push(offset);
        return { stream: Duplex.from({ readable: Readable.from([Buffer.from('abc')]), writable: new PassThrough() }) as Duplex, offset: offset ?? 7 };
      });
      const first = await streams.attach(server);
      assert.equal(first.outputOffset, 7);
      const large = 2 ** 50;
      const second = await streams.attach(server, { offset: large });
      assert.equal(second.outputOffset, large);
      assert.equal((await collect(second, 3)).toString(), 'abc');
      await streams.attach(server, { offset: 0 });
      assert.deepEqual(asked, [null, large, 0]);
    });

    it('brings what the guest said last, and then why it ended', async () => {
      const guest = new PassThrough();
      const console = await streams.attach(await streams.serveGuest(duplexOf(guest)));
      guest.write('bye');
      guest.end();
      assert.equal((await collect(console, 3)).toString(), 'bye');
      if (!console.readableEnded) await once(console, 'end');
      assert.equal(console.ending?.reason, 'guest_closed');
    });

    it('brings megabytes that were still on their way at the end, to a reader who is late', async () => {
      const last = randomBytes(6_000_000);
      const console = await streams.attach(await streams.serveGuest(duplexOf(Readable.from(pieces(last)))));
      await sleep(300);
      assert.equal(digest(await collect(console, last.length)), digest(last));
      if (!console.readableEnded) await once(console, 'end');
      assert.equal(console.ending?.reason, 'guest_closed');
    });

    it('delivers megabytes that were still on their way when the session ends', async () => {
      const seen = hashing();
      const guest = new Duplex({ read() {}, write(chunk: Buffer, _encoding, done) { seen.add(chunk); setImmediate(done); } });
      const console = await streams.attach(await streams.serveGuest(guest));
      const last = randomBytes(3_000_000);
      for (const piece of pieces(last)) console.write(piece);
      console.resume().end();
      await until(() => guest.destroyed);
      assert.equal(seen.digest(), digest(last));
    });

    it('brings the reason when the host ends a session', async () => {
      const guest = new PassThrough();
      const console = await streams.attach(await streams.serveGuest(guest));
      console.resume();
      guest.destroy(new ConsoleEnded('superseded'));
      await once(console, 'close');
      assert.equal(console.ending?.reason, 'superseded');
      assert.match(console.ending.words, /newer session/);
    });

    it('shows a guest that broke off as the guest\'s end, not as a fault', async () => {
      const guest = new PassThrough();
      const console = await streams.attach(await streams.serveGuest(guest));
      console.resume();
      guest.destroy(new Error('read ECONNRESET'));
      await once(console, 'close');
      assert.equal(console.ending?.reason, 'guest_closed');
    });

    it('fails with the error that a guest\'s stream failed with', async () => {
      const guest = new PassThrough();
      const console = await streams.attach(await streams.serveGuest(guest));
      guest.destroy(new ServiceError('RESOURCE_EXHAUSTED', 'this session read nothing'));
      const [error] = await once(console, 'error') as [ServiceError];
      assert.equal(error.code, 'RESOURCE_EXHAUSTED');
    });

    it('ends its sessions with host_draining when the host drains', async () => {
      const server = await streams.serveGuest(new PassThrough());
      const console = await streams.attach(server);
      console.resume();
      const tookMs = await runningMsOf(() => server.drain(20_000));
      assert.ok(tookMs < 1_500, `${tookMs} ms`);
      await until(() => console.ending !== null);
      assert.equal(console.ending?.reason, 'host_draining');
    });

    it('delivers the last input and lets the guest go when the session ends', async () => {
      const guest = new PassThrough();
      const input: Buffer[] = [];
      const stream = new Duplex({ read() {}, write(chunk: Buffer, _e, done) { input.push(chunk); done(); } });
      guest.resume();
      const server = await streams.serveGuest(stream);
      const console = await streams.attach(server);
      console.resume();
      console.end('exit\n');
      await until(() => stream.destroyed && server.openAttaches === 0);
      assert.equal(Buffer.concat(input).toString(), 'exit\n');
    });

    it('lets the guest go when the proxy throws the session away', async () => {
      const guest = new PassThrough();
      const server = await streams.serveGuest(guest);
      (await streams.attach(server)).destroy();
      await until(() => guest.destroyed && server.openAttaches === 0);
    });
  });
}

/** What is counted, once it has stood still for a while. */
async function steady(count: () => number): Promise<number> {
  for (let last = -1; ;) {
    if (last === count()) return last;
    last = count();
    await sleep(300);
  }
}

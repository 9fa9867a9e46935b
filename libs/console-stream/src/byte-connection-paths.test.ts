/** What stands between a proxy and a host may treat their connections differently, and either may stop at any moment: what a user is told then. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { parseAddress } from './address.ts';
import type { AttachedConsole } from './attach-console.ts';
import type { ConsoleStreamServer } from './serve-console-stream.ts';
import { TestStreams, collect, failsWith, until } from './test-streams.ts';

/** What becomes of a connection, the first being 0. */
type Path = (from: Socket, which: number, server: Server) => void;

describe('between a proxy and a host', () => {
  /** Asks as proxies do: for a byte connection where nothing speaks against it. */
  const streams = new TestStreams({});
  const sockets: Socket[] = [];
  const servers: Server[] = [];
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    for (const server of servers.splice(0)) server.close();
    await streams.close();
  });

  async function between(path: Path): Promise<{ readonly endpoint: string; readonly accepted: readonly Socket[] }> {
    const accepted: Socket[] = [];
    const server = createServer((from) => {
      sockets.push(from.on('error', () => {}));
      path(from, accepted.push(from) - 1, server);
    }).listen(0, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    return { endpoint: `127.0.0.1:${(server.address() as AddressInfo).port}`, accepted };
  }
  function passTo({ endpoint }: ConsoleStreamServer, from: Socket): void {
    const to = connect({ ...parseAddress(endpoint), noDelay: true }).on('error', () => {});
    sockets.push(to);
    from.pipe(to).pipe(from);
  }
  const echoed = async (console: AttachedConsole, words: string): Promise<void> => {
    console.write(words);
    assert.equal((await collect(console, words.length)).toString(), words);
  };
  const endOf = async (console: AttachedConsole): Promise<string | undefined> => {
    console.resume();
    if (!console.closed) await new Promise((resolve) => console.once('close', resolve));
    return console.ending?.reason;
  };

  describe('a host that stops', () => {
    it('is read as one that stops by a console whose byte connection is on its way', async () => {
      const server = await streams.serveGuest(new PassThrough());
      const held: Socket[] = [];
      const { endpoint } = await between((from, which) => (which === 0 ? passTo(server, from) : void held.push(from)));
      const console = await streams.attach({ endpoint });
      await until(() => held.length === 1);
      const drained = server.drain(5_000);
      passTo(server, held[0]!);
      assert.equal(await endOf(console), 'host_draining');
      await drained;
    });

    it('and takes no byte connection any more is read so too, by what it says in the call (hosts before 3.3)', async () => {
      const server = await streams.serveGuest(new PassThrough());
      const { endpoint } = await between((from, _which, relay) => {
        relay.close();
        passTo(server, from);
      });
      const attached = streams.attach({ endpoint });
      await until(() => server.openAttaches === 1);
      const drained = server.drain(5_000);
      assert.equal(await endOf(await attached), 'host_draining');
      await drained;
    });

    it('takes no call any more while it waits for those', async () => {
      const server = await streams.serveGuest(new PassThrough());
      const { endpoint } = await between((from, which) => void (which === 0 && passTo(server, from)));
      await streams.attach({ endpoint });
      const drained = server.drain(300);
      await assert.rejects(streams.attach(server), failsWith('UNAVAILABLE', /./));
      await drained;
    });
  });

  it('a byte connection that is refused, and no word in the call, is a host that cannot be reached', async () => {
    const server = await streams.serveGuest(new PassThrough());
    const { endpoint } = await between((from, _which, relay) => {
      relay.close();
      passTo(server, from);
    });
    await assert.rejects(streams.attach({ endpoint }), failsWith('UNAVAILABLE', /byte connection to .* could not be opened/));
    await until(() => server.openAttaches === 0);
  });

  describe('an address that leads to several hosts', () => {
    async function spread(): Promise<{ readonly endpoint: string; readonly accepted: readonly Socket[]; readonly told: string[]; open(): Promise<AttachedConsole> }> {
      const [one, other] = [await streams.serve(async () => ({ stream: new PassThrough(), offset: 0 })), await streams.serveGuest(new PassThrough())];
      const { endpoint, accepted } = await between((from, which) => passTo(which % 2 === 0 ? one : other, from));
      const told: string[] = [];
      const log = { warn: (fields: object, words: string) => void told.push(`${JSON.stringify(fields)} ${words}`), debug() {} };
      return { endpoint, accepted, told, open: () => streams.attach({ endpoint }, { log }) };
    }

    it('loses a console once, says so, and has the next ones go in their calls', async () => {
      const { endpoint, accepted, told, open } = await spread();
      const first = await open();
      assert.equal(await endOf(first), 'host_unreachable');
      await until(() => told.length === 1);
      assert.ok(told[0]!.startsWith(`{"endpoint":"${endpoint}","peer":"${endpoint}"} `) && /several hosts.*in their calls/.test(told[0]!), told[0]);
      for (const words of ['hi', 'again']) await echoed(await open(), words);
      assert.deepEqual([accepted.length, told.length], [2, 1]);
    });
  });

  it('a host that was killed is not taken for several', async () => {
    const server = await streams.serveGuest(new PassThrough());
    const relayed = await between((from) => passTo(server, from));
    const console = await streams.attach(relayed);
    for (const each of [...relayed.accepted].reverse()) each.resetAndDestroy();
    assert.equal(await endOf(console), undefined);
    await echoed(await streams.attach(relayed), 'hi');
    await until(() => relayed.accepted.length === 4);
  });
});

/**
 * Replays nova/tests/unit/console/securityproxy/test_rfb.py, console/rfb/test_auth.py and test_authnone.py with real sockets: a browser's
 * WebSocket on one side, a VNC server that says what the test wants on the other, the proxy in between. Here the proxy
 * is through with the host before it greets the client, so that each side's failure is told apart.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { consoleProxyConfig } from '@gatehouse/console-proxy/config';
import { startGuest, type TestGuest } from '@gatehouse/console-proxy/test-guests';
import { TestProxies, until } from '@gatehouse/console-proxy/test-proxy';
import { makeTempFolder, removeTempFolder } from '../servers/server-process.ts';
import { Incoming, RawWebSocket } from './proxy-visitor.ts';

const V38 = 'RFB 003.008\n';
const OK = Buffer.alloc(4);
/** What Nova's tests let the guest say after the handshake is for no proxy to read. */
const SERVER_INIT = 'a ServerInit';

/** One VNC server's part, and what it heard. */
type Part = (heard: Incoming, socket: Socket) => Promise<void>;

describe("Nova's tests of its RFB security proxy", function () {
  this.timeout(30_000);
  let proxies: TestProxies;
  let part: Part;
  let host: TestGuest;
  let played: Promise<void>;

  before(async () => {
    proxies = new TestProxies();
    await proxies.auth.serve(proxies.transport);
    host = await startGuest((socket) => {
      played = part(new Incoming(socket), socket);
      // The parts of a host whose client is refused come to no end; whoever needs one awaits it.
      played.catch(() => {});
    });
    proxies.auth.consoles.set('screen', { instanceName: 'vm', consoleType: 'novnc', port: host.port });
    await proxies.start('proxy');
  });
  beforeEach(() => (proxies.logged = ''));
  after(async () => {
    await proxies.close();
    await host.close();
  });

  /** A client of the console of that server. */
  async function open(served: Part, proxy = 'proxy'): Promise<RawWebSocket> {
    part = served;
    const { raw } = await RawWebSocket.open(proxies.urlOf(proxy), '/?token=screen', { 'Sec-WebSocket-Protocol': 'binary' });
    return raw;
  }

  /** A server that offers these types and is asked for None; then it sends what a client would read next. */
  const offers =
    (types: readonly number[], version = V38): Part =>
    async (heard, socket) => {
      socket.write(version);
      await heard.take(12);
      socket.write(Buffer.of(types.length, ...types));
      assert.deepEqual([...(await heard.take(1))], [1]);
      if (version !== 'RFB 003.007\n') socket.write(OK);
      assert.deepEqual([...(await heard.take(1))], [1], 'ClientInit');
      socket.write(SERVER_INIT);
    };

  /** The client's part to the end, byte by byte. */
  async function greet(client: RawWebSocket, version = V38): Promise<void> {
    assert.equal((await client.bytes(12)).toString(), V38);
    client.say(version);
    assert.deepEqual([...(await client.bytes(2))], [1, 1]);
    client.say(Buffer.of(1));
    if (version === V38) assert.deepEqual(await client.bytes(4), OK);
    client.say(Buffer.of(1));
    assert.equal((await client.bytes(SERVER_INIT.length)).toString(), SERVER_INIT);
  }

  async function assertOpens(played: Part, version = V38): Promise<void> {
    const client = await open(played);
    await greet(client, version);
    client.destroy();
  }

  /** The host's failure: its user reads the words twice, as RFB and as the close's reason; the log says more. */
  async function assertHostRefused(refusing: Part, words: string, logged: RegExp): Promise<void> {
    const client = await open(refusing);
    const { code, reason, before } = await client.goodbye();
    assert.deepEqual({ code, reason }, { code: 4503, reason: words });
    assert.equal(before, `${V38}\0\0\0\0${String.fromCharCode(words.length)}${words}`);
    await until(() => logged.test(proxies.logged), `${logged} in the log`);
    await until(() => host.sockets.size === 0, 'the host is let go');
    client.destroy();
  }

  describe('test_rfb.py', () => {
    it('test_full_run: of the types 1 and 2 the client sees None and the server is asked for None', async () => {
      await assertOpens(offers([1, 2]));
      await played;
    });

    it('test_parse_version: 12.34 is above what is known, and greeted with the highest that is', async () => {
      await assertOpens(offers([1], 'RFB 012.034\n'));
      await assertHostRefused(async (_heard, socket) => void socket.write('RFB 3.8\n    '), "The console's host does not speak as a VNC server should.", /no RFB version/);
    });

    it('test_fails_on_compute_version: 3.7 and 3.9 are spoken with, what is older than 3.3 is not', async () => {
      await assertOpens(offers([1, 2], 'RFB 003.007\n'));
      await assertOpens(offers([1, 2], 'RFB 003.009\n'));
      await assertHostRefused(async (_heard, socket) => void socket.write('RFB 002.002\n'), "The console's host does not speak as a VNC server should.", /speaks RFB 2\.2/);
    });

    it('test_fails_on_tenant_version: 3.7 is spoken with; 3.9 is refused in the words of RFB, and the session ends', async () => {
      await assertOpens(offers([1]), 'RFB 003.007\n');
      for (const version of ['RFB 003.009\n', 'GET / HTTP/1', '\x80\xff\x00\x80\x80\x80\x80\x80\x80\x80\x80\x80']) {
        const client = await open(offers([1]));
        await client.bytes(12);
        client.say(Buffer.from(version, 'latin1'));
        const { code, before } = await client.goodbye();
        assert.equal(code, 1002);
        assert.match(before, /^\0\0\0\0.Only the RFB versions 3\.3, 3\.7 and 3\.8 are supported$/s);
        await until(() => host.sockets.size === 0, 'the host is let go');
        client.destroy();
      }
    });

    it("test_fails_on_sec_type_cnt_zero: the host's reason is shown", async () => {
      await assertHostRefused(refuses(6, 'cheese'), "The console's host refused: cheese", /it refused: cheese/);
    });

    it('test_fails_on_sec_type_cnt_zero_oversized_reason: a reason of a thousand bytes is not read', async () => {
      await assertHostRefused(refuses(1_000, 'x'.repeat(1_000)), "The console's host did not accept this proxy.", /a reason of 1000 bytes, which was not read/);
      await assertHostRefused(refuses(0xffffffff, ''), "The console's host did not accept this proxy.", /4294967295 bytes/);
    });

    it('test_client_auth_invalid_fails: a client that wants another type than None reads which there is', async () => {
      for (const type of [2, 0, 0x80]) {
        const client = await open(offers([1, 2]));
        await client.bytes(12);
        client.say(V38);
        await client.bytes(2);
        client.say(Buffer.of(type));
        const words = 'Only the security type 1 (None) is supported';
        const { code, before } = await client.goodbye();
        assert.deepEqual([code, before], [1002, `\0\0\0\x01\0\0\0${String.fromCharCode(words.length)}${words}`]);
        await until(() => host.sockets.size === 0, 'the host is let go');
        client.destroy();
      }
    });

    it('test_exception_in_choose_security_type_fails: where the host has no scheme of ours, the log says which it has', async () => {
      const played: Part = async (heard, socket) => {
        socket.write(V38);
        await heard.take(12);
        socket.write(Buffer.of(2, 2, 5));
      };
      await assertHostRefused(played, "The console's host offers no security that this proxy accepts.", /it offers 2 \(VNC\), 5 \(RA2\)/);
    });

    it('test_exception_security_handshake_fails: a host that accepts None and then refuses is quoted', async () => {
      const played: Part = async (heard, socket) => {
        socket.write(V38);
        await heard.take(12);
        socket.write(Buffer.of(2, 1, 2));
        await heard.take(1);
        socket.write(Buffer.concat([Buffer.of(0, 0, 0, 1, 0, 0, 0, 8), Buffer.from('crackers')]));
      };
      await assertHostRefused(played, "The console's host refused: crackers", /it refused: crackers/);
    });

    it('a type that no list knows is passed over, which crashes Nova', () => assertOpens(offers([129, 1])));

    it('a host that goes in the middle is told apart from one that refuses', async () => {
      await assertHostRefused(async (_heard, socket) => void socket.end('RFB 003'), "The console's host closed the connection before the console was open.", /where the RFB version should have come/);
    });
  });

  describe('test_authnone.py', () => {
    it('test_handshake: the stream goes on as it is, also what came glued to the handshake', async () => {
      const client = await open(async (heard, socket) => {
        socket.write(V38);
        await heard.take(12);
        socket.write(Buffer.of(1, 1));
        await heard.take(1);
        socket.write(Buffer.concat([OK, Buffer.from(SERVER_INIT)]));
      });
      await greet(client);
      client.destroy();
    });
  });

  describe('test_auth.py', () => {
    const schemesOf = (vncAuthSchemes: string): unknown => consoleProxyConfig.parse({ vncAuthSchemes }).vncAuthSchemes;

    it('test_load_ok: both of Nova\'s schemes may be set', () => assert.deepEqual(schemesOf('none,vencrypt'), ['none', 'vencrypt']));

    it('test_load_unknown: a scheme that is none is refused at the start', () => assert.throws(() => schemesOf('none,wibble'), /wibble|none/));

    it('test_find_scheme_ok: of 16 and 1 None is taken', () => assertOpens(offers([16, 1])));

    it('test_find_scheme_priority: the first of ours that the server has is taken, whatever its own order', async () => {
      const folder = makeTempFolder('nova-vnc');
      try {
        const vncPasswordFile = join(folder, 'password');
        writeFileSync(vncPasswordFile, 'secret');
        for (const [name, vncAuthSchemes, wanted] of [['none-first', ['none', 'vnc'], 1], ['password-first', ['vnc', 'none'], 2]] as const) {
          await proxies.start(name, { vncAuthSchemes: [...vncAuthSchemes], vncPasswordFile });
          const client = await open(async (heard, socket) => {
            socket.write(V38);
            await heard.take(12);
            socket.write(Buffer.of(2, 3 - wanted, wanted));
            assert.deepEqual([...(await heard.take(1))], [wanted]);
            if (wanted === 2) socket.write(Buffer.alloc(16));
            if (wanted === 2) assert.equal((await heard.take(16)).length, 16);
            socket.write(Buffer.concat([OK, Buffer.from(SERVER_INIT)]));
          }, name);
          await greet(client);
          await played;
          client.destroy();
        }
      } finally {
        removeTempFolder(folder);
      }
    });

    it('test_find_scheme_fail: of 16 alone nothing is', async () => {
      const played: Part = async (heard, socket) => {
        socket.write(V38);
        await heard.take(12);
        socket.write(Buffer.of(1, 16));
      };
      await assertHostRefused(played, "The console's host offers no security that this proxy accepts.", /it offers 16 \(Tight\), and GATEHOUSE_VNC_AUTH_SCHEMES accepts 1 \(None\)/);
    });
  });
});

/** A server that offers no security types, and says why in so many bytes. */
function refuses(length: number, reason: string): Part {
  return async (heard, socket) => {
    socket.write(V38);
    await heard.take(12);
    const head = Buffer.alloc(5);
    head.writeUInt32BE(length, 1);
    socket.write(Buffer.concat([head, Buffer.from(reason)]));
  };
}

/**
 * Replays what of Nova's tests of its proxies (nova/tests/unit/console/test_websocketproxy.py) is about tokens, with Nova's own
 * URLs: clients that expect them, such as Horizon's frame and programs that dial ws://...?token=, are served.
 */
import assert from 'node:assert/strict';
import { WebSocket } from 'ws';
import { RawWebSocket } from './proxy-visitor.ts';
import { startWholeHouse } from './whole-house.ts';
import type { WholeHouse } from './whole-house.ts';

interface Seen {
  readonly code: number | null;
  readonly reason: string;
  readonly text: string;
}

describe("Nova's tests of tokens at the proxy", function () {
  this.timeout(60_000);
  let house: WholeHouse;
  let server = '';

  before(async () => {
    house = await startWholeHouse(['compute-1'], { consoleUrlStyle: 'nova' });
    server = await house.boot('compute-1');
  });
  after(() => house?.stop());

  async function urlOf(protocol: string, type: string, id = server): Promise<URL> {
    const { status, body } = await house.ask('2.6', 'POST', `/servers/${id}/remote-consoles`, { remote_console: { protocol, type } });
    assert.equal(status, 200, JSON.stringify(body));
    return new URL((body['remote_console'] as { url: string }).url);
  }

  /** Where noVNC's page opens its WebSocket: its `path` is all that comes after the host. */
  async function socketOfPage(): Promise<string> {
    const url = await urlOf('vnc', 'novnc');
    return `ws://${url.host}/${url.searchParams.get('path')}`;
  }

  /** What comes until `pattern` has, or the connection is closed. */
  function dial(address: string, pattern: RegExp, headers: Readonly<Record<string, string>> = {}): Promise<Seen> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(address, ['binary'], { headers });
      let text = '';
      socket.on('error', reject);
      socket.on('open', () => socket.send(Buffer.from('\r')));
      socket.on('close', (code, reason) => resolve({ code, reason: reason.toString(), text }));
      socket.on('message', (data: Buffer) => {
        text += data.toString('latin1');
        if (!pattern.test(text)) return;
        socket.removeAllListeners('close');
        socket.terminate();
        resolve({ code: null, reason: '', text });
      });
    });
  }

  it('test_new_websocket_client_db: the token of a URL, as a serial client dials it, opens its console', async () => {
    const url = await urlOf('serial', 'serial');
    assert.equal(url.protocol, 'ws:');
    assert.equal((await dial(url.href, /\S/)).code, null);
  });

  it("test_new_websocket_client: the token in the query that noVNC's page makes of its path opens the screen", async () => {
    const { code, text } = await dial(await socketOfPage(), /^RFB 003\.008\n/);
    assert.equal(code, null, text);
    const page = await fetch(await urlOf('vnc', 'novnc'));
    assert.deepEqual([page.status, page.headers.get('content-type')], [200, 'text/html; charset=utf-8']);
  });

  it('test_novnc (frame by frame): as Tempest asks for it, with every step of RFB in a frame of its own', async () => {
    const url = await urlOf('vnc', 'novnc');
    const html = await (await fetch(url)).text();
    for (const part of [/<html.*>/, /<\/html>/, /noVNC/, /<script/]) assert.match(html, part);

    // Its query is sent as a cookie too, for noVNC before 1.1.
    const headers = { 'Sec-WebSocket-Protocol': 'binary', Cookie: url.search.slice(1) };
    const { raw, answer } = await RawWebSocket.open(house.proxyUrl, `/${url.searchParams.get('path')}`, headers);
    assert.match(answer, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
    assert.match(answer.toLowerCase(), /upgrade: websocket/);
    const frame = async (): Promise<Buffer> => (await raw.frame()).payload;
    const version = await frame();
    assert.equal(version.toString(), 'RFB 003.008\n');
    raw.say(version);
    const types = await frame();
    assert.ok(types.subarray(1, 1 + types[0]!).includes(1));
    raw.say('\x01');
    assert.deepEqual(await frame(), Buffer.alloc(4));
    raw.say('\x01');
    const init = await frame();
    assert.ok(init.length > 24);
    assert.equal(init.length, 24 + init.readUInt32BE(20));
    raw.destroy();
  });

  it('test_new_websocket_client_token_invalid: closed with a code and words, and no byte before', async () => {
    const address = new URL(await socketOfPage());
    address.searchParams.set('token', 'XXX');
    assert.deepEqual(await dial(address.href, /./s), { code: 4401, reason: 'this console link is unknown or has expired; ask for a new one', text: '' });
  });

  it('test_new_websocket_client_db_instance_not_found: the token of a server that was deleted meanwhile', async () => {
    const id = await house.boot('compute-1');
    const url = await urlOf('serial', 'serial', id);
    await house.ask('2.90', 'DELETE', `/servers/${id}`);
    assert.equal((await dial(url.href, /./s)).code, 4401);
  });

  it('test_no_compute_rpcapi_with_invalid_token: a bad token is refused also while no host answers', async () => {
    const agentless = await startWholeHouse([], { consoleUrlStyle: 'nova' });
    try {
      const { code } = await dial(`${agentless.proxyUrl.replace('http', 'ws')}/?token=XXX`, /./s);
      assert.equal(code, 4401);
    } finally {
      await agentless.stop();
    }
  });
});

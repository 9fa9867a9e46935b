/**
 * What was measured of Nova's proxy on the wire, of which none of its tests speaks: sub-protocols, frames, closes, pages. Where ours
 * answers otherwise the title says so, and docs/nova-consoles.md why.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { echo, flood, startGuest, type TestGuest } from '@gatehouse/console-proxy/test-guests';
import { TestProxies } from '@gatehouse/console-proxy/test-proxy';
import { clientFrame, hello, RawWebSocket, say, upgrade } from './proxy-visitor.ts';

const [TEXT, BINARY, CLOSE, PING, PONG] = [1, 2, 8, 9, 10];
/** What one reader who never reads may cost the proxy, and what it may cost Nova's within a second. */
const HELD_BYTES_MAX = 32_000_000;

describe("What Nova's proxy does on the wire", function () {
  this.timeout(30_000);
  let proxies: TestProxies;
  let guest: TestGuest;
  let url = '';

  before(async () => {
    proxies = new TestProxies();
    await proxies.auth.serve(proxies.transport);
    guest = await startGuest(echo);
    proxies.auth.consoles.set('good', { instanceName: 'vm', consoleType: 'serial', port: guest.port });
    await proxies.start('proxy');
    url = proxies.urlOf('proxy');
  });
  after(async () => {
    await proxies.close();
    await guest.close();
  });

  /** A console with Nova's sub-protocol, its guest an echo. */
  async function open(): Promise<RawWebSocket> {
    const { raw } = await RawWebSocket.open(url, '/?token=good', { 'Sec-WebSocket-Protocol': 'binary' });
    raw.say('hi');
    assert.equal((await raw.bytes(2)).toString(), 'hi');
    return raw;
  }

  describe('sub-protocols', () => {
    for (const [offered, answered] of [
      [null, null],
      ['binary', 'binary'],
      ['binary, base64', 'binary'],
      // Nova does not trim, and refuses this one.
      ['base64, binary', 'binary'],
      ['chat,binary', 'binary'],
    ] as const) {
      it(`${offered ?? 'none'}: answered ${answered ?? 'none'}`, async () => {
        const { raw, answer } = await RawWebSocket.open(url, '/?token=good', { 'Sec-WebSocket-Protocol': offered });
        assert.match(answer, /^HTTP\/1\.1 101 /);
        assert.equal(/^sec-websocket-protocol: (.*)\r$/im.exec(answer)?.[1] ?? null, answered);
        raw.destroy();
      });
    }

    for (const offered of ['base64', 'chat', 'xbinary', '']) {
      it(`"${offered}": 400 that says what is spoken`, async () => {
        const answer = await say(url, upgrade('/?token=good', { 'Sec-WebSocket-Protocol': offered }));
        assert.match(answer, /^HTTP\/1\.1 400 [^]*Invalid protocol selected[^]*binary/);
      });
    }
  });

  describe('handshakes', () => {
    for (const version of ['7', '8', '13']) {
      it(`version ${version} is spoken`, async () => {
        const { raw, answer } = await RawWebSocket.open(url, '/?token=good', { 'Sec-WebSocket-Version': version });
        assert.match(answer, /^HTTP\/1\.1 101 /);
        raw.destroy();
      });
    }

    it('no other version is: 400 that names it', async () => {
      assert.match(await say(url, upgrade('/?token=good', { 'Sec-WebSocket-Version': '6' })), /^HTTP\/1\.1 400 [^]*Unsupported protocol version 6/);
    });

    it('without key or version: 400', async () => {
      for (const header of ['Sec-WebSocket-Key', 'Sec-WebSocket-Version']) {
        assert.match(await say(url, upgrade('/?token=good', { [header]: null })), /^HTTP\/1\.1 400 /);
      }
    });

    it('at any path', async () => {
      for (const path of ['/', '/websockify', '/cell-2/anything']) assert.equal((await hello(url, `${path}?token=good`)).code, null, path);
    });
  });

  describe('tokens', () => {
    it('the last of several in the query counts, and of several cookies too', async () => {
      assert.equal((await hello(url, '/?token=bad&token=good')).code, null);
      assert.equal((await hello(url, '/?token=good&token=bad')).code, 4401);
      assert.equal((await hello(url, '/', { cookie: 'token=bad; token=good' })).code, null);
      assert.equal((await hello(url, '/', { cookie: 'token=good; token=bad' })).code, 4401);
    });

    it('an empty one in the query is none, and the cookie counts', async () => {
      assert.equal((await hello(url, '/?token=', { cookie: 'token="good"' })).code, null);
    });

    it("otherwise: noVNC's nested path is understood as it stands in a WebSocket's own URL too", async () => {
      assert.equal((await hello(url, '/?path=%3Ftoken%3Dgood')).code, null);
    });

    it('otherwise: the subprotocol token.<token> counts before all others and is not answered', async () => {
      const { raw, answer } = await RawWebSocket.open(url, '/?token=bad', { 'Sec-WebSocket-Protocol': 'binary, token.good', Cookie: 'token=bad' });
      assert.doesNotMatch(answer, /good/);
      raw.say('hi');
      assert.equal((await raw.bytes(2)).toString(), 'hi');
      raw.destroy();
    });
  });

  describe('frames', () => {
    it('text: 1003', async () => {
      const raw = await open();
      raw.send(clientFrame(TEXT, Buffer.from('hi')));
      const { code, reason } = await raw.goodbye();
      assert.equal(code, 1003);
      assert.match(reason, /text/i);
      raw.destroy();
    });

    it('not masked: 1002', async () => {
      const raw = await open();
      raw.send(clientFrame(BINARY, Buffer.from('hi'), { masked: false }));
      const { code, reason } = await raw.goodbye();
      assert.equal(code, 1002);
      assert.match(reason, /mask/i);
      raw.destroy();
    });

    it('ping: pong with what it said', async () => {
      const raw = await open();
      raw.send(clientFrame(PING, Buffer.from('are you there')));
      assert.deepEqual(await raw.frame(), { opcode: PONG, payload: Buffer.from('are you there') });
      raw.destroy();
    });

    it("close: the client's code comes back", async () => {
      const raw = await open();
      raw.send(clientFrame(CLOSE, Buffer.concat([Buffer.from([0x0b, 0xb8]), Buffer.from('done')])));
      assert.equal((await raw.goodbye()).code, 3000);
      raw.destroy();
    });
  });

  describe('ends', () => {
    it('the guest closes: 1000 with words', async () => {
      const raw = await open();
      for (const socket of guest.sockets) socket.end();
      assert.deepEqual(await raw.goodbye(), { code: 1000, reason: 'The machine closed the console.', before: '' });
      raw.destroy();
    });

    it('otherwise: a proxy that stops says goodbye (1012), where Nova cuts the connection (1006)', async () => {
      await proxies.start('stops');
      const { raw } = await RawWebSocket.open(proxies.urlOf('stops'), '/?token=good', { 'Sec-WebSocket-Protocol': 'binary' });
      raw.say('hi');
      await raw.bytes(2);
      const [{ code, reason }] = await Promise.all([raw.goodbye(), proxies.drain('stops')]);
      assert.equal(code, 1012);
      assert.match(reason, /restarting/);
      raw.destroy();
    });

    it('otherwise: a host that cannot be reached is named as what it is (4503), where Nova has 1006', async () => {
      // A port that is never given out.
      proxies.auth.consoles.set('gone', { instanceName: 'vm', consoleType: 'serial', port: 1 });
      const { code, reason } = await hello(url, '/?token=gone');
      assert.equal(code, 4503);
      assert.match(reason, /could not be reached/);
    });
  });

  it('otherwise: a reader who does not read holds the guest back, where 300 MB queue up in Nova within a second', async () => {
    const source = await startGuest(flood);
    proxies.auth.consoles.set('flood', { instanceName: 'vm', consoleType: 'serial', port: source.port });
    const socket = new WebSocket(`${url.replace('http', 'ws')}/?token=flood`, ['binary']);
    await once(socket, 'message');
    socket.pause();
    const sent = (): number => [...source.sockets].reduce((sum, each) => sum + each.bytesWritten, 0);
    for (let before = -1; sent() !== before; await pause(250)) before = sent();
    assert.ok(sent() < HELD_BYTES_MAX, `${sent()} bytes were taken from the guest`);
    socket.terminate();
    await source.close();
  });

  describe('plain requests', () => {
    const get = (target: string, method = 'GET'): Promise<string> => say(url, `${method} ${target} HTTP/1.1\r\nHost: example.net\r\nConnection: close\r\n\r\n`);

    it('no folder is listed and no path leads out of what is served: 404', async () => {
      for (const target of ['/assets/', '/web/', '/..%2f..%2fetc/passwd', '/../../etc/passwd', '/core/../../../etc/passwd']) assert.match(await get(target), /^HTTP\/1\.1 404 /, target);
    });

    it('otherwise: methods that change something are 405 and name those there are, where Nova has 501', async () => {
      assert.match(await get('/', 'POST'), /^HTTP\/1\.1 405 [^]*allow: GET, HEAD/i);
    });

    it('otherwise: every answer has the headers that protect a page, and none names software', async () => {
      for (const target of ['/', '/vnc', '/nothing']) {
        const answer = await get(target);
        for (const header of ['content-security-policy', 'x-content-type-options', 'referrer-policy', 'cache-control']) assert.match(answer, new RegExp(`^${header}: `, 'im'), `${target} ${header}`);
        assert.doesNotMatch(answer, /^(server|x-powered-by): /im);
      }
    });
  });
});

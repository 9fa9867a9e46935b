/** What one address, and all together, may have of a proxy: whoever is slow, silent or many keeps nobody else out. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { echo, startGuest, type TestGuest } from './test-guests.ts';
import { closeOf, TestProxies, until, type Closed } from './test-proxy.ts';

/** The loopback stands for a balancer, so that clients can come from anywhere. */
const BALANCED = { trustedProxies: ['127.0.0.1'] };

describe('the bounds of an address', function () {
  this.timeout(30_000);
  let proxies: TestProxies;
  let guest: TestGuest;
  beforeEach(async () => {
    proxies = new TestProxies();
    await proxies.auth.serve(proxies.transport);
    guest = await startGuest(echo);
    proxies.auth.consoles.set('good', { instanceName: 'demo-1', consoleType: 'serial', port: guest.port });
  });
  afterEach(async () => {
    await proxies.close();
    await guest.close();
  });

  const port = (): number => Number(new URL(proxies.urlOf('proxy-1')).port);

  function open(address: string, token = 'good', headers: Record<string, string> = {}): { readonly socket: WebSocket; readonly closed: Promise<Closed> } {
    const socket = new WebSocket(`${proxies.urlOf('proxy-1').replace('http', 'ws')}/?token=${token}`, { headers: { 'x-forwarded-for': address, ...headers } });
    socket.on('error', () => {});
    return { socket, closed: closeOf(socket) };
  }
  const isOpen = async (address: string): Promise<boolean> => {
    const { socket, closed } = open(address);
    socket.on('open', () => socket.send(Buffer.from('?')));
    const heard = await Promise.race([once(socket, 'message').then(() => true), closed.then(() => false)]);
    return heard;
  };

  /** Opens a connection that says only this. */
  function say(words: string, localAddress = '127.0.0.1'): Socket {
    const socket = connect({ port: port(), host: '127.0.0.1', localAddress });
    socket.on('error', () => {});
    socket.write(words);
    return socket;
  }

  it('stand for what is open: one more is refused with 4429, and whoever closes makes room, however it does', async () => {
    await proxies.start('proxy-1', { ...BALANCED, proxyConnectionsPerAddress: 2 });
    const [first, second] = [open('192.0.2.1'), open('192.0.2.1')];
    await until(() => guest.sockets.size === 2, 'two consoles');
    const refused = await open('192.0.2.1').closed;
    assert.equal(refused.code, 4429);
    assert.match(refused.reason, /Your address has as many consoles/);
    assert.ok(await isOpen('192.0.2.2'));
    for (const [leaving, leave] of [[first, () => first.socket.terminate()], [second, () => second.socket.close()]] as const) {
      leave();
      // Closed at the client's end, the connection is so at the proxy's before the next one's request is read.
      await leaving.closed;
      await until(() => guest.sockets.size === 2, 'room');
      assert.ok(await isOpen('192.0.2.1'));
    }
    assert.deepEqual(proxies.audited.map(({ reason, clientAddress }) => [reason, clientAddress]), [['RESOURCE_EXHAUSTED', '192.0.2.1']]);
  });

  it('count the addresses of an IPv6 /64 as one', async () => {
    await proxies.start('proxy-1', { ...BALANCED, proxyConnectionsPerAddress: 1 });
    assert.ok(await isOpen('2001:db8::1'));
    assert.equal((await open('2001:db8::ffff:2').closed).code, 4429);
    assert.ok(await isOpen('2001:db8:0:1::1'));
  });

  it('are of the peer where nobody said that it is a balancer', async () => {
    await proxies.start('proxy-1', { proxyConnectionsPerAddress: 1 });
    assert.ok(await isOpen('192.0.2.1'));
    assert.equal((await open('192.0.2.2').closed).code, 4429);
  });

  it('stand for who is being let in, and are kept however that ends', async () => {
    await proxies.start('proxy-1', { ...BALANCED, proxyOpeningPerAddress: 2 });
    let letGo = (): void => {};
    proxies.auth.hold = new Promise((resolve) => (letGo = resolve));
    const [leaving, staying, wrong] = [open('192.0.2.1'), open('192.0.2.1'), open('192.0.2.9', 'bad')];
    await Promise.all([leaving, staying].map(({ socket }) => once(socket, 'open')));
    const refused = await open('192.0.2.1').closed;
    assert.equal(refused.code, 4429);
    assert.match(refused.reason, /being opened from your address/);
    leaving.socket.terminate();
    letGo();
    assert.equal((await wrong.closed).code, 4401);
    await until(() => proxies.auth.released.length === 1 && guest.sockets.size === 1, 'the one that stayed, and the end of the one that left');
    for (let i = 0; i < 6; i++) assert.equal((await open('192.0.2.1', 'bad').closed).code, 4401);
    assert.ok(await isOpen('192.0.2.1'));
  });

  it('stand for who is asked about at one time, and who waits for that is counted', async () => {
    const metrics = await proxies.start('proxy-1', { ...BALANCED, proxyOpeningMax: 1 });
    let letGo = (): void => {};
    proxies.auth.hold = new Promise((resolve) => (letGo = resolve));
    const inLine = async (): Promise<string | undefined> => /gatehouse_proxy_opening_waiting\{.*\} (\d+)$/m.exec(await metrics.registry.metrics())?.[1];
    for (const [before, address] of ['192.0.2.1', '192.0.2.2', '192.0.2.3'].entries()) {
      await once(open(address).socket, 'open');
      for (let tries = 0; tries < 1_000 && (await inLine()) !== `${before}`; tries += 1) await pause(5);
      assert.equal(await inLine(), `${before}`);
    }
    letGo();
    await until(() => guest.sockets.size === 3, 'all in their turn');
    assert.equal(await inLine(), '0');
  });

  it('keep a flood of bad tokens from one address off everybody else', async () => {
    await proxies.start('proxy-1', { ...BALANCED, proxyOpeningMax: 8, proxyOpeningPerAddress: 4 });
    // consoleauth takes its time, as one that is flooded does.
    Object.defineProperty(proxies.auth, 'hold', { get: () => pause(30) });
    let isOver = false;
    const codes = new Map<number, number>();
    const flood = Array.from({ length: 12 }, async () => {
      while (!isOver) {
        const { code } = await open('192.0.2.66', 'bad').closed;
        codes.set(code, (codes.get(code) ?? 0) + 1);
      }
    });
    await until(() => (codes.get(4429) ?? 0) > 8, 'the flood');
    for (let i = 0; i < 5; i++) assert.ok(await isOpen(`192.0.2.${i}`), `client ${i}`);
    isOver = true;
    await Promise.all(flood);
    assert.deepEqual([...codes.keys()].filter((code) => ![4401, 4429].includes(code)), []);
  });

  it('let the oldest connection that is no console make room, and no console', async () => {
    await proxies.start('proxy-1', { proxyHandshakesPerAddress: 3 });
    assert.ok(await isOpen('-'));
    const slow = Array.from({ length: 12 }, () => say('GET /vnc HTTP/1.1\r\nHost: x\r\nX-Drip: '));
    await until(() => slow.filter(({ destroyed }) => destroyed).length === 9, 'those beyond the bound are closed');
    assert.deepEqual(slow.slice(9).map(({ destroyed }) => destroyed), [false, false, false]);
    // Another address is not touched, and this one gets through too.
    assert.match(await text(say('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', '127.0.0.2')), /^HTTP\/1\.1 200 /);
    assert.equal(slow.filter(({ destroyed }) => destroyed).length, 9);
    assert.ok(await isOpen('-'));
    assert.equal(guest.sockets.size, 2);
    assert.match(proxies.logged, /too many connections that are no console/);
    for (const socket of slow) socket.destroy();
  });

  it('are for all addresses together, too', async () => {
    const metrics = await proxies.start('proxy-1', { proxyHandshakesMax: 4 });
    const slow = Array.from({ length: 10 }, (_, i) => say('GET', `127.0.1.${i + 1}`));
    await until(() => slow.filter(({ destroyed }) => destroyed).length === 6, 'those beyond the bound are closed');
    assert.ok(await isOpen('-'));
    const counted = await metrics.registry.metrics();
    assert.match(counted, /gatehouse_proxy_connections_cut_total\{bound="all",.*\} [678]$/m);
    assert.match(counted, /gatehouse_proxy_connections_waiting.* [34]$/m);
    for (const socket of slow) socket.destroy();
    await until(() => slow.every(({ closed }) => closed), 'they are gone');
  });

  it('do not count a balancer as one client', async () => {
    await proxies.start('proxy-1', { ...BALANCED, proxyHandshakesPerAddress: 1 });
    const slow = Array.from({ length: 5 }, () => say('GET'));
    await pause(200);
    assert.equal(slow.filter(({ destroyed }) => destroyed).length, 0);
    for (const socket of slow) socket.destroy();
  });

  it('end at all connections that there may be, and whoever runs the proxy reads so', async () => {
    const metrics = await proxies.start('proxy-1', { proxyConnectionsMax: 2 });
    assert.ok(await isOpen('-'));
    assert.ok(await isOpen('-'));
    for (let i = 0; i < 3; i++) assert.equal(await text(say('GET / HTTP/1.1\r\nHost: x\r\n\r\n')).catch(() => ''), '');
    assert.match(await metrics.registry.metrics(), /gatehouse_proxy_connections_dropped_total\{.*\} 3$/m);
    assert.equal(proxies.logged.split('connections are closed as they come').length - 1, 1);
  });

  it('do not wait for a body: it is answered, and not listened to', async () => {
    await proxies.start('proxy-1');
    for (const length of ['Content-Length: 1000000', 'Transfer-Encoding: chunked']) {
      const socket = say(`POST / HTTP/1.1\r\nHost: x\r\n${length}\r\n\r\n5\r\nhello`);
      const drip = setInterval(() => socket.write('x'), 20);
      const answer = await text(socket);
      clearInterval(drip);
      assert.match(answer, /^HTTP\/1\.1 405 [^]*Connection: close/i);
    }
  });

  it('refuse a page that names no Host, and let a program in that names none', async () => {
    await proxies.start('proxy-1');
    const upgrade = (more: string): string =>
      `GET /?token=bad HTTP/1.1\r\n${more}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;
    for (const [more, code] of [['Origin: http://localhost\r\n', 4403], ['Origin: http://localhost\r\nHost:\r\n', 4403], ['', 4401]] as const) {
      const socket = say(upgrade(more));
      let heard = Buffer.alloc(0);
      socket.on('data', (bytes: Buffer) => (heard = Buffer.concat([heard, bytes])));
      const expected = Buffer.from([code >> 8, code & 255]);
      await until(() => heard.includes(expected), `${code} for ${JSON.stringify(more)}`);
      assert.match(heard.toString('latin1'), /^HTTP\/1\.1 101 /);
      socket.destroy();
    }
  });

  it('never put a token into the log, wherever it stands and whatever is wrong with it', async () => {
    await proxies.start('proxy-1', { ...BALANCED, proxyConnectionsPerAddress: 1 });
    const secret = 'S3cr3tS3cr3tS3cr3tS3cr3tS3cr3tS3cr3tS3cr3t0';
    const heads = [
      `GET /?token=${secret} HTTP/1.1\r\nHost: x\r\n\r\n`,
      `GET /?token=${secret}\r\n\r\n`,
      `GET /?token=${secret} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 5\r\n\r\n`,
      `GET / HTTP/1.1\r\nHost: x\r\nCookie: token=${secret}\r\nBroken\r\n\r\n`,
      `GET / HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Protocol: token.${secret}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
    ];
    for (const head of heads) {
      const socket = say(head);
      await Promise.race([once(socket, 'data'), once(socket, 'close')]);
      socket.destroy();
    }
    for (const path of [secret, `${secret}&x=%`, '']) {
      const headers = { cookie: `=;;"; token=${secret}`, origin: path === '' ? `http://${secret}.example` : proxies.urlOf('proxy-1') };
      await open('192.0.2.1', path, headers).closed;
    }
    const lines = proxies.logged.split('\n').filter((line) => line.includes(secret) && !line.includes(`http://${secret.toLowerCase()}`));
    assert.deepEqual(lines, []);
    assert.ok(!JSON.stringify(proxies.audited).includes(secret));
  });
});

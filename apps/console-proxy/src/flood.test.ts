/** Floods from many addresses, of whoever has no token: they are in each other's way, and in nobody else's. */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { echo, startGuest, type TestGuest } from './test-guests.ts';
import { TestProxies, until } from './test-proxy.ts';

const USER = '127.200.0.1';

describe('a flood from many networks', function () {
  this.timeout(30_000);
  let proxies: TestProxies;
  let guest: TestGuest;
  const sockets = new Set<{ destroy(): void }>();
  beforeEach(async () => {
    proxies = new TestProxies();
    await proxies.auth.serve(proxies.transport);
    guest = await startGuest(echo);
    proxies.auth.consoles.set('good', { instanceName: 'demo-1', consoleType: 'serial', port: guest.port });
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
    await proxies.close();
    await guest.close();
  });

  const port = (): number => Number(new URL(proxies.urlOf('proxy-1')).port);
  /** The first of each network, then the second, and so on. */
  const addressOf = (which: number, networks: number): string => `127.${1 + (which % networks)}.0.${1 + Math.floor(which / networks)}`;

  function say(words: string, localAddress: string): Socket {
    const socket = connect({ port: port(), host: '127.0.0.1', localAddress }).on('error', () => {});
    socket.write(words);
    sockets.add(socket);
    return socket;
  }
  async function codeOf(token: string, localAddress: string): Promise<number | 'open'> {
    const socket = new WebSocket(`${proxies.urlOf('proxy-1').replace('http', 'ws')}/?token=${token}`, { localAddress });
    sockets.add({ destroy: () => socket.terminate() });
    return new Promise((resolve) => {
      socket.on('open', () => socket.send(Buffer.from('?')));
      socket.on('message', () => resolve('open'));
      socket.on('error', () => {});
      socket.on('close', (code) => resolve(code));
    });
  }

  it('with handshakes that do not end cuts its own, and not the one of a user who is slow', async () => {
    await proxies.start('proxy-1', { proxyHandshakesMax: 60, proxyHandshakesPerAddress: 10, proxyHeaderTimeout: 60 });
    const slow = say('GET / HTTP/1.1\r\nHost: x\r\n', USER);
    await until(() => slow.bytesWritten > 0, 'the user has begun');
    const flood: Socket[] = [];
    for (let which = 0; which < 600; which += 1) {
      flood.push(say('GET / HTTP/1.1\r\nHost: x\r\nX-Drip: ', addressOf(which, 20)));
      if (which % 20 === 19) await pause(1);
    }
    await until(() => flood.filter(({ destroyed }) => destroyed).length >= 600 - 60, 'those beyond the bound are closed');
    assert.equal(slow.destroyed, false);
    slow.write('Connection: close\r\n\r\n');
    assert.match(await text(slow), /^HTTP\/1\.1 200 /);
    assert.equal(await codeOf('good', USER), 'open');
  });

  it('with tokens that are none has them refused, and a user is let in in its turn', async () => {
    await proxies.start('proxy-1', { proxyOpeningMax: 4 });
    // consoleauth takes its time, as one that is flooded does.
    Object.defineProperty(proxies.auth, 'hold', { get: () => pause(20) });
    let isOver = false;
    const codes = new Map<number | 'open', number>();
    const flood = Array.from({ length: 60 }, async (_, which) => {
      while (!isOver) {
        const code = await codeOf('bad', addressOf(which, 6));
        codes.set(code, (codes.get(code) ?? 0) + 1);
      }
    });
    await until(() => (codes.get(4429) ?? 0) > 20 && (codes.get(4401) ?? 0) > 20, 'the flood');
    for (let time = 0; time < 5; time += 1) assert.equal(await codeOf('good', USER), 'open');
    isOver = true;
    await Promise.all(flood);
    assert.deepEqual([...codes.keys()].filter((code) => code !== 4401 && code !== 4429), []);
  });

  it('of users whose hosts do not answer keeps nobody out', async () => {
    const silent = await startGuest(() => {});
    proxies.auth.consoles.set('silent', { instanceName: 'demo-2', consoleType: 'novnc', port: silent.port });
    await proxies.start('proxy-1', { proxyOpeningMax: 2 });
    for (let which = 0; which < 10; which += 1) void codeOf('silent', addressOf(which, 2));
    await until(() => silent.sockets.size === 10, 'they wait for their host');
    assert.equal(await codeOf('good', USER), 'open');
    await silent.close();
  });
});

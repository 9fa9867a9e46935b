import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { JOINED_MAX } from './channel-sockets.ts';
import { startGuest, type TestGuest } from './test-guests.ts';
import { TestClient, TestProxies, until } from './test-proxy.ts';
import { ack, greetingOf, keyDown, SPICE_DISPLAY, SPICE_INPUTS, SPICE_MAIN } from './test-spice-bytes.ts';

/** A main channel's greeting, and one of a channel that belongs to a connection. */
const MAIN = greetingOf(SPICE_MAIN);
const DISPLAY = greetingOf(SPICE_DISPLAY);

describe('a SPICE session of several sockets', () => {
  let proxies: TestProxies;
  let guest: TestGuest;
  /** What came on each connection to the guest, in the order in which they were opened. */
  let heard: { socket: Socket; bytes: Buffer }[];

  beforeEach(async () => {
    heard = [];
    guest = await startGuest((socket) => {
      const channel = { socket, bytes: Buffer.alloc(0) };
      heard.push(channel);
      socket.on('data', (bytes) => {
        channel.bytes = Buffer.concat([channel.bytes, bytes]);
        socket.write('told');
      });
    });
    proxies = new TestProxies();
    await proxies.auth.serve(proxies.transport);
    await proxies.start('p');
    for (const token of ['screen', 'other']) proxies.auth.consoles.set(token, { instanceName: 'm', consoleType: 'spice-html5', port: guest.port });
    proxies.auth.consoles.set('line', { instanceName: 'm', consoleType: 'serial', port: guest.port });
  });

  afterEach(async () => {
    await proxies.close();
    await guest.close();
  });

  /** As a stock client opens a channel: whatever it is, it shows the token. */
  async function openChannel(greeting: Buffer, token = 'screen', proxy = 'p', grant: unknown = null): Promise<TestClient> {
    const credentials = [`token.${token}`, ...(typeof grant === 'string' ? [`resume.${grant}`] : [])];
    const client = new TestClient(proxies.urlOf(proxy), ['binary', ...credentials]);
    client.socket.once('open', () => client.socket.send(greeting));
    await until(() => client.socket.readyState !== client.socket.CONNECTING, 'the handshake');
    return client;
  }

  async function openWith(channels: number): Promise<{ main: TestClient; others: TestClient[] }> {
    const main = await openChannel(MAIN);
    await until(() => main.text === 'told', 'the main channel');
    const others: TestClient[] = [];
    for (let count = 0; count < channels; count += 1) others.push(await openChannel(DISPLAY));
    await until(() => others.every(({ text }) => text === 'told'), 'the other channels');
    return { main, others };
  }

  it('is not joined with another token, and a channel of no session is refused before it reaches the machine', async () => {
    await openWith(0);
    const stranger = await openChannel(DISPLAY, 'other');
    assert.deepEqual(await stranger.closed, { code: 4404, reason: 'The SPICE session of this channel is over; open the console again.' });
    await until(() => proxies.auth.released.length === 1, 'what was granted for it is given back');
    assert.equal(heard.length, 1);
    const unknown = await openChannel(DISPLAY, 'nonsense');
    assert.equal((await unknown.closed).code, 4401);
  });

  it('is not joined when its first socket has gone', async () => {
    const { main } = await openWith(1);
    main.socket.close();
    await until(() => proxies.auth.released.length === 1, 'the end');
    assert.equal((await (await openChannel(DISPLAY)).closed).code, 4404);
  });

  it('is not joined by more sockets than a client needs', async () => {
    const { others } = await openWith(JOINED_MAX);
    const late = await openChannel(DISPLAY);
    assert.equal((await late.closed).code, 4429);
    others[0]!.socket.close();
    await others[0]!.closed;
    await until(() => heard[1]!.socket.destroyed, 'its connection to the machine is closed, too');
    const next = await openChannel(DISPLAY);
    await until(() => next.text === 'told', 'room for another');
  });

  it('is not joined by more sockets than a client needs when all come at once', async () => {
    await openWith(0);
    const others = await Promise.all(Array.from({ length: JOINED_MAX + 8 }, () => openChannel(DISPLAY)));
    const told = (): number => others.filter(({ text }) => text === 'told').length;
    const gone = (): number => others.filter(({ socket }) => socket.readyState === socket.CLOSED).length;
    await until(() => told() + gone() >= others.length, 'an answer for each');
    assert.deepEqual([told(), gone()], [JOINED_MAX, 8]);
  });

  it('is one session, whose bytes are those of all its sockets', async () => {
    const { main, others } = await openWith(2);
    assert.equal(proxies.auth.open.size, 1);
    others[1]!.socket.send(ack);
    await until(() => others[1]!.text === 'toldtold', 'an answer');
    others[1]!.socket.close();
    await others[1]!.closed;
    main.socket.close();
    await until(() => proxies.auth.released.length === 1, 'the end');
    const [released] = proxies.auth.released;
    assert.deepEqual([released?.reason, released?.bytesIn, released?.bytesOut], ['client_closed', MAIN.length + 2 * DISPLAY.length + ack.length, 4 * 4]);
    assert.deepEqual(heard.map(({ bytes }) => bytes), [MAIN, DISPLAY, Buffer.concat([DISPLAY, ack])]);
  });

  it('ends with all its sockets, for the reason that it has', async () => {
    const { main, others } = await openWith(3);
    const [id] = [...proxies.auth.open.keys()];
    await proxies.endSessions('p', { [id!]: 'instance_deleted' });
    for (const each of [main, ...others]) assert.deepEqual(await each.closed, { code: 4020, reason: 'The instance was deleted.' });
    await until(() => heard.every(({ socket }) => socket.destroyed), 'the machine has none any more');
  });

  it('ends with its first socket, and not with another', async () => {
    const { main, others } = await openWith(2);
    heard[1]!.socket.end();
    assert.equal((await others[0]!.closed).code, 1000);
    await pause(20);
    assert.equal(main.socket.readyState, main.socket.OPEN);
    heard[0]!.socket.end();
    assert.deepEqual(await others[1]!.closed, { code: 1000, reason: 'The machine closed the console.' });
    assert.equal((await main.closed).code, 1000);
  });

  it('is another one for who begins a connection of his own with the same link', async () => {
    await openWith(1);
    const second = await openChannel(MAIN);
    await until(() => second.text === 'told', 'the second client');
    assert.equal(proxies.auth.open.size, 2);
  });

  it('is joined however slowly a client says what it opens, and whatever it says at once', async () => {
    await openWith(0);
    const slow = await openChannel(DISPLAY.subarray(0, 1));
    for (let at = 1; at < 24; at += 1) {
      slow.socket.send(DISPLAY.subarray(at, at + 1));
      await pause(1);
    }
    slow.socket.send(DISPLAY.subarray(24));
    await until(() => heard[1]?.bytes.length === DISPLAY.length, 'all of it arrives');
    assert.deepEqual(heard[1]!.bytes, DISPLAY);
    const big = Buffer.concat([DISPLAY, Buffer.alloc(200_000, 5)]);
    await openChannel(big);
    await until(() => heard[2]?.bytes.length === big.length, 'all of it arrives');
    assert.deepEqual(heard[2]!.bytes, big);
  });

  it('leaves to the machine what is no SPICE', async () => {
    const client = await openChannel(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
    await until(() => heard[0]?.bytes.toString().startsWith('GET') === true, 'the machine hears it');
    client.socket.close();
    const line = await openChannel(Buffer.from('ls'), 'line');
    await until(() => line.text === 'told', 'a serial line');
  });

  it('of a page is joined by the grant, also after the page has come back with it', async () => {
    const page = proxies.open('p', 'screen');
    const { resume } = await page.session();
    page.socket.send(MAIN);
    const channel = await openChannel(DISPLAY);
    await until(() => channel.text === 'told', 'by the token');
    const again = proxies.open('p', 'stale', resume);
    await again.session();
    assert.equal((await page.closed).code, 4023);
    assert.equal((await channel.closed).code, 4023);
    assert.equal((await (await openChannel(DISPLAY, 'stale')).closed).code, 4401, 'a token that nobody has looked at');
    const joined = await openChannel(DISPLAY, 'stale', 'p', resume);
    await until(() => joined.text === 'told', 'by the grant');
    assert.equal(proxies.auth.open.size, 1);
  });

  it('passes no input on any of its sockets where it may only look', async () => {
    proxies.auth.consoles.set('look', { instanceName: 'm', consoleType: 'spice-html5', port: guest.port, access: 'view' });
    await openChannel(MAIN, 'look').then((main) => until(() => main.text !== '', 'the main channel'));
    const inputs = await openChannel(greetingOf(SPICE_INPUTS), 'look');
    inputs.socket.send(Buffer.concat([ack, keyDown, ack]));
    const expected = Buffer.concat([greetingOf(SPICE_INPUTS), ack, ack]);
    await until(() => heard[1]?.bytes.length === expected.length, 'what is allowed');
    assert.deepEqual(heard[1]!.bytes, expected);
    const microphone = await openChannel(greetingOf(6), 'look');
    assert.equal((await microphone.closed).code, 1002);
    assert.deepEqual(heard[2]?.bytes.length ?? 0, 0);
    assert.equal(inputs.socket.readyState, inputs.socket.OPEN);
  });

  it('lasts while somebody types on one of its sockets, and no longer for what a client says by itself', async () => {
    await proxies.start('idle', { proxyIdleTimeout: 3 });
    const main = await openChannel(MAIN, 'screen', 'idle');
    await until(() => main.text === 'told', 'the main channel');
    const inputs = await openChannel(greetingOf(SPICE_INPUTS), 'screen', 'idle');
    const saying = setInterval(() => main.socket.send(ack), 100);
    try {
      for (let times = 0; times < 45; times += 1) {
        inputs.socket.send(keyDown);
        await pause(100);
        assert.equal(main.socket.readyState, main.socket.OPEN);
      }
      for (const each of [main, inputs]) assert.equal((await each.closed).code, 4025);
    } finally {
      clearInterval(saying);
    }
  });
});

import assert from 'node:assert/strict';
import { startGuest, type TestGuest } from '../test-guests.ts';
import { TestProxies, until } from '../test-proxy.ts';

const KEY = Buffer.from([4, 1, 0, 0, 0, 0, 0, 97]);
const ASK = Buffer.from([3, 0, 0, 0, 0, 0, 0, 1, 0, 1]);
/** What a VNC server says before ClientInit, and the proxy after it to its client. */
const SERVER_GREETING = 'RFB 003.008\n\x01\x01\0\0\0\0';
const GREETING = Buffer.from('RFB 003.008\n\x01\x00');

describe('a console opened with a link for looking only', () => {
  let proxies: TestProxies;
  let guests: TestGuest[];
  let received: Buffer;

  beforeEach(async () => {
    received = Buffer.alloc(0);
    const speaking = (words: string): Promise<TestGuest> =>
      startGuest((socket) => {
        socket.write(words);
        socket.on('data', (bytes) => (received = Buffer.concat([received, bytes])));
      });
    guests = [await speaking(`${SERVER_GREETING}output`), await speaking('output')];
    proxies = new TestProxies();
    await proxies.auth.serve(proxies.transport);
    await proxies.start('p');
    proxies.auth.consoles.set('screen', { instanceName: 'm', consoleType: 'novnc', port: guests[0]!.port, access: 'view' });
    proxies.auth.consoles.set('line', { instanceName: 'm', consoleType: 'serial', port: guests[1]!.port, access: 'view' });
  });

  afterEach(async () => {
    await proxies.close();
    for (const guest of guests) await guest.close();
  });

  it('shows a screen and passes no key to it', async () => {
    const client = proxies.open('p', 'screen');
    assert.equal((await client.session())['access'], 'view');
    client.socket.send(Buffer.concat([GREETING, ASK, KEY, ASK]));
    const expected = Buffer.concat([Buffer.from('RFB 003.008\n\x01\x01'), ASK, ASK]);
    await until(() => received.length >= expected.length, 'the guest hears what is allowed');
    assert.deepEqual(received, expected);
    const shown = `${SERVER_GREETING}output`;
    await until(() => client.text.length >= shown.length, 'the client sees the screen');
    assert.equal(client.text, shown);
  });

  it('shows a serial line and passes nothing to it', async () => {
    const client = proxies.open('p', 'line');
    await client.session();
    await until(() => client.text === 'output', 'the output');
    client.socket.send(Buffer.from('reboot\r'));
    client.socket.ping();
    await new Promise((resolve) => client.socket.once('pong', resolve));
    assert.equal(received.length, 0);
  });

  it('ends in words when its client says what is not known', async () => {
    const client = proxies.open('p', 'screen');
    await client.session();
    client.socket.send(Buffer.concat([GREETING, Buffer.from([99]), KEY]));
    assert.equal((await client.closed).code, 1002);
    assert.equal(received.includes(99), false);
  });
});

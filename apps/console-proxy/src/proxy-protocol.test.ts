/** Balancers of TCP that say whose connections they open, and those who would like to. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { echo, startGuest, type TestGuest } from './test-guests.ts';
import { TestProxies, until } from './test-proxy.ts';

const BALANCER = '127.0.0.50';
const UPGRADE = (token: string, more = ''): string =>
  `GET /?token=${token} HTTP/1.1\r\nHost: x\r\n${more}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;
const of = (address: string): string => `PROXY TCP4 ${address} 10.0.0.1 4321 443\r\n`;
const PAGE = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';

describe('a proxy behind a balancer of TCP', () => {
  let proxies: TestProxies;
  let guest: TestGuest;
  const sockets: Socket[] = [];
  beforeEach(async () => {
    proxies = new TestProxies();
    await proxies.auth.serve(proxies.transport);
    guest = await startGuest(echo);
    proxies.auth.consoles.set('good', { instanceName: 'demo-1', consoleType: 'serial', port: guest.port });
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await proxies.close();
    await guest.close();
  });

  const start = (more: Parameters<TestProxies['start']>[1] = {}) => proxies.start('proxy-1', { proxyProtocolFrom: [BALANCER], ...more });
  function say(words: string | Buffer, localAddress = BALANCER): Socket {
    const socket = connect({ port: Number(new URL(proxies.urlOf('proxy-1')).port), host: '127.0.0.1', localAddress, noDelay: true }).on('error', () => {});
    sockets.push(socket);
    if (words.length > 0) socket.write(words);
    return socket;
  }
  const answerOf = (words: string | Buffer, localAddress?: string): Promise<string> => text(say(words, localAddress)).catch(() => 'reset');

  it('is not started with what is no address', async () => {
    await assert.rejects(start({ proxyProtocolFrom: ['balancer'] }), /GATEHOUSE_PROXY_PROTOCOL_FROM names "balancer"/);
  });

  for (const [what, words] of [['a request alone', PAGE], ['a header that is wrong', `PROXY TCP4 ::1 ::1 1 2\r\n${PAGE}`]] as const) {
    it(`closes what the balancer sends with ${what}, and says so in the log`, async () => {
      await start();
      assert.ok(['', 'reset'].includes(await answerOf(words)));
      assert.match(proxies.logged, /"balancer":"127\.0\.0\.50","why":"what came is none".*GATEHOUSE_PROXY_PROTOCOL_FROM/);
    });
  }

  it('has no ear for the header of anybody else, nor where nobody may say one', async () => {
    await start();
    assert.match(await answerOf(`${of('203.0.113.7')}${PAGE}`, '127.0.0.51'), /^HTTP\/1\.1 400 /);
    assert.match(await answerOf(PAGE, '127.0.0.51'), /^HTTP\/1\.1 200 /);
    assert.match(proxies.logged, /"peer":"127\.0\.0\.51".*GATEHOUSE_PROXY_PROTOCOL_FROM does not name it/);
    await proxies.start('proxy-2');
    const socket = connect({ port: Number(new URL(proxies.urlOf('proxy-2')).port), host: '127.0.0.1', localAddress: BALANCER });
    socket.write(`${of('203.0.113.7')}${PAGE}`);
    assert.match(await text(socket), /^HTTP\/1\.1 400 /);
    assert.match(proxies.logged, /"peer":"127\.0\.0\.50".*GATEHOUSE_PROXY_PROTOCOL_FROM does not name it/);
  });

  it('waits for a header no longer than for a head, and says nothing of who only looks whether it is there', async () => {
    await start({ proxyHeaderTimeout: 1 });
    const [silent, half] = [say(''), say('PROXY TCP4 ')];
    const looking = say('');
    looking.end();
    await Promise.all([silent, half, looking].map((socket) => text(socket).catch(() => '')));
    const told = proxies.logged.split('\n').filter((line) => line.includes('PROXY header'));
    assert.equal(told.length, 1);
    assert.match(told[0]!, /did not come in time/);
  });

  it('takes a health check that is reset before it is looked at for nobody, and not for somebody with a header', async () => {
    await start();
    const { port } = new URL(proxies.urlOf('proxy-1'));
    const check = `const s = require('node:net').connect({ port: ${port}, host: '127.0.0.1', localAddress: '${BALANCER}' }, () => s.write('PROXY UNKNOWN\\r\\n', () => s.resetAndDestroy()))`;
    // It is over when this process comes round to it.
    execFileSync(process.execPath, ['-e', check]);
    assert.match(await answerOf(`${of('203.0.113.7')}${PAGE}`), /^HTTP\/1\.1 200 /);
    assert.doesNotMatch(proxies.logged, /PROXY header/);
  });

  it('serves whoever it says, however its header is cut', async () => {
    await start();
    const socket = say('');
    for (const letter of `${of('203.0.113.7')}${PAGE}`) {
      socket.write(letter);
      await pause(1);
    }
    assert.match(await text(socket), /^HTTP\/1\.1 200 /);
  });

  it('knows its clients by their own addresses, in sessions, in the audit and in what each may have', async () => {
    await start({ proxyConnectionsPerAddress: 1 });
    const open = async (address: string, token: string, ending: RegExp): Promise<void> => {
      const socket = say(`${of(address)}${UPGRADE(token)}`);
      let heard = '';
      socket.on('data', (bytes: Buffer) => (heard += bytes.toString('latin1')));
      await until(() => ending.test(heard), `${address} ${token}`);
    };
    await open('203.0.113.7', 'good', /^HTTP\/1\.1 101 /);
    await until(() => guest.sockets.size === 1, 'the console');
    await open('203.0.113.7', 'good', /as many consoles open/);
    await open('203.0.113.8', 'good', /^HTTP\/1\.1 101 /);
    await until(() => guest.sockets.size === 2, 'the other console');
    assert.deepEqual(proxies.audited.map(({ reason, clientAddress }) => [reason, clientAddress]), [['RESOURCE_EXHAUSTED', '203.0.113.7']]);
    assert.match(proxies.logged, /"client_address":"203\.0\.113\.8".*"console open"/);
  });

  it('cuts of those who wait the ones of an address, not the balancer\'s', async () => {
    await start({ proxyHandshakesPerAddress: 2 });
    const slow = Array.from({ length: 6 }, () => say(`${of('203.0.113.7')}GET`));
    const other = say(`${of('203.0.113.8')}GET`);
    await until(() => slow.filter(({ destroyed }) => destroyed).length === 4, 'the oldest of the address');
    assert.equal(other.destroyed, false);
  });

  it('hears what the client that was said writes of others only where it is trusted', async () => {
    await start({ trustedProxies: ['10.9.9.9'] });
    for (const [address, known] of [['203.0.113.7', '203.0.113.7'], ['10.9.9.9', '198.51.100.1']] as const) {
      say(`${of(address)}${UPGRADE('', 'X-Forwarded-For: 198.51.100.1\r\n')}`);
      await until(() => proxies.audited.at(-1)?.clientAddress === known, known);
    }
  });

  it('takes its own connections for its own', async () => {
    await start();
    say(`PROXY UNKNOWN\r\n${UPGRADE('')}`);
    await until(() => proxies.audited.at(-1)?.clientAddress === BALANCER, 'the refusal');
  });
});

/** Dialled consoles as their users find them: through the WebSocket, with a code and words, or as RFB says it to stock clients. */
import assert from 'node:assert/strict';
import { WebSocket } from 'ws';
import { TestProxies, until, type TestClient } from '../test-proxy.ts';
import { rfbScreen, startGuest } from '../test-guests.ts';
import { startHost, type TestHost } from './test-host.ts';

const V38 = 'RFB 003.008\n';
const UNREACHABLE = "The console's host could not be reached.";

describe('a dialled console, through the proxy,', () => {
  let proxies: TestProxies;
  let host: TestHost;
  beforeEach(async () => {
    proxies = new TestProxies();
    await proxies.auth.serve(proxies.transport);
    await proxies.start('proxy-1');
  });
  afterEach(async () => {
    await proxies.close();
    await host.close();
  });

  const offer = (port: number, options: Record<string, string> = {}): void => {
    proxies.auth.consoles.set('it', { instanceName: 'vm', consoleType: 'novnc', port, options });
  };
  const start = async (...parts: Parameters<typeof startHost>): Promise<void> => {
    host = await startHost(...parts);
    offer(host.port);
  };
  const heardBy = (client: TestClient): string => Buffer.concat(client.data).toString('latin1');

  it('tells a stock client why as RFB does, and in the close, when its host is gone', async () => {
    await start();
    // A port that is never given out, and nobody serves.
    offer(1);
    const client = proxies.openProgram('proxy-1', 'it');
    assert.deepEqual(await client.closed, { code: 4503, reason: UNREACHABLE });
    assert.equal(heardBy(client), `${V38}\0\0\0\0${String.fromCharCode(UNREACHABLE.length)}${UNREACHABLE}`);
    assert.match(proxies.logged, /"detail":"127\.0\.0\.1:1: no connection to 127\.0\.0\.1 \(ECONNREFUSED\)"/);
  });

  it('tells a page of ours by its own message alone', async () => {
    await start(V38, 12, '\x01\x10');
    const page = proxies.open('proxy-1', 'it');
    const reason = "The console's host offers no security that this proxy accepts.";
    assert.deepEqual(await page.closed, { code: 4503, reason });
    assert.deepEqual([heardBy(page), page.messages], ['', [{ type: 'end', code: 4503, reason }]]);
  });

  it('says nothing at all to whoever shows no token that counts (Tempest: the connection closes with no data)', async () => {
    await start();
    const client = proxies.openProgram('proxy-1', 'bad');
    assert.equal((await client.closed).code, 4401);
    assert.equal(heardBy(client), '');
  });

  it('is audited and released when its host does not let us in', async () => {
    await start(V38, 12, '\0\0\0\0\x04Full');
    await proxies.openProgram('proxy-1', 'it').closed;
    await until(() => proxies.auth.released.length === 1, 'the release');
    assert.deepEqual(proxies.audited.map(({ event, reason, problem }) => [event, reason, problem]), [['refused', 'UNAVAILABLE', "The console's host refused: Full"]]);
  });

  it('ends as a broken protocol, with RFB\'s words before, when its client says what is no RFB', async () => {
    await start(V38, 12, '\x01\x01', 1, '\0\0\0\0');
    const client = proxies.openProgram('proxy-1', 'it');
    client.socket.on('open', () => client.socket.send(Buffer.from([0xff, 0x80, ...Buffer.from('GET / HTTP')])));
    assert.equal((await client.closed).code, 1002);
    assert.match(heardBy(client), /^RFB 003\.008\n\0\0\0\0.Only the RFB versions 3\.3, 3\.7 and 3\.8 are supported$/);
    await until(() => proxies.auth.released[0]?.reason === 'protocol_error' && host.sockets.size === 0, 'the release');
  });

  it('opens for a client that says all of its handshake at once, before its console is there', async () => {
    const screen = await startGuest(rfbScreen);
    host = await startHost();
    offer(screen.port);
    const client = proxies.openProgram('proxy-1', 'it');
    client.socket.on('open', () => client.socket.send(Buffer.from(`${V38}\x01\x01`, 'latin1')));
    await until(() => heardBy(client).includes('test guest'), 'ServerInit');
    assert.equal(client.socket.readyState, WebSocket.OPEN);
    client.socket.close();
    await client.closed;
    await screen.close();
  });

  it('is behind an access path where it has one, which is in no log', async () => {
    host = await startHost(20, `HTTP/1.1 200 OK\r\n\r\n${V38}\x01\x01\0\0\0\0the rest`);
    offer(host.port, { internal_access_path: '/console?session_id=OpaqueRef:c0ffee' });
    const client = proxies.openProgram('proxy-1', 'it');
    client.socket.on('open', () => client.socket.send(Buffer.from(`${V38}\x01`, 'latin1')));
    await until(() => heardBy(client).endsWith('the rest'), 'the console');
    assert.match(host.heard.toString('latin1'), /^CONNECT \/console\?session_id=OpaqueRef:c0ffee HTTP\/1\.1\r\n/);
    assert.ok(!proxies.logged.includes('c0ffee'));
    client.socket.close();
    await client.closed;
  });

  it('as a serial line behind an access path, gets what was glued to its host\'s answer, and all that follows', async () => {
    const more = 'x'.repeat(300_000);
    host = await startHost(20, 'HTTP/1.1 200 OK\r\n\r\nfirst, ', more, ' last');
    proxies.auth.consoles.set('line', { instanceName: 'vm', consoleType: 'serial', port: host.port, options: { internal_access_path: '/line' } });
    const client = proxies.openProgram('proxy-1', 'line');
    await until(() => heardBy(client).endsWith(' last'), 'the output');
    assert.equal(heardBy(client), `first, ${more} last`);
    client.socket.send(Buffer.from('typed'));
    await until(() => /\r\n\r\ntyped$/.test(host.heard.toString()), 'the input');
    client.socket.close();
    await client.closed;
  });
});

/** Consoles behind an internal access path. */
import assert from 'node:assert/strict';
import { until } from '../test-proxy.ts';
import { readExactly } from './handshake-bytes.ts';
import { dial, refusalOf, startHost, type Part, type TestHost } from './test-host.ts';

const OK = 'HTTP/1.1 200 OK\r\nDate: today\r\n\r\n';
const CONNECT = /^CONNECT \/console\?ref=1 HTTP\/1\.1\r\nHost: 127\.0\.0\.1:\d+\r\n\r\n/;

describe('a console behind an internal access path', () => {
  let host: TestHost;
  afterEach(() => host.close());

  const reach = async (path: string, parts: readonly Part[], timeoutMs?: number): ReturnType<typeof dial> => {
    host = await startHost(...parts);
    return dial({ port: host.port, consoleType: 'serial', options: { internal_access_path: path }, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
  };

  const refused: readonly (readonly [string, readonly Part[], RegExp])[] = [
    ['answers 500', [20, 'HTTP/1.1 500 Internal Server Error\r\n\r\n'], /it answered CONNECT with "HTTP\/1\.1 500 Internal Server Error"/],
    ['says 200 somewhere else than in its status', [20, 'HTTP/1.1 403 200 times no\r\nX: 200\r\n\r\n'], /it answered CONNECT with "HTTP\/1\.1 403 200 times no"/],
    ['repeats the path', [20, 'HTTP/1.1 404 No /console?ref=1 here\r\n\r\n'], /"HTTP\/1\.1 404 No \(the path\) here"/],
    ['says 2000', [20, 'HTTP/1.1 2000 OK\r\n\r\n'], /"HTTP\/1\.1 2000 OK"/],
    ['does not speak HTTP', [20, 'SSH-2.0-OpenSSH_9.2\r\n\r\n'], /"SSH-2\.0-OpenSSH_9\.2"/],
    ['answers with bytes that are no letters', [20, Buffer.from([0xff, 0x00, 0x80, 13, 10, 13, 10])], /it answered CONNECT with/],
    ['closes without an answer', [20, 'end'], /the connection was closed where the answer to CONNECT should have come \(after 0 bytes of it\)/],
    ['closes in the middle of it', [20, 'HTTP/1.1 200 OK\r\nX: ', 'end'], /\(after 20 bytes of it\)/],
    ['never ends its head', [20, `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20_000)}`], /the answer to CONNECT has no end within 16384 bytes/],
    ['ends its head too late', [20, `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(16_384)}\r\n\r\n`], /no end within 16384 bytes/],
  ];
  for (const [what, parts, detail] of refused) {
    it(`is refused when its host ${what}`, async () => {
      const refusal = await refusalOf(reach('/console?ref=1', parts));
      assert.equal(refusal.code, 'UNAVAILABLE');
      assert.match(refusal.detail, detail);
      assert.ok(!refusal.detail.includes('ref=1') && !refusal.words.includes('200'), 'the path may be a secret');
    });
  }

  it('is refused in time when its host does not answer', async () => {
    const refusal = await refusalOf(reach('/console?ref=1', [20, 'HTTP/1.1 200'], 1_500));
    assert.equal(refusal.code, 'DEADLINE_EXCEEDED');
    assert.match(refusal.detail, /where the answer to CONNECT should have come/);
  });

  for (const path of ['/a b', '/a\r\nX: y', '/a\n', '/ä', '\0', '']) {
    it(`is refused before a word to its host when the path is ${JSON.stringify(path)}`, async () => {
      const { words } = await refusalOf(reach(path, []));
      assert.equal(words, 'This console proxy is not set up for that console.');
      assert.equal(host.heard.length, 0);
    });
  }

  it('test_new_websocket_client_internal_access_path: is asked for by CONNECT, and 200 opens it', async () => {
    const stream = await reach('/console?ref=1', [20, OK]);
    assert.match(host.heard.toString(), CONNECT);
    stream.write('typed');
    await new Promise((resolve) => host.sockets.forEach((socket) => socket.once('data', resolve)));
    assert.match(host.heard.toString(), /\r\n\r\ntyped$/);
    stream.destroy();
  });

  it('test_new_websocket_client_internal_access_path_err: 500 closes it', async () => {
    const { words } = await refusalOf(reach('xxx', [20, 'HTTP/1.1 500 Internal Server Error\r\n\r\n']));
    assert.equal(words, "The console's host does not let this proxy through.");
  });

  it('test_new_websocket_client_internal_access_path_rfb: what is glued to the answer is the console', async () => {
    const stream = await reach('/console?ref=1', [20, `${OK}first words of the console`]);
    assert.equal((await readExactly(stream, 26, 'words')).toString(), 'first words of the console');
    stream.destroy();
  });

  for (const status of ['HTTP/1.0 200', 'HTTP/1.1 204 No Content', 'HTTP/1.1 200 Connection Established']) {
    it(`opens when its host says ${status}, however it is cut`, async () => {
      host = await startHost(20);
      const opening = dial({ port: host.port, consoleType: 'serial', options: { internal_access_path: '/c' } });
      for (const piece of [...`${status}\r\nA: b\r\n\r\n`]) {
        while (host.sockets.size === 0) await new Promise(setImmediate);
        host.sockets.forEach((socket) => socket.write(piece));
        await new Promise(setImmediate);
      }
      (await opening).destroy();
    });
  }

  it('leads to a VNC server, whose handshake comes after', async () => {
    host = await startHost(20, `${OK}RFB 003.008\n\x01\x01\0\0\0\0`);
    const stream = await dial({ port: host.port, options: { internal_access_path: '/c' } });
    assert.equal((await readExactly(stream, 12, 'words')).toString(), 'RFB 003.008\n');
    await until(() => /RFB 003\.008\n\x01$/.test(host.heard.toString('latin1')), 'the handshake with the host');
    stream.destroy();
  });
});

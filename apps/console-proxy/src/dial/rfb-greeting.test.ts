/** The server's part of the RFB handshake, to a browser: what it may say, cut anyhow, and what ends it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { until } from '../test-proxy.ts';
import { GreetedHost } from './greeted-host.ts';
import { readExactly } from './handshake-bytes.ts';
import { rfbRefusal } from './rfb-words.ts';
import { clientOf, readAll, type GreetedClient } from './test-host.ts';

const V38 = 'RFB 003.008\n';
const latin = (bytes: Buffer): string => bytes.toString('latin1');
const told = (words: string): string => `\0\0\0${String.fromCharCode(words.length)}${words}`;
const VERSIONS = 'Only the RFB versions 3.3, 3.7 and 3.8 are supported';
const TYPES = 'Only the security type 1 (None) is supported';

describe('a client of a dialled VNC console', () => {
  let server: Server;
  let host: Socket;
  let stream: GreetedClient;
  let heard: Buffer;

  const start = async (timeoutMs?: number): Promise<void> => {
    server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const dialled = connect((server.address() as AddressInfo).port, '127.0.0.1');
    [[host]] = (await Promise.all([once(server, 'connection'), once(dialled, 'connect')])) as unknown as [[Socket]];
    heard = Buffer.alloc(0);
    host.on('data', (bytes: Buffer) => (heard = Buffer.concat([heard, bytes])));
    host.on('error', () => {});
    stream = clientOf(new GreetedHost(dialled, timeoutMs));
    stream.on('error', () => {});
  };
  afterEach(() => {
    stream.destroy();
    host.destroy();
    server.close();
  });

  describe('is let in with None and nothing else (test_full_run: it sees 01 01), and what follows is its host\'s, when it', () => {
    const table: readonly (readonly [string, string, string])[] = [
      ['speaks 3.8', `${V38}\x01`, `${V38}\x01\x01\0\0\0\0`],
      ['speaks 3.7, which hears no result (test_fails_on_tenant_version: Nova refuses 3.7)', 'RFB 003.007\n\x01', `${V38}\x01\x01`],
      ['speaks 3.3, for which the server decides', 'RFB 003.003\n', `${V38}\0\0\0\x01`],
      ['says 3.5 and means 3.3', 'RFB 003.005\n', `${V38}\0\0\0\x01`],
    ];
    for (const [what, says, hears] of table) {
      for (const [how, cut] of [['in one piece', 99], ['byte by byte', 1], ['in sevens', 7]] as const) {
        it(`${what}, ${how}`, async () => {
          await start();
          const all = `${says}\x01and more`;
          for (let at = 0; at < all.length; at += cut) stream.write(all.slice(at, at + cut), 'latin1');
          assert.equal(latin(await readExactly(stream, hears.length, 'the greeting')), hears);
          await until(() => heard.length === 9, 'what is for the host');
          assert.equal(latin(heard), '\x01and more');
          host.end('server init and pictures');
          assert.equal(latin(await readAll(stream)), 'server init and pictures');
          assert.equal(stream.ending, null);
        });
      }
    }
  });

  describe('is told why, as RFB tells it, and its session ends as a broken protocol, when it', () => {
    const table: readonly (readonly [string, string, string])[] = [
      ['speaks 3.9 (test_fails_on_tenant_version)', 'RFB 003.009\n', `\0${told(VERSIONS)}`],
      ['speaks 3.6', 'RFB 003.006\n', `\0${told(VERSIONS)}`],
      ['speaks no RFB', 'GET / HTTP/1.1\r\n', `\0${told(VERSIONS)}`],
      ['says bytes of 0x80 and more (Nova breaks on them)', '\x80\xff\xfe\x80\x80\x80\x80\x80\x80\x80\x80\x80', `\0${told(VERSIONS)}`],
      ['chooses VNC (test_client_auth_invalid_fails, test_fail_server_message)', `${V38}\x02`, `\x01\x01\0\0\0\x01${told(TYPES)}`],
      ['chooses 0', `${V38}\0`, `\x01\x01\0\0\0\x01${told(TYPES)}`],
      ['chooses 0x80 and more', `${V38}\xff\xff\xff`, `\x01\x01\0\0\0\x01${told(TYPES)}`],
      ['chooses VNC with 3.7, which knows no reasons (test_fail)', 'RFB 003.007\n\x02', '\x01\x01\0\0\0\x01'],
    ];
    for (const [what, says, hears] of table) {
      it(what, async () => {
        await start();
        stream.write(says, 'latin1');
        assert.equal(latin(await readAll(stream)), V38 + hears);
        assert.deepEqual(stream.ending, { reason: 'protocol_error' });
        await once(host, 'close');
        assert.equal(heard.length, 0);
      });
    }

    it('does not say its version in time', async () => {
      await start(50);
      stream.write('RFB');
      assert.equal(latin(await readAll(stream)), `${V38}\0${told('The RFB version did not come in time')}`);
      assert.deepEqual(stream.ending, { reason: 'protocol_error' });
    });

    it('does not choose in time', async () => {
      await start(50);
      stream.write(V38);
      assert.equal(latin(await readAll(stream)), `${V38}\x01\x01\0\0\0\x01${told('The security type did not come in time')}`);
    });
  });

  it('is not cut off later: once it is let in, it may be silent', async () => {
    await start(50);
    stream.write(`${V38}\x01`);
    await readExactly(stream, 18, 'the greeting');
    await new Promise((resolve) => setTimeout(resolve, 120));
    host.write('still here');
    assert.equal(latin(await readExactly(stream, 10, 'more')), 'still here');
  });

  it('loses its console with its host, before it was let in', async () => {
    await start();
    host.resetAndDestroy();
    stream.resume();
    stream.write(`${V38}\x01\x01`);
    await until(() => stream.closed, 'the end');
  });

  it('loses its console with its host, after it was let in', async () => {
    await start();
    stream.write(`${V38}\x01`);
    await readExactly(stream, 18, 'the greeting');
    host.resetAndDestroy();
    await until(() => stream.closed, 'the end');
  });

  it('takes its host along when it goes, and what it said last arrives', async () => {
    await start();
    stream.write(`${V38}\x01`);
    stream.end('last words');
    stream.resume();
    await once(host, 'end');
    assert.equal(latin(heard), 'last words');
    await once(stream, 'close');
  });

  it('makes its host wait while it does not read, and waits while its host does not', async () => {
    await start();
    stream.write(`${V38}\x01`);
    await readExactly(stream, 18, 'the greeting');
    const pour = (to: Duplex): void => {
      while (!to.destroyed && to.write(Buffer.alloc(64 * 1024)));
    };
    host.on('drain', () => pour(host));
    pour(host);
    await until(() => host.writableNeedDrain && stream.readableLength > 0, 'the host waits');
    assert.ok(stream.readableLength < 512 * 1024, `${stream.readableLength} bytes held`);
    host.removeAllListeners('drain');
    host.pause();
    stream.on('drain', () => pour(stream));
    pour(stream);
    let before = -1;
    while (heard.length !== before) {
      before = heard.length;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.ok(stream.writableNeedDrain);
  });

  it('that never came so far is told all at once: version, no types, and why', () => {
    assert.equal(latin(rfbRefusal('Not here.')), `${V38}\0${told('Not here.')}`);
  });
});

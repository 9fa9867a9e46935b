import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect as connectPlain, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { ServiceError } from '@gatehouse/errors/service-error';
import { makeCertificate } from '../../../test/servers/certificates.ts';
import { parseAddress } from './address.ts';
import { attachConsole } from './attach-console.ts';
import type { AttachedConsole } from './attach-console.ts';
import { prefaceOf } from './byte-preface.ts';
import { serveConsoleStream } from './serve-console-stream.ts';
import type { ConsoleStreamServer } from './serve-console-stream.ts';
import { until } from './test-streams.ts';
import { readTlsFiles } from './tls-files.ts';
import type { TlsFiles } from './tls-files.ts';

const warnings: string[] = [];
const log = { warn: (_: object, words: string) => void warnings.push(words), debug() {} };

describe('the console stream over TLS', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'gatehouse-tls-'));
  let server: ConsoleStreamServer;
  let ours: TlsFiles;
  let strangers: TlsFiles;

  before(async () => {
    ours = readCertificate(folder, 'ours');
    strangers = readCertificate(folder, 'strangers');
    const attach = async () => ({ stream: new PassThrough(), offset: 0 });
    // Every address of the machine: what it refuses to do without TLS.
    server = await serveConsoleStream({ listen: '0.0.0.0:0', tls: ours, limits: { waitingMax: 20 }, attach, log });
  });

  after(async () => {
    await server?.drain(500);
    rmSync(folder, { recursive: true, force: true });
  });

  const endpoint = (): string => server.endpoint.replace('0.0.0.0', '127.0.0.1');
  const open = (tls?: TlsFiles) => attachConsole({ endpoint: endpoint(), sessionId: 's', attachSecret: 'x', tls, connectTimeoutMs: 8_000 });

  it('does not serve a caller without TLS', async () => {
    await assert.rejects(open(), unreached);
  });

  it('is left alone by one who did not get through', async () => {
    let tries = 0;
    const nobody = createServer((socket) => {
      tries += 1;
      socket.destroy();
    }).listen(0, '127.0.0.1');
    await once(nobody, 'listening');
    const { port } = nobody.address() as AddressInfo;
    await assert.rejects(attachConsole({ endpoint: `127.0.0.1:${port}`, sessionId: 's', attachSecret: 'x', tls: ours }));
    const triedUntilRefused = tries;
    // gRPC backs off for 100 ms, then 160 and so on. The one try it has planned by then it makes; no other.
    await sleep(1_500);
    nobody.close();
    assert.ok(tries <= triedUntilRefused + 1, `tried ${tries} times, ${triedUntilRefused} of them for the console`);
  });

  it('does not serve a caller whose certificate another authority signed', async () => {
    await assert.rejects(open({ ...strangers, authority: ours.authority }), unreached);
  });

  it('is not taken for the host when another authority signed its certificate', async () => {
    await assert.rejects(open({ ...ours, authority: strangers.authority }), unreached);
  });

  it('carries a console between two that know each other', async () => {
    const console = await open(ours);
    console.write('hello');
    const [echo] = await new Promise<Buffer[]>((resolve) => console.once('data', (chunk: Buffer) => resolve([chunk])));
    assert.equal(echo?.toString(), 'hello');
    console.destroy();
  });

  it('takes a session up for the next console, and proves no less', async () => {
    const first = await open(ours);
    first.write('x');
    await once(first, 'data');
    const second = await open(ours);
    assert.equal(isResumed(second), true);
    second.write('hello');
    assert.equal(String((await once(second, 'data'))[0]), 'hello');
    first.destroy();
    second.destroy();
    const others = await open({ ...ours });
    assert.equal(isResumed(others), false);
    others.destroy();
    await assert.rejects(open({ ...ours, authority: strangers.authority }), unreached);
  });

  it('reads no ticket of one who shows no certificate, or a stranger\'s', async () => {
    const { authority: ca } = ours;
    for (const shown of [{}, { cert: strangers.certificate, key: strangers.key }]) {
      const told = warnings.length;
      const socket = connect({ ...parseAddress(endpoint()), ca, ...shown });
      socket.on('error', () => {}).on('secureConnect', () => socket.write(prefaceOf(Buffer.alloc(32)))).resume();
      await new Promise((resolve) => socket.once('close', resolve));
      assert.equal(warnings.length, told);
    }
  });

  it('names the byte connection when that is what does not come', async () => {
    const sockets: Socket[] = [];
    const between = createServer((from) => {
      sockets.push(from.on('error', () => {}));
      if (sockets.length > 1) return;
      const to = connectPlain(parseAddress(endpoint())).on('error', () => {});
      from.on('close', () => to.destroy()).pipe(to).pipe(from);
    }).listen(0, '127.0.0.1');
    await once(between, 'listening');
    const through = `127.0.0.1:${(between.address() as AddressInfo).port}`;
    const refused = attachConsole({ endpoint: through, sessionId: 's', attachSecret: 'x', tls: ours, connectTimeoutMs: 2_500 });
    await assert.rejects(refused, (error) => error instanceof ServiceError && error.code === 'DEADLINE_EXCEEDED' && error.message.includes(`byte connection to ${through}`));
    between.close();
    for (const socket of sockets) socket.destroy();
    await until(() => server.openAttaches === 0);
  });

  it('is reached past handshakes that never end', async () => {
    const mute = Array.from({ length: 30 }, () => connectPlain(parseAddress(endpoint())).on('error', () => {}).resume());
    await until(() => mute.filter((socket) => socket.closed).length >= 10);
    (await open(ours)).destroy();
    assert.match(warnings.at(-1) ?? '', /made room/);
    for (const socket of mute) socket.destroy();
  });
});

function isResumed(console: AttachedConsole): boolean {
  return (console as unknown as TLSSocket).isSessionReused();
}

function unreached(error: unknown): boolean {
  return error instanceof ServiceError && (error.code === 'UNAVAILABLE' || error.code === 'DEADLINE_EXCEEDED');
}

function readCertificate(folder: string, name: string): TlsFiles {
  const { certificate, key } = makeCertificate(folder, name);
  const files = readTlsFiles({ streamTlsCert: certificate, streamTlsKey: key, streamTlsCa: certificate });
  return files ?? assert.fail('no files');
}

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { ServiceError } from '@gatehouse/errors/service-error';
import { makeCertificate } from '../../../test/servers/certificates.ts';
import { attachConsole } from './attach-console.ts';
import { serveConsoleStream } from './serve-console-stream.ts';
import type { ConsoleStreamServer } from './serve-console-stream.ts';
import { readTlsFiles } from './tls-files.ts';
import type { TlsFiles } from './tls-files.ts';

const log = { warn() {}, debug() {} };

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
    server = await serveConsoleStream({ listen: '0.0.0.0:0', tls: ours, attach, log });
  });

  after(async () => {
    await server?.drain(500);
    rmSync(folder, { recursive: true, force: true });
  });

  const endpoint = (): string => server.endpoint.replace('0.0.0.0', '127.0.0.1');
  const open = (tls?: TlsFiles) => attachConsole({ endpoint: endpoint(), sessionId: 's', attachSecret: 'x', tls, connectTimeoutMs: 3000 });

  it('does not serve a caller without TLS', async () => {
    await assert.rejects(open(), unreached);
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
});

function unreached(error: unknown): boolean {
  return error instanceof ServiceError && (error.code === 'UNAVAILABLE' || error.code === 'DEADLINE_EXCEEDED');
}

function readCertificate(folder: string, name: string): TlsFiles {
  const { certificate, key } = makeCertificate(folder, name);
  const files = readTlsFiles({ streamTlsCert: certificate, streamTlsKey: key, streamTlsCa: certificate });
  return files ?? assert.fail('no files');
}

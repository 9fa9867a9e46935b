import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readTlsFiles } from './tls-files.ts';

const NONE = { streamTlsCert: null, streamTlsKey: null, streamTlsCa: null };

describe('the TLS files of the console stream', () => {
  let folder: string;
  const file = (name: string, content: string): string => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'gatehouse-'))));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('are refused where only some are set, naming what is missing', () => {
    const streamTlsCert = file('cert', '-----BEGIN CERTIFICATE-----');
    assert.throws(() => readTlsFiles({ ...NONE, streamTlsCert }), /^ServiceError: GATEHOUSE_STREAM_TLS_KEY is not set/);
  });

  it('are refused where one cannot be read or is no PEM, without showing what is in it', () => {
    const good = file('good', '-----BEGIN CERTIFICATE-----');
    const secret = file('secret', 'hunter2');
    assert.throws(() => readTlsFiles({ streamTlsCert: good, streamTlsKey: join(folder, 'gone'), streamTlsCa: good }), /TLS_KEY names .*gone, which cannot be read \(ENOENT\)/);
    assert.throws(() => readTlsFiles({ streamTlsCert: good, streamTlsKey: secret, streamTlsCa: good }), (error: Error) => /no PEM file/.test(error.message) && !error.message.includes('hunter2'));
  });

  it('are nothing where none is set, and all where all are', () => {
    assert.equal(readTlsFiles(NONE), undefined);
    const pem = file('pem', '-----BEGIN X-----');
    const files = readTlsFiles({ streamTlsCert: pem, streamTlsKey: pem, streamTlsCa: pem });
    assert.deepEqual(files && Object.keys(files), ['certificate', 'key', 'authority']);
  });
});

import assert from 'node:assert/strict';
import { PROJECT, proof, startTestCell } from './test-metadata.ts';
import type { TestCell, TestMetadata } from './test-metadata.ts';

describe('what no proper client sends to the metadata service', function () {
  this.timeout(60_000);
  let cell: TestCell;
  let service: TestMetadata;
  let uuid: string;
  before(async () => {
    cell = await startTestCell();
    service = await cell.start();
    uuid = await cell.addInstance();
  });
  after(() => cell.stop());
  afterEach('the service lives', async () => {
    assert.equal((await service.ask('/latest/meta-data/instance-id', { headers: proof(uuid) })).status, 200);
    assert.ok(!service.logged().includes('"level":"error"'), service.logged().split('\n').find((line) => line.includes('"level":"error"')));
  });

  /** A head with the proof of who asks, as bytes. */
  const head = (line: string, ...more: readonly string[]): string =>
    [line, 'Host: a', ...Object.entries(proof(uuid)).map(([name, value]) => `${name}: ${String(value)}`), ...more, '', ''].join('\r\n');
  const status = async (bytes: string | Buffer): Promise<string> => /^HTTP\/1\.1 (\d{3})/.exec(await service.send(bytes))?.[1] ?? 'none';

  for (const [path, expected] of [
    ['/openstack/latest/meta_data.json/x', 404], ['/openstack/latest/meta_data.json/', 200], ['/latest/meta-data/hostname/x', 404], ['/latest/meta-data/instance-id/x/y', 404],
    ['/openstack/content', 404], ['/openstack/content/', 404], ['/openstack/content/0000', 404], ['/openstack/content/../latest/meta_data.json', 200],
    ['//openstack///latest//meta_data.json', 200], ['/../../../openstack/latest/meta_data.json', 200], ['/openstack/latest/..', 200], ['/openstack%2Flatest%2Fmeta_data.json', 200],
    ['/openstack/latest/%2e%2e/latest/meta_data.json', 200], ['/openstack/latest/meta_data.json%00', 404], ['/%00', 404], ['/openstack/latest/%', 400], ['/openstack/%ff', 400], ['/openstack/%c3%28', 400], ['/openstack/%ED%A0%80', 400], ['/openstack/%C0%AF', 400],
    ['/openstack/latest/__proto__', 404], ['/constructor', 404], ['/openstack/latest/toString', 404], [`/${'a'.repeat(10_000)}`, 404], [`/${'a/'.repeat(5_000)}`, 404],
    [`/openstack/latest/${'../'.repeat(2_000)}`, 200], ['/openstack/latest/meta_data.json?x=%', 200], ['/?', 200], ['/openstack\\latest', 404], [`/${'%25'.repeat(3_000)}`, 404],
  ] as const) {
    it(`is a path like ${path.slice(0, 50)}: ${expected}`, async () => {
      const answer = await service.ask(path, { headers: proof(uuid) });
      assert.equal(answer.status, expected);
    });
  }

  it('is a path that is not one: none of them fails', async () => {
    for (const [line, expected] of [
      ['GET * HTTP/1.1', '4'], ['OPTIONS * HTTP/1.1', '4'], ['GET openstack HTTP/1.1', '4'], ['GET  HTTP/1.1', '4'],
      ['GET http://169.254.169.254/openstack/latest/meta_data.json HTTP/1.1', '200'], ['GET /\u00ff HTTP/1.1', '4'], ['GET /a b HTTP/1.1', '4'], [`GET /${'a'.repeat(100_000)} HTTP/1.1`, '431'],
    ] as const) {
      const heard = await status(Buffer.from(head(line, 'Connection: close'), 'latin1'));
      assert.ok(heard.startsWith(expected), `${line.slice(0, 60)}: ${heard}`);
    }
  });

  it('is a method that nothing takes: 405 on what can be read, 404 where nothing is, and never a document', async () => {
    for (const path of ['/openstack/latest/meta_data.json', '/openstack', '/latest/meta-data/', '/latest/meta-data/instance-id', '/', '/healthcheck']) {
      for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
        const answer = await service.ask(path, { method, headers: proof(uuid), ...(method === 'POST' ? { body: 'x' } : {}) });
        assert.deepEqual([answer.status, answer.headers['allow']], [405, 'GET, HEAD'], `${method} ${path}`);
      }
    }
    for (const method of ['POST', 'DELETE']) assert.equal((await service.ask('/nope', { method, headers: proof(uuid) })).status, 404);
    for (const method of ['TRACE', 'PROPFIND', 'CONNECT', 'get', 'X']) {
      const heard = await status(head(`${method} /openstack/latest/meta_data.json HTTP/1.1`, 'Connection: close'));
      assert.match(heard, /^4\d\d$|^none$/, method);
    }
  });

  it('is HEAD for everything: the head of GET and no body', async () => {
    for (const path of ['/openstack/latest/meta_data.json', '/openstack', '/latest/meta-data/instance-id', '/', '/healthcheck', '/nope']) {
      const [get, only] = [await service.ask(path, { headers: proof(uuid) }), await service.ask(path, { method: 'HEAD', headers: proof(uuid) })];
      assert.deepEqual([only.status, only.headers['content-type'], only.headers['content-length'], only.body], [get.status, get.headers['content-type'], get.headers['content-length'], ''], path);
    }
  });

  it('is bytes that are no HTTP, or headers that no header may have', async () => {
    for (const bytes of [
      'hello\r\n\r\n', '\0\0\0\0\r\n\r\n', 'GET / HTTP/9.9\r\n\r\n', head('GET /openstack HTTP/1.1', 'X-Bad: a\0b'), head('GET /openstack HTTP/1.1', 'no colon'),
      head('GET /openstack HTTP/1.1', ' X-Folded: a'), head('POST /openstack HTTP/1.1', 'Content-Length: 1', 'Content-Length: 2'), head('POST /openstack HTTP/1.1', 'Content-Length: -1'),
      head('POST /openstack HTTP/1.1', 'Content-Length: 3', 'Transfer-Encoding: chunked'),
    ]) assert.match(await status(bytes), /^4\d\d$/, bytes.slice(0, 60));
  });

  it('is doubled headers as bytes, in any case of letters', async () => {
    assert.equal(await status(head('GET /openstack HTTP/1.1', `x-instance-id: ${uuid}`, 'Connection: close')), '400');
    assert.equal(await status(head('GET /openstack HTTP/1.1', `X-TENANT-ID: ${PROJECT}`, 'Connection: close')), '400');
    assert.equal(await status(head('GET /openstack HTTP/1.1', 'X-Instance-Id-Signature: \u00e9', 'Connection: close')), '400');
  });

  it('is a head without end: refused at 16 KiB, or when it is not whole in time', async () => {
    assert.equal(await status(head('GET /openstack HTTP/1.1', ...Array.from({ length: 3_000 }, (_, index) => `X-${index}: ${index}`))), '431');
    const began = Date.now();
    assert.match(await status('GET /openstack HTTP/1.1\r\nX-Slow: '), /^408$|^none$/);
    assert.ok(Date.now() - began < 30_000);
  });

  it('is many requests at once on one connection: each is answered, in order', async () => {
    const many = Array.from({ length: 20 }, (_, index) => head(`GET ${index % 2 === 0 ? '/latest/meta-data/instance-id' : '/nope'} HTTP/1.1`, ...(index === 19 ? ['Connection: close'] : []))).join('');
    const answers = [...(await service.send(many)).matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, code]) => code);
    assert.deepEqual(answers, Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? '200' : '404')));
  });

  it('is a body that nobody wants: it is thrown away, and the connection goes on', async () => {
    const bytes = `${head('POST /openstack HTTP/1.1', 'Content-Length: 50000')}${'x'.repeat(50_000)}${head('GET /latest/meta-data/instance-id HTTP/1.1', 'Connection: close')}`;
    const answers = [...(await service.send(bytes)).matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, code]) => code);
    assert.deepEqual(answers, ['405', '200']);
  });

  it('is a body without end: whoever sends it is answered and cut off', async () => {
    const began = Date.now();
    const heard = await service.send(`${head('POST /openstack/latest/password HTTP/1.1', 'Transfer-Encoding: chunked')}${`400\r\n${'x'.repeat(1_024)}\r\n`.repeat(3_000)}`);
    assert.match(heard, /^HTTP\/1\.1 400 /);
    const idle = await service.send(`${head('PUT /latest/api/token HTTP/1.1', 'X-aws-ec2-metadata-token-ttl-seconds: 60', 'Content-Length: 100')}x`);
    assert.match(idle, /^HTTP\/1\.1 200 /);
    assert.ok(Date.now() - began < 40_000);
    for (const line of ['POST /%ff HTTP/1.1', 'PROPFIND /openstack HTTP/1.1', 'POST /openstack/latest/x HTTP/1.1']) {
      const refused = await service.send(`${head(line, 'Transfer-Encoding: chunked')}${`400\r\n${'x'.repeat(1_024)}\r\n`.repeat(3_000)}`);
      assert.match(refused, /^HTTP\/1\.1 40[045] /, line);
      assert.ok(Date.now() - began < 20_000, line);
    }
    const unknown = await service.send(`POST /openstack HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${`400\r\n${'x'.repeat(1_024)}\r\n`.repeat(3_000)}`);
    assert.match(unknown, /^HTTP\/1\.1 400 /);
  });

  it('is answered as JSON where that is asked for, refusals of every kind', async () => {
    const headers = proof(uuid, { Accept: 'application/json' });
    for (const [path, method, code] of [['/nope', 'GET', '404 Not Found'], ['/openstack', 'DELETE', '405 Method Not Allowed'], ['/latest/api/token', 'PUT', '400 Bad Request']] as const) {
      const answer = await service.ask(path, { method, headers });
      assert.equal((JSON.parse(answer.body) as { readonly code: string }).code, code);
    }
  });
});

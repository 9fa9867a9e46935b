import assert from 'node:assert/strict';
import { metadata } from '@gatehouse/contracts/metadata';
import { createClient } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import { proof, startTestCell } from './test-metadata.ts';
import type { Headers, Heard, TestCell, TestMetadata } from './test-metadata.ts';

const PATH = '/openstack/latest/password';
const TOO_LARGE = '400 Bad Request\n\nRequest is too large.\n\n   ';
const CONFLICT = '409 Conflict\n\nThere was a conflict when trying to complete your request.\n\n   ';

describe('the password that a guest posts over HTTP', function () {
  this.timeout(60_000);
  let cell: TestCell;
  let service: TestMetadata;
  before(async () => {
    cell = await startTestCell();
    service = await cell.start();
  });
  after(() => cell.stop());

  const post = (uuid: string, body: string | Buffer, more: Headers = {}, by = service): Promise<Heard> => by.ask(PATH, { method: 'POST', headers: proof(uuid, more), body });
  const stored = async (uuid: string): Promise<string> => (await service.ask(PATH, { headers: proof(uuid) })).body;

  it('is refused beyond 1020 bytes, said or sent, and nothing is kept', async () => {
    const uuid = await cell.addInstance();
    for (const [body, more] of [['x'.repeat(1_021), {}], ['ü'.repeat(511), {}], ['x'.repeat(1_021), { 'Transfer-Encoding': 'chunked' }], ['x'.repeat(300_000), {}]] as const) {
      const answer = await post(uuid, body, more);
      assert.deepEqual([answer.status, answer.body], [400, TOO_LARGE]);
    }
    assert.equal(await stored(uuid), '');
  });

  it('is refused where it is no text', async () => {
    const uuid = await cell.addInstance();
    for (const body of [Buffer.from([0xff, 0xfe]), Buffer.from('a\0b'), Buffer.from([0xc3])]) assert.equal((await post(uuid, body)).status, 400);
    assert.equal(await stored(uuid), '');
  });

  it('is refused with 409 when one is there, an empty one too, which alone changes nothing', async () => {
    const uuid = await cell.addInstance();
    assert.equal((await post(uuid, '')).status, 200);
    assert.deepEqual([(await post(uuid, 'first')).status, await stored(uuid)], [200, 'first']);
    for (const body of ['second', 'first', '']) {
      const answer = await post(uuid, body);
      assert.deepEqual([answer.status, answer.body], [409, CONFLICT]);
    }
    assert.equal(await stored(uuid), 'first');
  });

  it('is refused with 404 when the instance is deleted, for those who knew it too', async () => {
    const uuid = await cell.addInstance();
    assert.equal(await stored(uuid), '');
    await cell.cellDb.instances.softDelete(uuid, new Date());
    assert.equal((await post(uuid, 'late')).status, 404);
  });

  it('is refused by other methods, which say what would do', async () => {
    const uuid = await cell.addInstance();
    for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      const answer = await service.ask(PATH, { method, headers: proof(uuid), ...(method === 'PUT' ? { body: 'x' } : {}) });
      assert.deepEqual([answer.status, answer.headers['allow']], [405, 'GET, HEAD, POST'], method);
    }
  });

  it('is not in versions before 2013-04-04, nor in unknown ones', async () => {
    const uuid = await cell.addInstance();
    for (const version of ['2012-08-10', '2099-01-01']) {
      for (const method of ['GET', 'POST']) assert.equal((await service.ask(`/openstack/${version}/password`, { method, headers: proof(uuid), ...(method === 'POST' ? { body: 'x' } : {}) })).status, 404);
    }
    assert.equal((await service.ask('/openstack/2013-04-04/password', { headers: proof(uuid) })).status, 200);
  });

  it('comes back as it went, of whatever type it was said to be, as text that nobody keeps', async () => {
    const longest = `${'ü'.repeat(509)}+=`;
    for (const [body, type] of [['Zm9v+/=', undefined], [longest, 'application/octet-stream'], ['\u{FEFF}{"a":1}\r\n', 'application/json'], ['a=b', 'application/x-www-form-urlencoded'], ['x', 'no type']] as const) {
      const uuid = await cell.addInstance();
      assert.equal((await post(uuid, body, type === undefined ? {} : { 'Content-Type': type })).status, 200, type);
      const { body: back, headers } = await service.ask(PATH, { headers: proof(uuid) });
      assert.equal(back, body);
      assert.deepEqual([headers['content-type'], headers['cache-control'], headers['etag']], ['text/plain; charset=UTF-8', 'no-store', undefined]);
      const head = await service.ask(PATH, { method: 'HEAD', headers: proof(uuid) });
      assert.deepEqual([head.status, head.body, head.headers['content-length']], [200, '', String(Buffer.byteLength(body))]);
    }
  });

  it('is one of fifty that come at once to three services, whole, as all of them say from then on', async () => {
    const services = [service, await cell.start(), await cell.start()];
    const uuid = await cell.addInstance();
    for (const by of services) assert.equal((await by.ask(PATH, { headers: proof(uuid) })).body, '');
    const bodies = Array.from({ length: 50 }, (_, index) => `${index}.`.repeat(400).slice(0, 1_000));
    const answers = await Promise.all(bodies.map((body, index) => post(uuid, body, {}, services[index % 3])));
    const won = answers.flatMap(({ status }, index) => (status === 200 ? [bodies[index]] : []));
    assert.equal(won.length, 1);
    assert.equal(answers.filter(({ status }) => status === 409).length, 49);
    for (const by of services) assert.equal((await by.ask(PATH, { headers: proof(uuid) })).body, won[0]);
  });

  it('can be posted again once it was cleared by RPC', async () => {
    const uuid = await cell.addInstance();
    await post(uuid, 'first');
    const client = createClient(metadata, service.transport);
    await client.clearPassword({ instanceUuid: uuid }, newContext());
    assert.equal(await stored(uuid), '');
    assert.deepEqual([(await post(uuid, 'second')).status, await stored(uuid)], [200, 'second']);
  });

  it('is not kept where only a part of it came, and its sender does not hold the connection', async () => {
    const uuid = await cell.addInstance();
    const lines = Object.entries(proof(uuid)).map(([name, value]) => `${name}: ${String(value)}`);
    const began = Date.now();
    const slow = await service.send(`POST ${PATH} HTTP/1.1\r\nHost: a\r\n${lines.join('\r\n')}\r\nContent-Length: 20\r\n\r\nhalf of it`);
    assert.match(slow, /^HTTP\/1\.1 408 /);
    assert.ok(Date.now() - began < 30_000);
    assert.equal(await stored(uuid), '');
  });

  it('stands in no log', async () => {
    const uuid = await cell.addInstance();
    const password = 'Zm9vYmFyYmF6cXV4';
    for (const body of [password, password, `${password}\0`, password.repeat(100)]) await post(uuid, body);
    await stored(uuid);
    assert.match(service.logged(), /openstack\/latest\/password/);
    assert.ok(!service.logged().includes(password));
  });
});

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { RpcServer } from '@gatehouse/rpc/server';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import { serveAgent, serveRevocation, startTestApi } from './test-api.ts';
import type { Answer, TestApi } from './test-api.ts';
import { createServer, serveMetadata } from './test-instances.ts';

const POSTED = `${'A'.repeat(255)}BCD==`;

describe("a guest's password over HTTP", function () {
  this.timeout(60_000);
  let api: TestApi;
  let servers: RpcServer[] = [];

  before(async () => {
    api = await startTestApi(await startPostgresql());
    servers = [await serveAgent(api, 'host-a'), await serveRevocation(api, [])];
  });
  after(async () => {
    await Promise.all(servers.map((server) => server.drain()));
    await api?.stop();
  });

  const ask = (method: string, id: string, token = 'alice:proj'): Promise<Answer> => api.ask(method, `/v2.1/servers/${id}/os-server-password`, { token });

  it('is not there for another project, nor of an instance that is not', async () => {
    const id = await createServer(api);
    await api.cellDb.instancePasswords.save(id, POSTED, new Date());
    for (const method of ['GET', 'DELETE']) {
      assert.equal((await ask(method, id, 'carol:other')).status, 404);
      const unknown = randomUUID();
      assert.deepEqual((await ask(method, unknown)).json, { itemNotFound: { code: 404, message: `Instance ${unknown} could not be found.` } });
    }
    assert.deepEqual((await ask('GET', id, 'admin:ops')).json, { password: POSTED });
    assert.equal((await ask('POST', id)).status, 404);
    assert.equal(api.logged.some((line) => line.includes(POSTED)), false);
  });

  it('is refused to be cleared while no metadata service is there to do it, and stays', async () => {
    const id = await createServer(api);
    await api.cellDb.instancePasswords.save(id, POSTED, new Date());
    const answer = await ask('DELETE', id);
    assert.equal(answer.status, 503, answer.text);
    assert.deepEqual((await ask('GET', id)).json, { password: POSTED });
  });

  it('is empty where none was posted, is shown as it was, and is cleared by the metadata service', async () => {
    const id = await createServer(api);
    const served = await serveMetadata(api, []);
    try {
      assert.deepEqual((await ask('GET', id)).json, { password: '' });
      assert.equal((await ask('DELETE', id)).status, 204);
      await api.cellDb.instancePasswords.save(id, POSTED, new Date());
      assert.deepEqual((await ask('GET', id)).json, { password: POSTED });
      const cleared = await ask('DELETE', id);
      assert.deepEqual([cleared.status, cleared.text], [204, '']);
      assert.deepEqual((await ask('GET', id)).json, { password: '' });
    } finally {
      await served.drain();
    }
  });

  it('goes with its instance', async () => {
    const id = await createServer(api);
    await api.cellDb.instancePasswords.save(id, POSTED, new Date());
    await api.ask('DELETE', `/v2.1/servers/${id}`, { token: 'alice:proj' });
    assert.equal((await ask('GET', id)).status, 404);
  });
});

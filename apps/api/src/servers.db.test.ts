import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { KeyPairList } from '@gatehouse/objects/key-pair-list';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { RpcServer } from '@gatehouse/rpc/server';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import { runningMsOf } from '../../../test/servers/running-time.ts';
import { reportAgent, serveAgent, serveRevocation, silenceAgents, startTestApi } from './test-api.ts';
import type { Answer, TestApi } from './test-api.ts';

const KEY = readFileSync(new URL('../test-vectors/keys/ed25519.pub', import.meta.url), 'utf8').trim();
const NOBODY = '00000000-0000-4000-8000-000000001234';

interface ServerAnswer {
  readonly server: { readonly id: string; readonly [key: string]: unknown };
}

const serverOf = (answer: Answer): ServerAnswer['server'] => (answer.json as ServerAnswer).server;
const faultOf = (answer: Answer): readonly [string, number, string] => {
  const [[name, fault] = ['', { code: 0, message: '' }]] = Object.entries(answer.json as Record<string, { code: number; message: string }>);
  return [name, fault.code, fault.message];
};

describe('servers over HTTP', function () {
  this.timeout(60_000);
  let api: TestApi;
  let agents: RpcServer[] = [];
  const revoked: string[] = [];

  before(async () => {
    api = await startTestApi(await startPostgresql());
    await serveRevocation(api, revoked);
    agents = [await serveAgent(api, 'host-a'), await serveAgent(api, 'host-b')];
    await api.ask('POST', '/v2.1/os-keypairs', { body: { keypair: { name: 'mine', public_key: KEY } } });
  });
  after(async () => {
    await Promise.all(agents.map((agent) => agent.drain()));
    await api?.stop();
  });

  const create = (server: object, token = 'alice:proj'): Promise<Answer> => api.ask('POST', '/v2.1/servers', { token, body: { server } });

  describe('a server that is refused', () => {
    const cases: readonly (readonly [what: string, server: object, expected: RegExp])[] = [
      ['no name', {}, /attribute server\. Value: \{\}\. 'name' is a required property/],
      ['a name with a line break', { name: 'a\nb' }, /printable characters/],
      ['a name of 256 characters', { name: 'n'.repeat(256) }, /is too long/],
      ['a number for a name', { name: 7 }, /7 is not of type 'string'/],
      ['an unknown property', { name: 'x', colour: 'red' }, /'colour' was unexpected/],
      ['an unknown key', { name: 'x', key_name: 'nobody' }, /^Invalid key_name provided\.$/],
      ['user data that is not base64', { name: 'x', user_data: 'ä' }, /attribute user_data\. Value: ä\. 'ä' is not a 'base64'/],
      ['user data of 64 KiB and more', { name: 'x', user_data: 'QUFB'.repeat(16_384) }, /attribute user_data.* is too long/],
      ['metadata that is no text', { name: 'x', metadata: { a: 1 } }, /attribute a\. Value: 1\. 1 is not of type 'string'/],
      ['a metadata value that is too long', { name: 'x', metadata: { a: 'v'.repeat(256) } }, /is too long/],
      ['a metadata name with a slash', { name: 'x', metadata: { 'a/b': '1' } }, /'a\/b' was unexpected/],
      ['another zone', { name: 'x', availability_zone: 'mars' }, /zone is not available: nova is/],
      ['a host that nobody knows', { name: 'x', availability_zone: 'nova:nowhere' }, /No valid host was found: compute host nowhere is unknown/],
      ['two servers', { name: 'x', min_count: 2 }, /2 is not one of \[1, '1'\]/],
    ];
    for (const [what, server, expected] of cases) {
      it(`has ${what}`, async () => {
        const answer = await create(server);
        assert.equal(answer.status, 400, answer.text);
        assert.match(faultOf(answer)[2], expected);
        assert.equal(faultOf(answer)[0], 'badRequest');
      });
    }

    it('has more metadata than the quota', async () => {
      const metadata = Object.fromEntries(Array.from({ length: 129 }, (_, index) => [`k${index}`, 'v']));
      assert.deepEqual(faultOf(await create({ name: 'x', metadata })), ['forbidden', 403, 'Maximum number of metadata items exceeds 128']);
    });

    it('was wanted on a host that has stopped reporting', async () => {
      await reportAgent(api, 'host-dead', new Date(Date.now() - 60_000));
      const answer = await create({ name: 'x', availability_zone: 'nova:host-dead' });
      assert.equal(answer.status, 400);
      assert.match(faultOf(answer)[2], /host-dead is unknown or has not reported lately/);
    });

    it('leaves nothing behind', async () => {
      assert.deepEqual((await api.ask('GET', '/v2.1/servers')).json, { servers: [] });
    });
  });

  it("is made with Nova's answer, on the host its zone names, with its owner's key, data and metadata", async () => {
    const userData = Buffer.from('#cloud-config\n').toString('base64');
    const answer = await create({
      name: 'Web Server_1', key_name: 'mine', user_data: userData, metadata: { role: 'web' }, availability_zone: 'nova:host-b',
      flavorRef: '1', imageRef: '', networks: 'auto',
    });
    assert.equal(answer.status, 202, answer.text);
    const created = serverOf(answer);
    assert.deepEqual(Object.keys(created), ['id', 'links', 'OS-DCF:diskConfig', 'security_groups', 'adminPass']);
    assert.equal(answer.headers['location'], `${api.url}/v2.1/servers/${created.id}`);
    const shown = serverOf(await api.ask('GET', `/v2.1/servers/${created.id}`));
    assert.equal(shown['status'], 'ACTIVE');
    assert.equal(shown['key_name'], 'mine');
    assert.deepEqual(shown['metadata'], { role: 'web' });
    assert.equal(shown['tenant_id'], 'proj');
    assert.equal(shown['OS-EXT-SRV-ATTR:host'], undefined);
    const stored = await api.cellDb.instances.get(created.id);
    assert.deepEqual([stored.host, stored.hostname, stored.userData, stored.keyData], ['host-b', 'web-server-1', userData, KEY]);
    const mapping = await api.apiDb.instanceMappings.get(created.id);
    assert.equal((await api.apiDb.cellMappings.list())[0]?.uuid, mapping.cellUuid);
    await api.ask('DELETE', `/v2.1/servers/${created.id}`);
  });

  it('keeps its keys as a whole KeyPairList, an empty one where it has none', async () => {
    const withKey = serverOf(await create({ name: 'k', key_name: 'mine' })).id;
    const without = serverOf(await create({ name: 'n' })).id;
    const keys = (await api.cellDb.instanceExtra.findKeyPairs(withKey))?.objects ?? [];
    assert.deepEqual(keys.map(({ name, publicKey, type, userId }) => [name, publicKey, type, userId]), [['mine', KEY, 'ssh', 'alice']]);
    assert.deepEqual(await api.cellDb.instanceExtra.findKeyPairs(without), KeyPairList.make({ objects: [] }));
    for (const id of [withKey, without]) await api.ask('DELETE', `/v2.1/servers/${id}`);
  });

  it("asks for a config drive in Nova's words for yes and no, and in no others", async () => {
    assert.deepEqual(faultOf(await create({ name: 'd', config_drive: 'maybe' })).slice(0, 2), ['badRequest', 400]);
    for (const [word, shown] of [[true, 'True'], ['yes', 'True'], ['1', 'True'], [false, ''], ['off', ''], [undefined, '']] as const) {
      const { id } = serverOf(await create({ name: 'd', ...(word === undefined ? {} : { config_drive: word }) }));
      assert.equal((await api.cellDb.instances.get(id)).configDrive, shown === 'True', String(word));
      assert.equal(serverOf(await api.ask('GET', `/v2.1/servers/${id}`))['config_drive'], shown, String(word));
      await api.ask('DELETE', `/v2.1/servers/${id}`);
    }
  });

  it('goes to the live host with the fewest instances', async () => {
    const ids: string[] = [];
    for (let index = 0; index < 4; index += 1) ids.push(serverOf(await create({ name: `p${index}` })).id);
    assert.deepEqual(Object.fromEntries(await api.cellDb.instances.countByHost()), { 'host-a': 2, 'host-b': 2 });
    for (const id of ids) await api.ask('DELETE', `/v2.1/servers/${id}`);
  });

  it('is in state ERROR when its host could not make its guest', async () => {
    const failing = await serveAgent(api, 'host-bad', {
      createInstance() {
        throw new ServiceError('INTERNAL', 'no disk');
      },
    });
    const { id } = serverOf(await create({ name: 'x', availability_zone: 'nova:host-bad' }));
    assert.equal(serverOf(await api.ask('GET', `/v2.1/servers/${id}`))['status'], 'ERROR');
    await api.ask('DELETE', `/v2.1/servers/${id}`);
    await failing.drain();
    // It reports no more, and the next test must not be placed on it.
    await silenceAgents(api);
    await Promise.all(['host-a', 'host-b'].map((host) => reportAgent(api, host)));
  });

  it('answers 202 within two seconds when its host takes longer, and goes on', async () => {
    let finish = (): void => {};
    const slow = await serveAgent(api, 'host-slow', { createInstance: () => new Promise<void>((resolve) => (finish = resolve)) });
    let id = '';
    const ms = await runningMsOf(async () => {
      const answer = await create({ name: 'x', availability_zone: 'nova:host-slow' });
      assert.equal(answer.status, 202);
      ({ id } = serverOf(answer));
    });
    assert.ok(ms < 2_000, `${ms} ms`);
    assert.equal(serverOf(await api.ask('GET', `/v2.1/servers/${id}`))['status'], 'BUILD');
    finish();
    await api.ask('DELETE', `/v2.1/servers/${id}`);
    await slow.drain();
    await silenceAgents(api);
    await Promise.all(['host-a', 'host-b'].map((host) => reportAgent(api, host)));
  });

  describe("another project's server", () => {
    let id = '';
    before(async () => {
      id = serverOf(await create({ name: 'hers' })).id;
    });
    after(() => api.ask('DELETE', `/v2.1/servers/${id}`));

    for (const [method, path, body] of [
      ['GET', '', undefined],
      ['DELETE', '', undefined],
      ['POST', '/remote-consoles', { remote_console: { protocol: 'vnc', type: 'novnc' } }],
    ] as const) {
      it(`does not exist for ${method} ${path}`, async () => {
        const ask = { token: 'bob:other', version: '2.8', ...(body === undefined ? {} : { body }) };
        const answer = await api.ask(method, `/v2.1/servers/${id}${path}`, ask);
        assert.deepEqual(faultOf(answer), ['itemNotFound', 404, `Instance ${id} could not be found.`]);
      });
    }

    it('is not in a list, and all_tenants is for the administrator', async () => {
      assert.deepEqual((await api.ask('GET', '/v2.1/servers', { token: 'bob:other' })).json, { servers: [] });
      assert.equal((await api.ask('GET', '/v2.1/servers?all_tenants=1', { token: 'bob:other' })).status, 403);
      const all = (await api.ask('GET', '/v2.1/servers/detail?all_tenants=1', { token: 'admin:admin' })).json as { servers: { id: string }[] };
      assert.deepEqual(all.servers.map((server) => server.id), [id]);
      assert.deepEqual((await api.ask('GET', '/v2.1/servers', { token: 'admin:admin' })).json, { servers: [] });
    });

    it('is shown to the administrator with its host', async () => {
      const shown = serverOf(await api.ask('GET', `/v2.1/servers/${id}`, { token: 'admin:admin', version: '2.93' }));
      assert.match(String(shown['OS-EXT-SRV-ATTR:host']), /^host-[ab]$/);
      assert.equal(shown['locked'], false);
      assert.equal(shown['locked_reason'], null);
    });
  });

  it('is not found under any other text than its id', async () => {
    for (const id of [NOBODY, 'abc', '%00', "'%20OR%20'1'='1", 'x'.repeat(90)]) {
      const answer = await api.ask('GET', `/v2.1/servers/${id}`);
      assert.equal(answer.status, 404, id);
    }
  });

  it('pages by limit and marker, newest first', async () => {
    const ids: string[] = [];
    for (const name of ['one', 'two', 'three']) ids.unshift(serverOf(await create({ name })).id);
    const page = (path: string): Promise<Answer> => api.ask('GET', path);
    type Page = { servers: { id: string }[]; servers_links?: { href: string }[] };
    const first = (await page('/v2.1/servers?limit=2')).json as Page;
    assert.deepEqual(first.servers.map((server) => server.id), ids.slice(0, 2));
    const next = new URL(first.servers_links?.[0]?.href ?? '');
    const second = (await page(next.pathname + next.search)).json as Page;
    assert.deepEqual(second.servers.map((server) => server.id), ids.slice(2));
    assert.equal(second.servers_links, undefined);
    assert.equal((await page(`/v2.1/servers?marker=${NOBODY}`)).status, 400);
    assert.equal((await page('/v2.1/servers?limit=-1')).status, 400);
    for (const id of ids) await api.ask('DELETE', `/v2.1/servers/${id}`);
  });

  describe('deleting a server', () => {
    it('ends its console sessions and removes its guest and its console rows', async () => {
      const { id } = serverOf(await create({ name: 'x' }));
      const answer = await api.ask('DELETE', `/v2.1/servers/${id}`);
      assert.deepEqual([answer.status, answer.text], [204, '']);
      assert.ok(revoked.includes(id));
      assert.equal((await api.ask('GET', `/v2.1/servers/${id}`)).status, 404);
      assert.equal((await api.ask('DELETE', `/v2.1/servers/${id}`)).status, 404);
    });

    it('ends its console sessions once more when nobody can open another', async () => {
      const { id } = serverOf(await create({ name: 'x', availability_zone: 'nova:host-a' }));
      const before = revoked.length;
      await api.ask('DELETE', `/v2.1/servers/${id}`);
      assert.deepEqual(revoked.slice(before), [id, id]);
    });

    it('works while its host is dead', async () => {
      const doomed = await serveAgent(api, 'host-doomed');
      const { id } = serverOf(await create({ name: 'x', availability_zone: 'nova:host-doomed' }));
      const now = new Date();
      const connection = { instanceUuid: id, host: 'host-doomed', port: 0, consoleType: 'serial' as const, tokenHash: null, accessUrl: null, options: {}, expires: null };
      await api.cellDb.consoleConnections.upsertAll([connection], { exclusive: true, at: now });
      await doomed.drain();
      assert.ok((await runningMsOf(async () => assert.equal((await api.ask('DELETE', `/v2.1/servers/${id}`)).status, 204))) < 10_000);
      assert.equal((await api.ask('GET', `/v2.1/servers/${id}`)).status, 404);
      assert.deepEqual(await api.cellDb.consoleConnections.listByInstance(id), []);
      await silenceAgents(api);
      await Promise.all(['host-a', 'host-b'].map((host) => reportAgent(api, host)));
    });
  });

  it('is refused with words when no compute agent is live', async () => {
    await silenceAgents(api);
    const answer = await create({ name: 'x' });
    assert.deepEqual(faultOf(answer), ['serviceUnavailable', 503, 'No valid host was found: no compute agent has reported lately']);
    await Promise.all(['host-a', 'host-b'].map((host) => reportAgent(api, host)));
  });

  describe('a console of it', () => {
    let id = '';
    before(async () => {
      id = serverOf(await create({ name: 'c', availability_zone: 'nova:host-a' })).id;
    });
    after(() => api.ask('DELETE', `/v2.1/servers/${id}`));
    const open = (console: unknown, version = '2.8'): Promise<Answer> =>
      api.ask('POST', `/v2.1/servers/${id}/remote-consoles`, { version, body: { remote_console: console } });

    it('is refused by its host in the words that the host gave', async () => {
      const busy = await serveAgent(api, 'host-busy', {
        getConsole() {
          throw new ServiceError('PORT_IN_USE', 'the serial port has been in use since 12:00');
        },
      });
      const other = serverOf(await create({ name: 'b', availability_zone: 'nova:host-busy' })).id;
      const body = { remote_console: { protocol: 'serial', type: 'serial' } };
      const answer = await api.ask('POST', `/v2.1/servers/${other}/remote-consoles`, { version: '2.6', body });
      assert.deepEqual(faultOf(answer), ['conflictingRequest', 409, 'the serial port has been in use since 12:00']);
      await busy.drain();
      const gone = await api.ask('POST', `/v2.1/servers/${other}/remote-consoles`, { version: '2.6', body });
      assert.equal(gone.status, 503);
      assert.match(faultOf(gone)[2], /compute host host-busy cannot be reached/);
      await api.ask('DELETE', `/v2.1/servers/${other}`);
    });

    it('is refused where type and protocol do not belong together', async () => {
      assert.deepEqual(faultOf(await open({ protocol: 'serial', type: 'novnc' })), ['badRequest', 400, 'Invalid console type novnc']);
      assert.deepEqual(faultOf(await open({ protocol: 'vnc', type: 'xvpvnc' })), ['badRequest', 400, 'Invalid console type xvpvnc']);
    });

    it('is refused while the server is being deleted', async () => {
      await api.cellDb.instances.update(id, { taskState: 'deleting' }, new Date());
      const answer = await open({ protocol: 'vnc', type: 'novnc' });
      await api.cellDb.instances.update(id, { taskState: null }, new Date());
      assert.equal(answer.status, 409);
      assert.match(faultOf(answer)[2], /task_state deleting/);
    });

    it('is given as a URL, and its token is in no log', async () => {
      assert.deepEqual((await open({ protocol: 'vnc', type: 'novnc' })).json, {
        remote_console: { protocol: 'vnc', type: 'novnc', url: 'http://127.0.0.1:6080/vnc#token=secret-of-host-a' },
      });
      const serial = await api.ask('POST', `/v2.1/servers/${id}/action`, { body: { 'os-getSerialConsole': { type: 'serial' } } });
      assert.deepEqual(serial.json, { console: { type: 'serial', url: 'http://127.0.0.1:6080/serial#token=secret-of-host-a' } });
      assert.ok(!api.logged.join('').includes('secret-of-host-a'));
    });

    it('is not given for an action that nobody knows, for two at once or for none', async () => {
      for (const body of [{ createImage: { name: 'x' } }, {}, { a: 1, b: 2 }, []]) {
        assert.equal((await api.ask('POST', `/v2.1/servers/${id}/action`, { body })).status, 400);
      }
    });
  });
});

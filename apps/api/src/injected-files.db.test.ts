import assert from 'node:assert/strict';
import type { RpcServer } from '@gatehouse/rpc/server';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import { serveAgent, serveRevocation, startTestApi } from './test-api.ts';
import type { Answer, TestApi } from './test-api.ts';
import { createServer, serveMetadata } from './test-instances.ts';

const ALICE = 'alice:proj';
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const FILE = { path: '/etc/motd', contents: base64('hello\n') };
/** The longest that Nova takes, and four characters more. */
const LONGEST = 'QUFB'.repeat(16_383);

describe('what a server is given for its guest', function () {
  this.timeout(60_000);
  let api: TestApi;
  let servers: RpcServer[] = [];
  const told: string[] = [];

  before(async () => {
    api = await startTestApi(await startPostgresql());
    const rebuildInstance = async ({ instance }: { readonly instance: { readonly uuid: string } }): Promise<void> => {
      await api.cellDb.instances.update(instance.uuid, { vmState: 'active', taskState: null }, new Date(), 'host-a');
    };
    servers = [await serveAgent(api, 'host-a', { rebuildInstance }), await serveRevocation(api, []), await serveMetadata(api, told)];
  });
  after(async () => {
    await Promise.all(servers.map((server) => server.drain()));
    await api?.stop();
  });

  const create = (server: object, version = '2.56'): Promise<Answer> => api.ask('POST', '/v2.1/servers', { token: ALICE, version, body: { server: { name: 'x', ...server } } });
  const rebuild = (id: string, body: object, version: string): Promise<Answer> => api.ask('POST', `/v2.1/servers/${id}/action`, { token: ALICE, version, body: { rebuild: { imageRef: 'i', ...body } } });
  const factsOf = async (id: string) => (await api.cellDb.instanceFacts.find(id)) ?? assert.fail();
  const idOf = ({ status, json, text }: Answer): string => {
    assert.equal(status, 202, text);
    return (json as { server: { id: string } }).server.id;
  };
  const faultOf = ({ status, json }: Answer): readonly [number, string] => {
    const [fault] = Object.values(json as Record<string, { message: string }>);
    return [status, fault?.message ?? ''];
  };

  describe('files (its personality)', () => {
    const files = (count: number): object[] => Array.from({ length: count }, (_, index) => ({ ...FILE, path: `/${index}` }));
    const cases: readonly (readonly [what: string, personality: unknown, status: number, words: RegExp])[] = [
      ['are more than five', files(6), 403, /^Personality file limit exceeded$/],
      ['have a path of 256 characters', [{ ...FILE, path: 'ä'.repeat(256) }], 403, /^Personality file path exceeds maximum 255$/],
      ['have a content of more than 10 KiB', [{ ...FILE, contents: 'QUFB'.repeat(2_561) }], 403, /^Personality file content exceeds maximum 10240$/],
      ['have no path, where Nova answers 500', [{ contents: '' }], 400, /'path' is a required property/],
      ['have no content, where Nova answers 500', [{ path: '/a' }], 400, /'contents' is a required property/],
      ['are not base64', [{ ...FILE, contents: '?' }], 400, /attribute contents\. Value: \?\. '\?' is not a 'base64'/],
      ['are no list', FILE, 400, /is not of type 'array'/],
      ['have more properties', [{ ...FILE, mode: 7 }], 400, /'mode' was unexpected/],
      ['have a path with NUL', [{ ...FILE, path: '/a\0' }], 400, /attribute path\. Value: .* holds a NUL character or half of a surrogate pair/],
      ['have a path with half a character', [{ ...FILE, path: '/\ud800' }], 400, /attribute path\. Value: .* holds a NUL character or half of a surrogate pair/],
      ['are very many', Array.from({ length: 25_000 }, () => ({})), 400, /is a required property/],
    ];
    for (const [what, personality, status, words] of cases) {
      it(`are refused where they ${what}, at a creation and at a rebuild`, async () => {
        const id = await createServer(api);
        for (const answer of [await create({ personality }), await rebuild(id, { personality }, '2.56')]) {
          assert.equal(answer.status, status, answer.text.slice(0, 300));
          assert.match(faultOf(answer)[1], words);
        }
      });
    }

    it('are unknown from 2.57 on', async () => {
      const id = await createServer(api);
      for (const answer of [await create({ personality: [FILE] }, '2.57'), await rebuild(id, { personality: [FILE] }, '2.57')]) {
        assert.deepEqual(faultOf(answer)[0], 400);
        assert.match(faultOf(answer)[1], /'personality' was unexpected/);
      }
    });

    it('are kept as they were sent, up to the limits', async () => {
      const most = [{ path: 'ä'.repeat(255), contents: 'QUFB'.repeat(2_560) }, FILE, FILE, { path: '', contents: '' }, { path: '/lines', contents: 'aGVs\nbG8=\n' }];
      assert.deepEqual((await factsOf(idOf(await create({ personality: most }, '2.1')))).injectedFiles, most);
      assert.deepEqual((await factsOf(idOf(await create({}, '2.1')))).injectedFiles, []);
    });

    it('are those of the rebuild after one, as in Nova: none where it names none', async () => {
      const id = idOf(await create({ personality: [FILE] }));
      const { generation } = await factsOf(id);
      const other = { path: '/b', contents: '' };
      assert.equal((await rebuild(id, { personality: [other] }, '2.56')).status, 202);
      assert.deepEqual((await factsOf(id)).injectedFiles, [other]);
      assert.ok((await factsOf(id)).generation > generation);
      assert.equal((await rebuild(id, {}, '2.90')).status, 202);
      assert.deepEqual((await factsOf(id)).injectedFiles, []);
    });

    it('stay where a rebuild is refused', async () => {
      const id = idOf(await create({ personality: [FILE] }));
      await api.cellDb.instances.update(id, { taskState: 'rebooting' }, new Date());
      assert.equal((await rebuild(id, {}, '2.56')).status, 409);
      assert.deepEqual((await factsOf(id)).injectedFiles, [FILE]);
    });
  });

  describe('user data', () => {
    it('is refused one byte beyond 65535 of base64, with the words and without the bytes of it', async () => {
      const id = await createServer(api);
      for (const answer of [await create({ user_data: `${LONGEST}QUFB` }), await rebuild(id, { user_data: `${LONGEST}QUFB` }, '2.57'), await create({ user_data: `${LONGEST}\n\n\n\n` })]) {
        assert.equal(answer.status, 400);
        assert.match(faultOf(answer)[1], /^Invalid input for field\/attribute user_data\. Value: QUFB.* is too long$/s);
        assert.ok(answer.text.length < 8_000);
      }
    });

    it('is taken up to there, with line breaks too', async () => {
      for (const data of [LONGEST, `${LONGEST}\n\n\n`, '', base64('é').match(/.{1,2}/g)?.join('\n') ?? '']) {
        assert.equal((await factsOf(idOf(await create({ user_data: data })))).userData, data);
      }
    });

    it('is replaced by a rebuild from 2.57 on, taken away by null, and told at once', async () => {
      const id = idOf(await create({ user_data: base64('one') }));
      assert.match(faultOf(await rebuild(id, { user_data: base64('two') }, '2.56'))[1], /'user_data' was unexpected/);
      const before = told.filter((each) => each === id).length;
      for (const [sent, kept] of [[{ user_data: base64('two') }, base64('two')], [{}, base64('two')], [{ user_data: null }, null]] as const) {
        const answer = await rebuild(id, sent, '2.57');
        assert.equal(answer.status, 202, answer.text);
        assert.equal((answer.json as { server: { user_data: unknown } }).server.user_data, kept);
        assert.equal((await factsOf(id)).userData, kept);
      }
      assert.ok(told.filter((each) => each === id).length >= before + 3);
    });
  });

  it('is refused, however much it is, without holding up the others', async () => {
    const lists = [Array.from({ length: 25_000 }, () => ({})), Array.from({ length: 50_000 }, () => 1)];
    const bodies = [...lists.map((personality) => ({ personality })), ...lists.map((names) => ({ key_names: names })), Object.fromEntries(Array.from({ length: 8_000 }, (_, index) => [`k${index}`, 1]))];
    let isOver = false;
    const refused = Promise.all(bodies.map((body) => create(body))).finally(() => (isOver = true));
    const waits: number[] = [];
    while (!isOver) {
      // What the process did meanwhile, whoever else wanted the processor.
      const start = process.cpuUsage();
      assert.equal((await api.ask('GET', '/v1/openapi.json', { token: null })).status, 200);
      waits.push(process.cpuUsage(start).user / 1_000);
    }
    assert.ok((await refused).every(({ status }) => status === 400));
    // Five of them, each of which takes a fraction of a second to refuse.
    assert.ok(Math.max(...waits) < 5_000, String(Math.max(...waits)));
    assert.equal((await create({ user_data: 'QUFB'.repeat(40_000) })).status, 413);
  });

  it('takes no property before its microversion', async () => {
    for (const [property, before] of [['description', '2.18'], ['tags', '2.51'], ['trusted_image_certificates', '2.62'], ['hostname', '2.89']] as const) {
      assert.match(faultOf(await create({ [property]: 'x' }, before))[1], new RegExp(`'${property}' was unexpected`));
    }
    assert.equal((await api.cellDb.instances.get(idOf(await create({ hostname: 'own', description: 'd' }, '2.90')))).hostname, 'own');
  });
});

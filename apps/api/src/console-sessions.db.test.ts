import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { RpcServer } from '@gatehouse/rpc/server';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import { startTestApi } from './test-api.ts';
import type { Answer, Ask, TestApi } from './test-api.ts';
import { TestSessions } from './test-sessions.ts';

const PATH = '/v1/console-sessions';
const ADMIN = 'admin:ops';

interface Session {
  readonly id: string;
  readonly state: string;
  readonly [key: string]: unknown;
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, { schema: object }>> }>> }>>>>;
}

describe('console sessions over REST', function () {
  this.timeout(60_000);
  let api: TestApi;
  let served: RpcServer;
  let kept: TestSessions;
  let document: Document;
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  ajv.addFormat('uuid', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  ajv.addFormat('date-time', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);

  before(async () => {
    api = await startTestApi(await startPostgresql());
    document = (await api.ask('GET', '/v1/openapi.json', { token: null })).json as Document;
    ajv.addSchema(document as object, 'openapi');
  });
  after(() => api?.stop());
  beforeEach(async () => {
    kept = new TestSessions();
    served = await kept.serve(api.transport);
  });
  afterEach(() => served.drain());

  /** Every answer of these tests is what the document promises of it. */
  async function ask(method: string, path: string, how: Ask = {}): Promise<Answer> {
    const answer = await api.ask(method, path, how);
    const [bare = ''] = path.split('?');
    const template = bare === PATH ? bare : bare.startsWith(`${PATH}/events`) ? `${PATH}/events` : `${PATH}/{id}`;
    const responses = document.paths[template]?.[method.toLowerCase()]?.responses ?? {};
    const [status] = [String(answer.status), 'default'].filter((each) => each in responses);
    const type = (answer.headers['content-type'] ?? '').split(';', 1)[0] ?? '';
    if (answer.text === '') assert.equal(responses[status ?? '']?.content, undefined, `${method} ${path} answered ${answer.status} without a body`);
    else {
      assert.ok(responses[status ?? '']?.content?.[type], `${type} is not promised for ${method} ${path}: ${answer.status}`);
      const escape = (text: string): string => encodeURIComponent(text.replaceAll('~', '~0').replaceAll('/', '~1'));
      const pointer = ['paths', template, method.toLowerCase(), 'responses', status ?? '', 'content', type, 'schema'].map(escape).join('/');
      const validate = ajv.getSchema(`openapi#/${pointer}`) ?? assert.fail(pointer);
      assert.ok(validate(answer.json), `${answer.text}\n${ajv.errorsText(validate.errors)}`);
    }
    return answer;
  }
  const sessionsOf = ({ json }: Answer): readonly Session[] => (json as { console_sessions: Session[] }).console_sessions;
  const idsOf = (answer: Answer): readonly string[] => sessionsOf(answer).map(({ id }) => id);
  const problemOf = ({ status, headers, json }: Answer): readonly [number, string, string] => {
    assert.match(headers['content-type'] ?? '', /^application\/problem\+json/);
    const problem = json as { status: number; code: string; detail: string };
    assert.equal(problem.status, status);
    return [status, problem.code, problem.detail];
  };

  describe('are refused as problems', () => {
    const cases: readonly (readonly [what: string, method: string, path: string, status: number, code: string, says: RegExp])[] = [
      ['an unknown parameter', 'GET', `${PATH}?colour=red`, 400, 'INVALID_ARGUMENT', /no parameter colour here: instance_id, .*marker/],
      ['a parameter said twice', 'GET', `${PATH}?state=open&state=all`, 400, 'INVALID_ARGUMENT', /^state: say it once/],
      ['a state that there is not', 'GET', `${PATH}?state=closed`, 400, 'INVALID_ARGUMENT', /^state: must be one of open, ended, all/],
      ['a console type that there is not', 'GET', `${PATH}?console_type=telex`, 400, 'INVALID_ARGUMENT', /^console_type: must be one of novnc/],
      ['a limit of 0', 'GET', `${PATH}?limit=0`, 400, 'INVALID_ARGUMENT', /^limit: must be >= 1/],
      ['a limit of 500', 'GET', `${PATH}?limit=500`, 400, 'INVALID_ARGUMENT', /^limit: must be <= 499/],
      ['a limit in words', 'GET', `${PATH}?limit=ten`, 400, 'INVALID_ARGUMENT', /^limit: must be integer/],
      ['an instance that is no uuid', 'GET', `${PATH}?instance_id=web`, 400, 'INVALID_ARGUMENT', /^instance_id: must match format "uuid"/],
      ['a marker that is none', 'GET', `${PATH}?marker=${randomUUID()}`, 400, 'INVALID_ARGUMENT', /^marker: there is no such session/],
      ['a filter by host', 'GET', `${PATH}?host=host-a`, 403, 'PERMISSION_DENIED', /only the administrator asks for sessions by host/],
      ['a filter by proxy', 'GET', `${PATH}?proxy=proxy-1`, 403, 'PERMISSION_DENIED', /by proxy/],
      ['a filter by another user', 'GET', `${PATH}?user_id=bob`, 403, 'PERMISSION_DENIED', /by user_id of somebody else/],
      ['a filter by another project', 'GET', `${PATH}?project_id=other`, 403, 'PERMISSION_DENIED', /by project_id of another project/],
      ['an end of everything', 'DELETE', PATH, 400, 'INVALID_ARGUMENT', /name the sessions to end: by instance_id, user_id, project_id, proxy or host/],
      ['an end by host', 'DELETE', `${PATH}?host=host-a`, 403, 'PERMISSION_DENIED', /by host/],
      ["an end for a reason that is Gatehouse's", 'DELETE', `${PATH}?user_id=alice&reason=lease_lost`, 400, 'INVALID_ARGUMENT', /reason: lease_lost is what Gatehouse itself says/],
      ['an end for a reason with a line break', 'DELETE', `${PATH}?user_id=alice&reason=a%0Ab`, 400, 'INVALID_ARGUMENT', /reason: expected 1 to 60 printable/],
      ['an end for a reason without end', 'DELETE', `${PATH}?user_id=alice&reason=${'x'.repeat(61)}`, 400, 'INVALID_ARGUMENT', /^reason: must NOT have more than 60/],
      ['a session that there is not', 'GET', `${PATH}/${randomUUID()}`, 404, 'NOT_FOUND', /there is no console session/],
      ['a session whose id is none', 'GET', `${PATH}/web`, 404, 'NOT_FOUND', /there is no console session web/],
      ['an end of a session that there is not', 'DELETE', `${PATH}/${randomUUID()}`, 404, 'NOT_FOUND', /there is no console session/],
    ];
    for (const [what, method, path, status, code, says] of cases) {
      it(`${what}: ${status}`, async () => {
        const [found, foundCode, detail] = problemOf(await ask(method, path));
        assert.deepEqual([found, foundCode], [status, code]);
        assert.match(detail, says);
      });
    }

    it('an unknown path, a method that is not served, with those that are', async () => {
      assert.deepEqual(problemOf(await api.ask('GET', '/v1/nothing')).slice(0, 2), [404, 'NOT_FOUND']);
      assert.deepEqual(problemOf(await api.ask('GET', '/v1')).slice(0, 2), [404, 'NOT_FOUND']);
      for (const [method, path, allow] of [['POST', PATH, 'GET, HEAD, DELETE'], ['PUT', `${PATH}/${randomUUID()}`, 'GET, HEAD, DELETE'], ['OPTIONS', PATH, 'GET, HEAD, DELETE'], ['POST', `${PATH}/events`, 'GET, HEAD'], ['DELETE', '/v1/openapi.json', 'GET, HEAD']] as const) {
        const answer = await api.ask(method, path);
        assert.deepEqual(problemOf(answer).slice(0, 2), [405, 'UNIMPLEMENTED'], `${method} ${path}`);
        assert.equal(answer.headers['allow'], allow);
      }
    });

    it('whoever shows no token, at every path but the document', async () => {
      for (const path of [PATH, `${PATH}/${randomUUID()}`, `${PATH}/events`, '/v1/nothing']) {
        const answer = await api.ask('GET', path, { token: null });
        assert.deepEqual(problemOf(answer), [401, 'UNAUTHENTICATED', 'X-Auth-Token is missing: send user:project'], path);
        assert.ok(answer.headers['www-authenticate']);
      }
      assert.equal((await api.ask('GET', '/v1/openapi.json', { token: null })).status, 200);
    });

    it('a body that is no JSON, one that is too large, a malformed path, and another host', async () => {
      const bad = await api.ask('DELETE', `${PATH}?user_id=alice`, { body: '{not json' });
      assert.deepEqual(problemOf(bad), [400, 'INVALID_ARGUMENT', 'Malformed request body']);
      assert.equal(problemOf(await api.ask('DELETE', `${PATH}?user_id=alice`, { body: 'x'.repeat(120_000) }))[0], 413);
      assert.equal(problemOf(await api.ask('GET', '/v1/%ff'))[0], 400);
      assert.deepEqual(problemOf(await api.ask('GET', PATH, { headers: { host: 'evil.example' } })).slice(0, 2), [403, 'PERMISSION_DENIED']);
    });

    it('everything while consoleauth is away, in words', async () => {
      await served.drain();
      for (const [method, path] of [['GET', PATH], ['GET', `${PATH}/${randomUUID()}`], ['DELETE', `${PATH}/${randomUUID()}`], ['DELETE', `${PATH}?user_id=alice`], ['GET', `${PATH}/events`]] as const) {
        const answer = await ask(method, path);
        const [status, code, detail] = problemOf(answer);
        assert.deepEqual([status, code], [503, 'UNAVAILABLE'], `${method} ${path}`);
        assert.match(detail, /consoleauth, which keeps the console sessions, cannot be reached/);
        assert.equal(answer.headers['retry-after'], '1');
      }
    });

    it('everything that an older consoleauth does not know, saying which to upgrade', async () => {
      await served.drain();
      const older = await kept.serve(api.transport, { listSessions: () => { throw new ServiceError('UNIMPLEMENTED', 'method list_sessions'); } });
      const [status, code, detail] = problemOf(await ask('GET', PATH));
      assert.deepEqual([status, code], [501, 'UNIMPLEMENTED']);
      assert.match(detail, /upgrade every consoleauth to level 3\.2/);
      await older.drain();
    });

    it('what a consoleauth with too much to do refuses, and what broke inside of it, without its words', async () => {
      await served.drain();
      let thrown: Error = new ServiceError('RESOURCE_EXHAUSTED', 'consoleauth holds 128 requests and takes no more');
      const busy = await kept.serve(api.transport, { listSessions: () => { throw thrown; } });
      const answer = await ask('GET', PATH);
      assert.deepEqual(problemOf(answer).slice(0, 2), [429, 'RESOURCE_EXHAUSTED']);
      assert.equal(answer.headers['retry-after'], '1');
      thrown = new Error('relation "console_sessions" does not exist');
      const broken = await ask('GET', PATH);
      assert.deepEqual(problemOf(broken).slice(0, 2), [500, 'INTERNAL']);
      assert.ok(!broken.text.includes('relation'));
      await busy.drain();
    });
  });

  it('are shown whole to the administrator, and without their host to a user', async () => {
    const { id, instanceUuid } = kept.open();
    const everyone = {
      id, state: 'open', instance_id: instanceUuid, console_type: 'serial', access: 'full', user_id: 'alice', project_id: 'proj', client_address: '192.0.2.1',
      started_at: '2026-07-01T11:00:00Z', lease_expires_at: '2026-07-01T11:00:00Z', ending_at: null, ended_at: null, end_reason: null, bytes_in: 7, bytes_out: 9_007_199_254_740_991,
    };
    const answer = await ask('GET', `${PATH}/${id}`);
    assert.deepEqual(answer.json, { console_session: everyone });
    assert.equal(answer.headers['cache-control'], 'no-store');
    assert.deepEqual((await ask('GET', `${PATH}/${id}`, { token: ADMIN })).json, { console_session: { ...everyone, host: 'host-a', port: 0, proxy: 'proxy-1' } });
  });

  it("are one's own and those on one's project's instances, and no others exist", async () => {
    const instanceUuid = randomUUID();
    kept.projects.set(instanceUuid, 'proj');
    const [own, elsewhere, support, theirs] = [
      kept.open(),
      kept.open({ projectId: 'second' }),
      kept.open({ userId: 'admin', projectId: 'ops', instanceUuid }),
      kept.open({ userId: 'bob', projectId: 'other' }),
    ];
    assert.deepEqual(idsOf(await ask('GET', PATH)), [support.id, elsewhere.id, own.id]);
    assert.deepEqual(idsOf(await ask('GET', PATH, { token: 'carol:proj' })), [support.id, own.id]);
    assert.deepEqual(idsOf(await ask('GET', PATH, { token: ADMIN })), [theirs.id, support.id, elsewhere.id, own.id]);
    assert.deepEqual(idsOf(await ask('GET', `${PATH}?user_id=alice&project_id=proj`)), [own.id]);
    assert.deepEqual(idsOf(await ask('GET', `${PATH}?instance_id=${theirs.instanceUuid}`)), []);
    for (const method of ['GET', 'DELETE']) assert.equal((await ask(method, `${PATH}/${theirs.id}`)).status, 404);
    assert.deepEqual(idsOf(await ask('DELETE', `${PATH}?instance_id=${theirs.instanceUuid}`)), []);
    assert.equal(kept.sessions.find(({ id }) => id === theirs.id)?.endedAt, null);
  });

  it('are found by every word of the filter, by type and by state', async () => {
    const serial = kept.open();
    const vnc = kept.open({ consoleType: 'novnc', host: 'host-b', proxy: 'proxy-2', userId: 'bob', projectId: 'other' });
    for (const query of [`instance_id=${vnc.instanceUuid}`, 'user_id=bob', 'project_id=other', 'host=host-b', 'proxy=proxy-2', 'console_type=novnc']) {
      assert.deepEqual(idsOf(await ask('GET', `${PATH}?${query}`, { token: ADMIN })), [vnc.id], query);
    }
    kept.end(vnc.id, 'client_closed');
    const states = async (query: string) => sessionsOf(await ask('GET', `${PATH}${query}`, { token: ADMIN })).map(({ id, state }) => [id, state]);
    assert.deepEqual(await states(''), [[serial.id, 'open']]);
    assert.deepEqual(await states('?state=ended'), [[vnc.id, 'ended']]);
    assert.deepEqual(await states('?state=all'), [[vnc.id, 'ended'], [serial.id, 'open']]);
  });

  it('come in pages that end where they end', async () => {
    const ids = Array.from({ length: 6 }, () => kept.open().id).reverse();
    const pages: (readonly string[])[] = [];
    let path: string | null = `${PATH}?limit=2&user_id=alice`;
    while (path !== null) {
      const answer: Answer = await ask('GET', path);
      pages.push(idsOf(answer));
      const { next_marker: marker, links } = answer.json as { next_marker: string | null; links: { next: string | null } };
      assert.equal(links.next, marker === null ? null : `${api.url}${PATH}?limit=2&user_id=alice&marker=${marker}`);
      path = links.next === null ? null : links.next.slice(api.url.length);
    }
    assert.deepEqual(pages, [ids.slice(0, 2), ids.slice(2, 4), ids.slice(4)]);
  });

  it('are ended one by one: 204 when it has ended, also before; 202 while its proxy has not confirmed', async () => {
    const [first, second] = [kept.open(), kept.open()];
    const ended = await ask('DELETE', `${PATH}/${first.id}`);
    assert.deepEqual([ended.status, ended.text], [204, '']);
    assert.equal((await ask('DELETE', `${PATH}/${first.id}`)).status, 204);
    const { end_reason: reason, ended_at: endedAt } = (((await ask('GET', `${PATH}/${first.id}`)).json as { console_session: Session }).console_session);
    assert.deepEqual([reason, endedAt], ['ended_by_user', '2026-07-01T11:20:00Z']);
    kept.confirms = false;
    const ending = await ask('DELETE', `${PATH}/${second.id}?reason=maintenance%20at%20noon`, { token: ADMIN });
    const { state, end_reason: why, ending_at: endingAt } = (ending.json as { console_session: Session }).console_session;
    assert.deepEqual([ending.status, state, why, endingAt], [202, 'ending', 'maintenance at noon', '2026-07-01T11:20:00Z']);
    assert.deepEqual(sessionsOf(await ask('GET', PATH)).map((each) => each.state), ['ending']);
  });

  it('are ended all at once, by every word of the filter, each with its state', async () => {
    const other = { userId: 'bob', projectId: 'other', host: 'host-b', proxy: 'proxy-2' };
    for (const word of ['instance_id', 'user_id', 'project_id', 'proxy', 'host']) {
      const [mine, theirs] = [kept.open(), kept.open(other)];
      const value = { instance_id: theirs.instanceUuid, user_id: 'bob', project_id: 'other', proxy: 'proxy-2', host: 'host-b' }[word];
      const answer = await ask('DELETE', `${PATH}?${word}=${value}`, { token: ADMIN });
      assert.deepEqual([answer.status, sessionsOf(answer).map(({ id, state, end_reason: reason }) => [id, state, reason])], [200, [[theirs.id, 'ended', 'ended_by_operator']]], word);
      assert.equal(kept.sessions.find(({ id }) => id === mine.id)?.endedAt, null);
    }
    kept.confirms = false;
    assert.equal((await ask('DELETE', `${PATH}?user_id=alice`)).status, 202);
  });

  it('are described by a document whose every reference leads somewhere', () => {
    const text = JSON.stringify(document);
    for (const [, name] of text.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)) assert.ok(ajv.getSchema(`openapi#/components/schemas/${name}`), name);
    // The one hash of the page is by which a bond chooses its link.
    assert.ok(!/hash|secret|grant/i.test(text.replaceAll('bond_xmit_hash_policy', '')));
  });
});

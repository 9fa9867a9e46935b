import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { RpcServer } from '@gatehouse/rpc/server';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import { runFor, runningMsOf } from '../../../test/servers/running-time.ts';
import { OPENAPI } from './rest/v1/openapi.ts';
import { WATCHERS_OF_USER_MAX } from './session-feed.ts';
import { askHttp, startTestApi } from './test-api.ts';
import type { Answer, TestApi } from './test-api.ts';
import { EventReader, TestSessions } from './test-sessions.ts';

const PATH = '/v1/console-sessions/events';
const ALICE = 'alice:proj';

interface Problem {
  readonly code: string;
  readonly detail: string;
}
interface Page {
  readonly events: readonly { readonly cursor: string; readonly kind: string; readonly session: { readonly id: string } }[];
  readonly cursor: string;
}

describe('the events of console sessions', function () {
  this.timeout(120_000);
  let api: TestApi;
  let served: RpcServer;
  let kept: TestSessions;
  let readers: EventReader[] = [];

  before(async () => {
    api = await startTestApi(await startPostgresql());
  });
  after(() => api?.stop());
  beforeEach(async () => {
    kept = new TestSessions();
    served = await kept.serve(api.transport);
  });
  afterEach(async () => {
    for (const reader of readers) reader.close();
    readers = [];
    await served.drain(0);
  });

  function watch(query = '', token = ALICE, headers: Readonly<Record<string, string>> = {}): EventReader {
    const reader = new EventReader(`${api.url}${PATH}${query}`, { 'x-auth-token': token, ...headers });
    readers.push(reader);
    return reader;
  }
  const poll = (query: string, token = ALICE): Promise<Answer> => api.ask('GET', `${PATH}${query}`, { token, headers: { accept: 'application/json' } });
  const pageOf = (answer: Answer): Page => answer.json as Page;
  const kinds = (reader: EventReader): readonly (readonly [string, string])[] =>
    reader.events.map(({ event, data }) => [event, (data['session'] as { id: string }).id]);
  /** Resolves when a stream has begun. */
  const begun = async (reader: EventReader): Promise<EventReader> => {
    const response = await reader.response;
    assert.equal(response.statusCode, 200);
    while (reader.lastId === '') await new Promise((resolve) => setTimeout(resolve, 5));
    return reader;
  };

  describe('are refused', () => {
    it('after a place that is none, before the stream begins', async () => {
      for (const reader of [watch('?after=nowhere'), watch('', ALICE, { 'last-event-id': 'nowhere' })]) {
        const response = await reader.response;
        assert.equal(response.statusCode, 400);
        assert.match(response.headers['content-type'] ?? '', /^application\/problem\+json/);
      }
      assert.equal((await poll('?after=nowhere')).status, 400);
    });

    it('with a filter of the administrator, a wait that is too long, a parameter that there is not', async () => {
      for (const [query, status, says] of [['?host=host-a', 403, /by host/], ['?wait=31', 400, /^wait: must be <= 30/], ['?after=', 400, /^after: must NOT/], ['?state=open', 400, /no parameter state/]] as const) {
        const answer = await poll(query);
        assert.equal(answer.status, status, query);
        assert.match((answer.json as Problem).detail, says);
      }
    });

    it('to whoever watches too often already; who leaves makes room', async () => {
      const many = Array.from({ length: WATCHERS_OF_USER_MAX }, () => watch());
      await Promise.all(many.map(begun));
      const answer = await poll('');
      assert.deepEqual([answer.status, (answer.json as Problem).code], [429, 'RESOURCE_EXHAUSTED']);
      assert.match((answer.json as Problem).detail, /you already watch 20 times here/);
      assert.equal((await poll('', 'bob:other')).status, 200);
      many[0]?.close();
      const deadline = Date.now() + 30_000;
      while ((await poll('')).status !== 200) assert.ok(Date.now() < deadline, 'the place of who left is not free');
    });
  });

  it('come as they happen: the id is the place, the event its kind, the data as the document says', async () => {
    const reader = await begun(watch());
    const response = await reader.response;
    assert.equal(response.headers['content-type'], 'text/event-stream; charset=utf-8');
    assert.equal(response.headers['cache-control'], 'no-store');
    const session = kept.open();
    kept.end(session.id, 'client_closed');
    await reader.awaitEvents(2);
    assert.deepEqual(reader.events.map(({ id, event }) => [id, event]), [['c-1', 'connected'], ['c-2', 'ended']]);
    const ajv = new Ajv2020({ strict: false, formats: { uuid: true, 'date-time': true } }).addSchema(OPENAPI, 'openapi');
    const validate = ajv.getSchema('openapi#/components/schemas/Event') ?? assert.fail();
    for (const { data } of reader.events) assert.ok(validate(data), ajv.errorsText(validate.errors));
    const { cursor, reason, at } = reader.events[1]?.data ?? {};
    assert.deepEqual([cursor, reason, at], ['c-2', 'client_closed', '2026-07-01T11:20:00Z']);
  });

  it('are those of sessions that the watcher sees, and that the filter names', async () => {
    const theirs = { userId: 'bob', projectId: 'other' };
    const [alice, admin, filtered] = await Promise.all([watch(), watch('', 'admin:ops'), watch('?user_id=bob', 'admin:ops')].map(begun)) as [EventReader, EventReader, EventReader];
    const sessions = [kept.open(theirs), kept.open(), kept.open(theirs)];
    const [first, second, third] = sessions.map(({ id }) => ['connected', id] as const);
    await Promise.all([alice.awaitEvents(1), admin.awaitEvents(3), filtered.awaitEvents(2)]);
    assert.deepEqual(kinds(admin), [first, second, third]);
    assert.deepEqual(kinds(alice), [second]);
    assert.deepEqual(kinds(filtered), [first, third]);
    assert.ok('host' in (admin.events[0]?.data['session'] as object) && !('host' in (alice.events[0]?.data['session'] as object)));
  });

  it('go on where a watcher was cut off, wherever that was: nothing is lost and nothing comes twice', async () => {
    const total = 60;
    const seen: string[] = [];
    const opened: string[] = [];
    let lastId = (await begun(watch())).lastId;
    const opening = (async () => {
      for (let index = 0; index < total; index += 1) {
        opened.push(kept.open().id);
        await new Promise((resolve) => setTimeout(resolve, index % 7));
      }
    })();
    while (seen.length < total) {
      const reader = watch('?after=nowhere', ALICE, { 'last-event-id': lastId });
      await reader.awaitEvents(Math.min(7, total - seen.length));
      reader.close();
      // What has been read until now counts; what was under way is lost with the connection.
      seen.push(...reader.events.map(({ data }) => (data['session'] as { id: string }).id));
      lastId = reader.events.at(-1)?.id ?? lastId;
    }
    await opening;
    assert.deepEqual(seen, opened);
  });

  it('go on while consoleauth is away and back again', async () => {
    const reader = await begun(watch());
    await served.drain();
    const missed = kept.open();
    const deadline = Date.now() + 40_000;
    while (!reader.comments.some((comment) => /consoleauth.*cannot be reached/.test(comment))) {
      assert.ok(Date.now() < deadline, reader.comments.join('; '));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    served = await kept.serve(api.transport);
    await reader.awaitEvents(1, 20_000);
    assert.deepEqual(kinds(reader), [['connected', missed.id]]);
  });

  it('cost consoleauth one request that waits, however many watch', async () => {
    await Promise.all(Array.from({ length: 10 }, () => begun(watch('', 'admin:ops'))));
    await runFor(500);
    const before = kept.calls.get('watchSessions') ?? 0;
    await runFor(1_000);
    assert.equal(kept.calls.get('watchSessions'), before);
    kept.open();
    await Promise.all(readers.map((reader) => reader.awaitEvents(1)));
    const cost = (kept.calls.get('watchSessions') ?? 0) - before;
    // Each reads the event, and then that there is no more.
    assert.ok(cost <= 25, `${cost} requests for one event and 10 watchers`);
  });

  it('end at once when the api stops, and those that come then are told to ask again', async () => {
    const other = await startTestApi(await startPostgresql());
    const theirs = await kept.serve(other.transport);
    const reader = new EventReader(`${other.url}${PATH}`, { 'x-auth-token': ALICE });
    await begun(reader);
    const waiting = askHttp(other.url, 'GET', `${PATH}?wait=30`, { headers: { accept: 'application/json' } });
    await runFor(300);
    let stopped = Promise.resolve();
    const ms = await runningMsOf(async () => {
      await theirs.drain(0);
      stopped = other.stop();
      await Promise.all([reader.ended, waiting.then(({ status }) => assert.equal(status, 503))]);
    });
    assert.ok(ms < 1_500, `${ms} ms`);
    await stopped;
  });

  it('are let go of with a client that leaves', async () => {
    const reader = await begun(watch());
    await runFor(300);
    reader.close();
    await runFor(300);
    const before = kept.calls.get('watchSessions') ?? 0;
    kept.open();
    await runFor(500);
    assert.equal(kept.calls.get('watchSessions'), before);
  });

  it('are not begun for a HEAD request', async () => {
    const answer = await api.ask('HEAD', PATH);
    assert.deepEqual([answer.status, answer.text], [200, '']);
  });

  describe('for clients that take JSON alone', () => {
    it('are answered at once where there are some, and after the wait where there are none', async () => {
      const { cursor } = pageOf(await poll(''));
      const session = kept.open();
      const page = pageOf(await poll(`?after=${cursor}&wait=30`));
      assert.deepEqual(page.events.map(({ kind, session: { id } }) => [kind, id]), [['connected', session.id]]);
      assert.equal(page.cursor, page.events.at(-1)?.cursor);
      const startedMs = Date.now();
      assert.deepEqual(pageOf(await poll(`?after=${page.cursor}&wait=1`)), { events: [], cursor: page.cursor });
      assert.ok(Date.now() - startedMs >= 900);
    });

    it('are answered as soon as there is one, and from now on unless told', async () => {
      kept.open();
      const waiting = poll('?wait=30');
      await runFor(300);
      const later = kept.open();
      assert.deepEqual(pageOf(await waiting).events.map(({ session: { id } }) => id), [later.id]);
    });
  });

  it('are not kept for a client that reads nothing: it is let go, and no other waits for it', async () => {
    // A page is made of long texts, so that a connection's buffers are full soon.
    const clientAddress = '2001:db8::1'.padEnd(255, ' ');
    for (let index = 0; index < 8_000; index += 1) kept.open({ clientAddress });
    const before = api.logged.length;
    const deaf = connect(Number(new URL(api.url).port), '127.0.0.1');
    deaf.on('error', () => {});
    deaf.pause();
    deaf.write(`GET ${PATH}?after=c-0 HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: ${ALICE}\r\n\r\n`);
    await runFor(1_000);
    const reader = await begun(watch());
    kept.open();
    await reader.awaitEvents(1);
    const deadline = Date.now() + 30_000;
    const left = (): boolean => api.logged.slice(before).some((line) => line.includes(PATH) && line.includes('request was cut off'));
    while (!left()) {
      assert.ok(Date.now() < deadline, 'it was not let go');
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    deaf.destroy();
  });

  it('say in words what an older consoleauth does not know', async () => {
    await served.drain();
    served = await kept.serve(api.transport, { watchSessions: () => { throw new ServiceError('UNIMPLEMENTED', 'watch_sessions') } });
    const answer = await poll('');
    assert.deepEqual([answer.status, (answer.json as Problem).code], [501, 'UNIMPLEMENTED']);
  });
});

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleConnection } from '@gatehouse/objects/console-connection';
import { AttachQuestions } from './attach-questions.ts';

const NEVER = new AbortController().signal;

interface Question {
  readonly sessionIds: readonly string[];
  readonly isCommon: boolean;
  answer(refused?: readonly string[]): void;
  fail(error: ServiceError): void;
}

describe('the questions of an agent what attach secrets open', () => {
  let asked: Question[];
  let questions: AttachQuestions;

  function connectionOf(sessionId: string): ConsoleConnection {
    return { instanceUuid: sessionId, host: 'compute-1', port: 0, consoleType: 'novnc', tokenHash: null, accessUrl: null, options: {}, expires: null };
  }

  beforeEach(() => {
    asked = [];
    questions = new AttachQuestions('compute-1', {
      attach: ({ sessionId }) => new Promise((resolve, reject) => {
        const answer = (refused: readonly string[] = []): void => (refused.includes(sessionId) ? reject(new ServiceError('UNAUTHENTICATED', 'no')) : resolve(connectionOf(sessionId)));
        asked.push({ sessionIds: [sessionId], isCommon: false, answer, fail: reject });
      }),
      attachAll: ({ sessionIds }) => new Promise((resolve, reject) => {
        const answer = (refused: readonly string[] = []): void => resolve(Object.fromEntries(sessionIds.filter((id) => !refused.includes(id)).map((id) => [id, connectionOf(id)])));
        asked.push({ sessionIds, isCommon: true, answer, fail: reject });
      }),
    });
  });

  const ids = (count: number): string[] => Array.from({ length: count }, () => randomUUID());
  const ask = (sessionId: string, signal = NEVER, attachSecret = 's') => questions.ask({ sessionId, attachSecret, signal });
  const answers = (count: number) => until(() => asked.length === count, `${count} questions`);

  async function until(holds: () => boolean, what: string): Promise<void> {
    for (let turns = 0; turns < 5_000 && !holds(); turns += 1) await new Promise((resolve) => setTimeout(resolve, 1));
    assert.ok(holds(), what);
  }

  /** One question is on its way, and these wait for it. */
  async function behindOne(waiting: readonly string[]): Promise<{ readonly first: Promise<ConsoleConnection>; readonly rest: Promise<PromiseSettledResult<ConsoleConnection>[]> }> {
    const first = ask(randomUUID());
    first.catch(() => {}); // heard by those tests that ask
    const rest = Promise.allSettled(waiting.map((id) => ask(id)));
    assert.equal(asked.length, 1);
    return { first, rest };
  }
  const instancesOf = (settled: readonly PromiseSettledResult<ConsoleConnection>[]) => settled.map((each) => (each.status === 'fulfilled' ? each.value.instanceUuid : (each.reason as ServiceError).code));

  it('are of one stream when nothing is on its way, and of all that came meanwhile afterwards', async () => {
    const waiting = ids(5);
    const { first, rest } = await behindOne(waiting);
    asked[0]?.answer();
    await first;
    await answers(2);
    assert.deepEqual([asked[1]?.sessionIds, asked[1]?.isCommon], [waiting, true]);
    asked[1]?.answer();
    assert.deepEqual(instancesOf(await rest), waiting);
  });

  it('are of one stream where its secret is no text that travels: the others are not refused with it', async () => {
    const waiting = ids(2);
    const { first, rest } = await behindOne(waiting);
    const odd = ask(randomUUID(), NEVER, '\ud800');
    assert.deepEqual([asked.length, asked[1]?.isCommon], [2, false]);
    asked[1]?.fail(new ServiceError('INVALID_ARGUMENT', 'half a surrogate pair'));
    await assert.rejects(odd, /half a surrogate pair/);
    asked[0]?.answer();
    await first;
    await answers(3);
    asked[2]?.answer();
    assert.deepEqual(instancesOf(await rest), waiting);
  });

  it('that are answered late keep nobody waiting', async () => {
    const waiting = ids(2);
    const { rest } = await behindOne(waiting);
    await answers(2);
    asked[1]?.answer();
    assert.deepEqual(instancesOf(await rest), waiting, 'and the first has no answer yet');
  });

  it('refuse whom consoleauth leaves out, and nobody else', async () => {
    const waiting = ids(3) as [string, string, string];
    const { rest } = await behindOne(waiting);
    asked[0]?.answer();
    await answers(2);
    asked[1]?.answer([waiting[1]]);
    const settled = await rest;
    assert.deepEqual(instancesOf(settled), [waiting[0], 'UNAUTHENTICATED', waiting[2]]);
    assert.match(String((settled[1] as PromiseRejectedResult).reason), /used before; connect again/);
  });

  it('are asked one by one of a consoleauth that knows no common ones', async () => {
    const waiting = ids(3) as [string, string, string];
    const { rest } = await behindOne(waiting);
    asked[0]?.answer();
    await answers(2);
    asked[1]?.fail(new ServiceError('UNIMPLEMENTED', 'not known here'));
    await answers(5);
    for (const question of asked.slice(2)) question.answer([waiting[2]]);
    assert.deepEqual(instancesOf(await rest), [waiting[0], waiting[1], 'UNAUTHENTICATED']);
  });

  it('that find no consoleauth say so to all who wait', async () => {
    const { rest } = await behindOne(ids(2));
    asked[0]?.fail(new ServiceError('UNAVAILABLE', 'away'));
    await answers(2);
    asked[1]?.fail(new ServiceError('UNAVAILABLE', 'away'));
    assert.deepEqual(instancesOf(await rest), ['UNAVAILABLE', 'UNAVAILABLE']);
  });

  it('share nothing with what could spoil a common one: ids that are none, secrets too long, a session twice', async () => {
    const [common, twice] = ids(2) as [string, string];
    const all = Promise.allSettled([ask(randomUUID()), ask(common), ask('x'), ask(randomUUID(), NEVER, 's'.repeat(200)), ask(twice), ask(twice)]);
    assert.deepEqual(asked.map(({ isCommon }) => isCommon), [false, false, false, false]);
    asked[0]?.answer();
    await answers(5);
    assert.deepEqual(asked[4]?.sessionIds, [common, twice]);
    for (const question of asked) question.answer();
    assert.equal((await all).filter(({ status }) => status === 'fulfilled').length, 6);
  });

  it('are not asked for streams that are gone by then', async () => {
    const gone = new AbortController();
    const first = ask(randomUUID());
    const left = ask(randomUUID(), gone.signal);
    const stays = ask(randomUUID());
    gone.abort();
    asked[0]?.answer();
    await first;
    await assert.rejects(left, { code: 'CANCELLED' });
    await answers(2);
    assert.equal(asked[1]?.isCommon, false, 'one is left');
    asked[1]?.answer();
    await stays;
  });
});

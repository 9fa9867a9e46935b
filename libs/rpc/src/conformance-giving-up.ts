/** What every transport promises to those who wait no longer: deadlines, cancellation, signs of life. Failures first. */
import assert from 'node:assert/strict';
import { ServiceError } from '@gatehouse/errors/service-error';
import { runFor, runningMsOf } from '../../../test/servers/running-time.ts';
import { createClient } from './client.ts';
import { newNotes, probe, refusal, until, useBench } from './conformance.ts';
import type { Bench, OpenBus } from './conformance.ts';
import { newContext } from './context.ts';

export function describeGivingUp(title: string, open: OpenBus): void {
  describe(title, function () {
    this.timeout(60_000);
    const benchNow = useBench(open);
    let bench: Bench;

    beforeEach(() => {
      bench = benchNow();
    });

    it('ends a call at its deadline and never hangs', async () => {
      await bench.serve('a');
      const client = createClient(probe, bench.transport);
      // Without a way to the broker the refusal would be another.
      await client.who({}, newContext());
      const ask = () => assert.rejects(client.wait({ ms: 800 }, newContext({ timeoutMs: 100 })), refusal('DEADLINE_EXCEEDED', /wait to probe within \d+ ms/));
      assert.ok((await runningMsOf(ask)) < 500);
      await assert.rejects(client.wait({ ms: 800 }, newContext(), { timeoutMs: 50 }), refusal('DEADLINE_EXCEEDED'));
    });

    it('does not send a call whose deadline has passed', async () => {
      const seen = newNotes();
      await bench.serve('a', { seen });
      await assert.rejects(createClient(probe, bench.transport).wait({ ms: 0 }, newContext({ timeoutMs: 0 })), refusal('DEADLINE_EXCEEDED'));
      assert.equal(seen.runningMax, 0);
    });

    it('does not run a request whose deadline passed while it waited', async () => {
      const seen = newNotes();
      await bench.serve('a', { seen, concurrency: 1 });
      const client = createClient(probe, bench.transport);
      const caller = new AbortController();
      const first = assert.rejects(client.hold({}, newContext({ signal: caller.signal })), refusal('CANCELLED'));
      await until(() => seen.running === 1);
      await assert.rejects(client.wait({ ms: 1 }, newContext({ timeoutMs: 100 })), refusal('DEADLINE_EXCEEDED'));
      caller.abort();
      await first;
      await until(() => seen.running === 0);
      await runFor(100);
      assert.deepEqual([seen.runningMax, seen.running], [1, 0]);
    });

    it('ends a call when the caller gives up', async () => {
      await bench.serve('a');
      const caller = new AbortController();
      const call = createClient(probe, bench.transport).wait({ ms: 500 }, newContext({ signal: caller.signal }));
      setTimeout(() => caller.abort(), 50);
      await assert.rejects(call, refusal('CANCELLED'));
    });

    it('aborts the handler when the caller gives up, and that one alone', async () => {
      const seen = newNotes();
      await bench.serve('a', { seen });
      const client = createClient(probe, bench.transport);
      const [caller, another] = [new AbortController(), new AbortController()];
      const other = assert.rejects(client.hold({}, newContext({ signal: another.signal })), refusal('CANCELLED'));
      const calls = [{}, { server: 'a' }].map((options) => client.hold({}, newContext({ signal: caller.signal }), options));
      const refused = calls.map((call) => assert.rejects(call, refusal('CANCELLED')));
      await until(() => seen.running === 3);
      caller.abort();
      await Promise.all(refused);
      await until(() => seen.running <= 1);
      await runFor(100);
      for (const reason of seen.aborted) refusal('CANCELLED', /hold gave up/)(reason);
      assert.deepEqual([seen.aborted.length, seen.running], [2, 1]);
      another.abort();
      await other;
    });

    it('aborts the handler at the deadline', async () => {
      const seen = newNotes();
      await bench.serve('a', { seen });
      const client = createClient(probe, bench.transport);
      await client.who({}, newContext());
      // Time enough to arrive: what is late is not run at all.
      await assert.rejects(client.hold({}, newContext({ timeoutMs: 3_000 })), refusal('DEADLINE_EXCEEDED'));
      await until(() => seen.aborted.length === 1 && seen.running === 0);
    });

    it('says that the deadline has passed where the handler says only that it was stopped', async () => {
      await bench.serve('a');
      const client = createClient(probe, bench.transport);
      for (let i = 0; i < 5; i++) await assert.rejects(client.hold({}, newContext({ timeoutMs: 60 })), refusal('DEADLINE_EXCEEDED'));
    });

    it('does not run a request whose caller gave up while it waited, in the server or in the queue', async () => {
      const seen = newNotes();
      let end = (): void => {};
      const ended = new Promise<void>((resolve) => (end = resolve));
      const direct = await bench.serverTransport.listen({
        topic: 'narrow',
        server: 'a',
        requestsMax: 1,
        handle: async ({ message }) => {
          seen.notes.push(message.method);
          await ended;
          return { result: null, failure: null };
        },
      });
      const ask = (method: string, signal?: AbortSignal) => {
        const message = { method, args: {}, namespace: null, version: null, context: {} };
        return bench.transport.request({ kind: 'call', topic: 'narrow', message, deadline: Date.now() + 30_000, signal });
      };
      const caller = new AbortController();
      const first = ask('first');
      await until(() => seen.notes.length === 1);
      const refused = assert.rejects(ask('second', caller.signal), (error: unknown) => error instanceof ServiceError && ['CANCELLED', 'RESOURCE_EXHAUSTED'].includes(error.code));
      setTimeout(() => caller.abort(), 50);
      await refused;
      // Its server has heard of it by then.
      await runFor(300);
      end();
      await first;
      await runFor(100);
      assert.deepEqual(seen.notes, ['first']);
      await direct.close();

      await bench.serve('b', { seen, concurrency: 1 });
      const client = createClient(probe, bench.transport);
      const [before, again] = [new AbortController(), new AbortController()];
      const running = assert.rejects(client.hold({}, newContext({ signal: before.signal })), refusal('CANCELLED'));
      await until(() => seen.running === 1);
      const held = assert.rejects(client.hold({}, newContext({ signal: again.signal })), refusal('CANCELLED'));
      setTimeout(() => again.abort(), 50);
      await held;
      await runFor(300);
      before.abort();
      await running;
      await until(() => seen.running === 0);
      await runFor(100);
      assert.deepEqual([seen.runningMax, seen.aborted.length], [1, 1]);
    });

    it('sends nothing for a caller that has given up before', async () => {
      const seen = newNotes();
      await bench.serve('a', { seen });
      const context = newContext({ signal: AbortSignal.abort() });
      const client = createClient(probe, bench.transport);
      await assert.rejects(client.note({ text: 'x' }, context), refusal('CANCELLED'));
      await assert.rejects(client.wait({ ms: 1 }, context), refusal('CANCELLED'));
      await runFor(50);
      assert.deepEqual([seen.notes, seen.runningMax], [[], 0]);
    });

    it('waits for a server that gives signs of life, and not for one that gives none', async function () {
      this.timeout(60_000);
      await bench.serve('a');
      const client = createClient(probe, bench.transport);
      assert.equal(await client.wait({ ms: 6_500 }, newContext(), { monitorTimeoutMs: 6_000 }), 'waited');
      await assert.rejects(client.wait({ ms: 3_000 }, newContext({ timeoutMs: 1_000 }), { monitorTimeoutMs: 4_000 }), refusal('DEADLINE_EXCEEDED', /no answer/));
      await assert.rejects(client.wait({ ms: 1 }, newContext(), { monitorTimeoutMs: 1_999 }), refusal('INVALID_ARGUMENT', /at least 2000/));
    });
  });
}

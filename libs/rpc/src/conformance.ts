/**
 * What every transport promises, as one suite: the memory transport and AMQP must both pass it.
 * Failures first: on a wire they are the common case.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ErrorCode } from '@gatehouse/errors/service-error';
import { integer, json, listOf, string } from '@gatehouse/objects/fields';
import { runFor, runningMsOf } from '../../../test/servers/running-time.ts';
import { createClient } from './client.ts';
import { newContext } from './context.ts';
import { defineContract, method } from './contract.ts';
import { serve } from './server.ts';
import type { Handlers, RpcServer } from './server.ts';
import type { Transport } from './transport.ts';

export const probe = defineContract({
  topic: 'probe',
  version: '1.2',
  methods: {
    echo: method({ since: '1.0', idempotent: true, args: { value: json() }, result: json() }),
    add: method({ since: '1.2', args: { firstNumber: integer({ max: 1000 }), secondNumber: integer() }, result: integer() }),
    fail: method({ since: '1.0', args: { code: string() } }),
    wait: method({ since: '1.0', args: { ms: integer() }, result: string() }),
    hold: method({ since: '1.0', result: string() }),
    who: method({ since: '1.0', result: string() }),
    context: method({ since: '1.0', result: json() }),
    wrong: method({ since: '1.0', result: integer() }),
    note: method({ since: '1.0', kind: 'cast', args: { text: string() } }),
    announce: method({ since: '1.0', kind: 'fanout', args: { text: string() } }),
    names: method({ since: '1.0', args: { count: integer() }, result: listOf(string()) }),
  },
});

/** What a newer peer believes the contract to be. */
const newerProbe = defineContract({
  topic: 'probe',
  version: '2.0',
  methods: { echo: method({ since: '2.0', args: { value: json() }, result: json() }), unknownMethod: method({ since: '2.0' }) },
});
const withMore = defineContract({ topic: 'probe', version: '1.2', methods: { vanish: method({ since: '1.0' }) } });

export interface Notes {
  readonly notes: string[];
  readonly announcements: string[];
  running: number;
  runningMax: number;
  /** Why each `hold` ended. */
  readonly aborted: unknown[];
}

export function newNotes(): Notes {
  return { notes: [], announcements: [], running: 0, runningMax: 0, aborted: [] };
}

export function probeHandlers(name: string, seen: Notes): Handlers<typeof probe> {
  return {
    echo: ({ value }) => value,
    add: ({ firstNumber, secondNumber }) => firstNumber + secondNumber,
    fail: ({ code }) => {
      if (code === 'crash') throw new TypeError('a secret inner detail');
      throw new ServiceError(code as ErrorCode, `refused with ${code}`, { details: { limit: 7 } });
    },
    wait: async ({ ms }) => {
      seen.running += 1;
      seen.runningMax = Math.max(seen.running, seen.runningMax);
      await sleep(ms);
      seen.running -= 1;
      return 'waited';
    },
    hold: (_args, { signal }) => {
      seen.running += 1;
      seen.runningMax = Math.max(seen.running, seen.runningMax);
      return new Promise((_resolve, reject) =>
        signal?.addEventListener('abort', () => {
          seen.running -= 1;
          seen.aborted.push(signal.reason);
          reject(signal.reason as Error);
        }),
      );
    },
    who: () => name,
    context: (_args, { requestId, userId, projectId, isAdmin, roles, traceparent, deadline }) => ({
      requestId, userId, projectId, isAdmin, roles, traceparent: traceparent ?? null, deadline,
    }),
    wrong: () => 'no number' as unknown as number,
    note: ({ text }) => void seen.notes.push(`${name}: ${text}`),
    announce: ({ text }) => void seen.announcements.push(`${name}: ${text}`),
    names: ({ count }) => Array.from({ length: count }, () => 'x'.repeat(1024 * 1024)),
  };
}

/** Matches a ServiceError by its code and words. */
export function refusal(code: ErrorCode, words?: RegExp): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof ServiceError, `expected a ServiceError, got ${String(error)}`);
    assert.equal(error.code, code, error.message);
    if (words) assert.match(error.message, words);
    return true;
  };
}

/** Resolves when it is so, and fails with what it looked for where that takes longer than any machine does. */
export async function until(check: () => boolean | Promise<boolean>, timeoutMs = 30_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await check())) {
    if (Date.now() > deadline) assert.fail(`not so within ${timeoutMs} ms: ${String(check)}`);
    await sleep(10);
  }
}

export interface Bench {
  /** Where clients ask, and where servers listen. */
  readonly transport: Transport;
  readonly serverTransport: Transport;
  serve(name: string, options?: { seen?: Notes; concurrency?: number }): Promise<RpcServer>;
}

/** Gives each test a bus of its own, with two transports on it (or one that is both). */
export type OpenBus = () => Promise<{ client: Transport; server: Transport }>;

/** Inside a describe: the bench of the test that runs. */
export function useBench(open: OpenBus): () => Bench {
  let bench: Bench;
  let servers: RpcServer[];

  beforeEach(async () => {
    const { client, server: serverTransport } = await open();
    servers = [];
    bench = {
      transport: client,
      serverTransport,
      serve: async (name, { seen = newNotes(), concurrency } = {}) => {
        const server = await serve(probe, serverTransport, { server: name, handlers: probeHandlers(name, seen), concurrency });
        servers.push(server);
        return server;
      },
    };
  });

  afterEach(async () => {
    await Promise.all(servers.map((server) => server.drain(1_000)));
    await bench.transport.close();
    await bench.serverTransport.close();
  });

  return () => bench;
}

export function describeTransport(title: string, open: OpenBus): void {
  describe(title, function () {
    this.timeout(60_000);
    const benchNow = useBench(open);
    let bench: Bench;

    beforeEach(() => {
      bench = benchNow();
    });

    it('fails at once when nobody serves the topic', async () => {
      const ask = () => assert.rejects(createClient(probe, bench.transport).who({}, newContext()), refusal('UNAVAILABLE', /nobody/));
      assert.ok((await runningMsOf(ask)) < 3_000);
    });

    it('fails at once when a server of the topic is there, but not the one that is asked', async () => {
      await bench.serve('a');
      await assert.rejects(createClient(probe, bench.transport).who({}, newContext(), { server: 'b' }), refusal('UNAVAILABLE', /probe.*b/));
    });

    it('fails a cast at once when nobody serves the topic', async () => {
      await assert.rejects(createClient(probe, bench.transport).note({ text: 'x' }, newContext()), refusal('UNAVAILABLE', /nobody/));
    });

    it('tries an idempotent call again until its server is there', async () => {
      const answer = createClient(probe, bench.transport).echo({ value: 1 }, newContext());
      await sleep(100);
      await bench.serve('late');
      assert.equal(await answer, 1);
    });

    it('refuses what comes beyond its concurrency and as much waiting again', async () => {
      const seen = newNotes();
      await bench.serve('a', { seen, concurrency: 2 });
      const client = createClient(probe, bench.transport);
      // None ends before the last has come.
      const callers = new AbortController();
      const refused: unknown[] = [];
      const calls = Array.from({ length: 5 }, () => client.hold({}, newContext({ signal: callers.signal })).catch((reason: unknown) => refused.push(reason)));
      await until(() => seen.running === 2 && refused.length > 0);
      await runFor(100);
      assert.deepEqual([refused.length, seen.runningMax], [1, 2]);
      refusal('RESOURCE_EXHAUSTED', /busy|takes no more/)(refused[0]);
      callers.abort();
      await Promise.all(calls);
      for (const reason of refused.slice(1)) refusal('CANCELLED')(reason);
      assert.equal(seen.runningMax, 2);
    });

    it('refuses arguments that do not fit the contract, on the side where they are made', async () => {
      await bench.serve('a');
      const client = createClient(probe, bench.transport);
      await assert.rejects(client.add({ firstNumber: 1001, secondNumber: 1 }, newContext()), refusal('INVALID_ARGUMENT', /probe\.add\.first_number: 1001 is above 1000/));
    });

    it('refuses arguments that do not fit the contract, on the side where they arrive', async () => {
      await bench.serve('a');
      const careless = defineContract({ topic: 'probe', version: '1.2', methods: { add: method({ since: '1.0', args: { firstNumber: json() }, result: integer() }) } });
      const client = createClient(careless, bench.transport);
      await assert.rejects(client.add({ firstNumber: 1 }, newContext()), refusal('INVALID_ARGUMENT', /second_number: is missing/));
      await assert.rejects(client.add({ firstNumber: 'one' }, newContext()), refusal('INVALID_ARGUMENT', /first_number: expected an integer/));
    });

    it('refuses an unknown method and another major version as oslo does', async () => {
      await bench.serve('a');
      await assert.rejects(createClient(withMore, bench.transport).vanish({}, newContext()), refusal('UNIMPLEMENTED', /does not support RPC method vanish/));
      await assert.rejects(createClient(newerProbe, bench.transport).echo({ value: 1 }, newContext()), refusal('UNIMPLEMENTED', /does not support RPC version 2\.0/));
    });

    it('brings a ServiceError back whole, and shows nothing of any other error', async () => {
      await bench.serve('a');
      const client = createClient(probe, bench.transport);
      for (const code of ['NOT_FOUND', 'PORT_IN_USE', 'UNAUTHENTICATED', 'FAILED_PRECONDITION', 'CANCELLED'] as const) {
        await assert.rejects(client.fail({ code }, newContext()), (error: unknown) => {
          refusal(code, new RegExp(`^refused with ${code}$`))(error);
          assert.equal((error as ServiceError).details['limit'], 7);
          return true;
        });
      }
      await assert.rejects(client.fail({ code: 'crash' }, newContext()), (error: unknown) => {
        refusal('INTERNAL')(error);
        assert.doesNotMatch(String((error as Error).message), /secret/);
        return true;
      });
    });

    it('fails typed when a handler answers what the contract does not allow', async () => {
      await bench.serve('a');
      await assert.rejects(createClient(probe, bench.transport).wrong({}, newContext()), refusal('INTERNAL', /probe\.wrong answered what its contract does not allow/));
    });

    it('refuses a message that is too large, and an answer that is', async () => {
      await bench.serve('a');
      const client = createClient(probe, bench.transport);
      await assert.rejects(client.echo({ value: new Array(17).fill('x'.repeat(1024 * 1024)) }, newContext()), refusal('INVALID_ARGUMENT', /at most 16777216/));
      await assert.rejects(client.names({ count: 17 }, newContext()), refusal('INTERNAL', /answer cannot be sent/));
      assert.equal(await client.who({}, newContext()), 'a');
    });

    it('rejects the calls that wait when the transport is closed', async () => {
      const seen = newNotes();
      await bench.serve('a', { seen });
      const call = createClient(probe, bench.transport).hold({}, newContext());
      await until(() => seen.running === 1);
      await Promise.all([assert.rejects(call, refusal('UNAVAILABLE', /may have run/)), bench.transport.close()]);
      await assert.rejects(createClient(probe, bench.transport).who({}, newContext()), refusal('UNAVAILABLE', /closed/));
    });

    it('answers any JSON value, on a later turn, as a copy', async () => {
      await bench.serve('a');
      const client = createClient(probe, bench.transport);
      const value = { text: 'café \u{1F600} "\\', none: null, list: [1, -0.5, true, []], nested: { empty: {} } };
      let isSync = true;
      const answer = client.echo({ value }, newContext()).finally(() => assert.equal(isSync, false));
      isSync = false;
      assert.deepEqual(await answer, value);
      assert.notEqual(await client.echo({ value }, newContext()), value);
      for (const each of [null, false, 0, '', [], {}]) assert.deepEqual(await client.echo({ value: each }, newContext()), each);
      assert.equal(await client.add({ firstNumber: 2, secondNumber: 40 }, newContext()), 42);
    });

    it('carries the context, with its deadline', async () => {
      await bench.serve('a');
      const context = newContext({ userId: 'u', projectId: 'p', isAdmin: true, roles: ['reader', 'member'], traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', timeoutMs: 30_000 });
      const { deadline, ...rest } = (await createClient(probe, bench.transport).context({}, context)) as { deadline: number };
      const { deadline: sent, ...given } = context;
      assert.deepEqual(rest, given);
      assert.ok(Math.abs(deadline - sent) <= 2, `${deadline} is not ${sent}`);
    });

    it('gives each answer to the call it belongs to, out of order', async () => {
      await bench.serve('a');
      const client = createClient(probe, bench.transport);
      const values = Array.from({ length: 50 }, (_, i) => i);
      const slow = client.wait({ ms: 100 }, newContext());
      assert.deepEqual(await Promise.all(values.map((value) => client.echo({ value }, newContext()))), values);
      assert.equal(await slow, 'waited');
    });

    it('shares a topic among its servers, and directs what names a server', async () => {
      await bench.serve('a');
      await bench.serve('b');
      const client = createClient(probe, bench.transport);
      const askers = await Promise.all(Array.from({ length: 10 }, () => client.who({}, newContext())));
      assert.deepEqual(new Set(askers), new Set(['a', 'b']));
      for (const server of ['a', 'b', 'a']) assert.equal(await client.who({}, newContext(), { server }), server);
    });

    it('gives a cast to one server, and a fanout to every one', async () => {
      const seen = newNotes();
      await bench.serve('a', { seen });
      await bench.serve('b', { seen });
      const client = createClient(probe, bench.transport);
      assert.equal(await client.note({ text: '1' }, newContext()), undefined);
      await client.note({ text: '2' }, newContext(), { server: 'b' });
      await client.announce({ text: '3' }, newContext());
      await until(() => seen.notes.length === 2 && seen.announcements.length === 2);
      await sleep(50);
      assert.deepEqual(seen.announcements.toSorted(), ['a: 3', 'b: 3']);
      assert.ok(seen.notes.includes('b: 2'));
      assert.equal(seen.notes.length, 2);
    });

    it('does not lose a cast to a busy server: it waits, where a call is refused', async () => {
      const seen = newNotes();
      await bench.serve('a', { seen, concurrency: 1 });
      const client = createClient(probe, bench.transport);
      const busy = client.wait({ ms: 300 }, newContext());
      await until(() => seen.running === 1);
      await Promise.all([client.note({ text: '1' }, newContext()), client.note({ text: '2' }, newContext())]);
      await busy;
      await until(() => seen.notes.length === 2);
    });

    it('answers a ping through its own queue, also when it is busy', async () => {
      const seen = newNotes();
      const server = await bench.serve('a', { seen, concurrency: 1 });
      await bench.serve('b');
      await server.checkLoop(30_000);
      const caller = new AbortController();
      const busy = assert.rejects(createClient(probe, bench.transport).hold({}, newContext({ signal: caller.signal }), { server: 'a' }), refusal('CANCELLED'));
      await until(() => seen.running === 1);
      await server.checkLoop(30_000);
      assert.equal(seen.running, 1);
      caller.abort();
      await busy;
    });

    it('finishes what runs when it is drained, and takes nothing more', async () => {
      const seen = newNotes();
      const server = await bench.serve('a', { seen });
      const client = createClient(probe, bench.transport, { retries: 0 });
      const running = client.wait({ ms: 200 }, newContext());
      await until(() => seen.running === 1);
      const drained = server.drain();
      assert.equal(await running, 'waited');
      await drained;
      await assert.rejects(server.checkLoop(200), (error: unknown) => error instanceof ServiceError);
    });
  });
}

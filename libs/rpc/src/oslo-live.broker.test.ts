/** Debian's own oslo.messaging at the other end: its client calls our server, our client calls its server. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { startRabbitmq } from '../../../test/servers/rabbitmq.ts';
import type { Rabbitmq } from '../../../test/servers/rabbitmq.ts';
import { createAmqpTransport } from './amqp-transport.ts';
import { createClient } from './client.ts';
import { newNotes, probe, probeHandlers, refusal, until } from './conformance.ts';
import { newContext } from './context.ts';
import { defineContract, method } from './contract.ts';
import { fixture, rabbitUrl, startPythonServer } from './fixtures/python-server.ts';
import { serve } from './server.ts';

const PYTHON = '/usr/bin/python3';
const OSLO = '/usr/lib/python3/dist-packages/oslo_messaging';

interface Outcome {
  readonly result?: unknown;
  readonly raised?: { readonly type: string; readonly words: string; readonly exc_type: string | null; readonly kwargs: Record<string, unknown> | null };
}

describe('with Python\'s oslo.messaging at the other end', function () {
  this.timeout(90_000);
  let broker: Rabbitmq;

  before(async () => {
    if (!existsSync(OSLO)) throw new Error('oslo.messaging is not installed: apt-get install python3-oslo.messaging');
    broker = await startRabbitmq();
  });

  after(() => broker?.stop());

  it('its client gets results, our refusals as its exceptions, timeouts and signs of life', async () => {
    const transport = createAmqpTransport({ url: broker.url, exchange: 'live-a', connectionName: 'ours' });
    const seen = newNotes();
    const server = await serve(probe, transport, { server: 'a', handlers: probeHandlers('a', seen) });
    const outcomes = await runClient(broker.url, 'live-a');
    await until(() => seen.notes.length === 1 && seen.announcements.length === 1);
    await server.drain();
    await transport.close();

    const raised = (name: string) => outcomes.get(name)?.raised;
    assert.deepEqual(outcomes.get('value')?.result, { a: [1, null, true, 'café \u{1F600}'], n: -0.5 });
    assert.equal(outcomes.get('server')?.result, 'a');
    assert.equal(outcomes.get('version')?.result, 42);
    const { deadline, ...context } = outcomes.get('context')?.result as Record<string, unknown>;
    assert.deepEqual(context, { requestId: 'req-python', userId: 'u', projectId: 'p', isAdmin: true, roles: ['member'], traceparent: null });
    assert.ok(Math.abs(Number(deadline) - Date.now()) < 60_000);
    assert.deepEqual([raised('refusal')?.type, raised('refusal')?.words], ['NotFound_Remote', 'refused with NOT_FOUND']);
    assert.deepEqual(raised('refusal')?.kwargs, { code: 404, service_code: 'NOT_FOUND', details: { limit: 7 } });
    assert.equal(raised('crash')?.type, 'NovaException_Remote');
    assert.deepEqual([raised('no method')?.type, raised('no method')?.exc_type], ['RemoteError', 'NoSuchMethod']);
    assert.deepEqual([raised('newer')?.type, raised('newer')?.exc_type], ['RemoteError', 'UnsupportedVersion']);
    assert.match(raised('bad argument')?.words ?? '', /probe\.add\.first_number: expected an integer/);
    assert.equal(raised('timeout')?.type, 'MessagingTimeout');
    assert.equal(outcomes.get('monitored')?.result, 'waited');
    assert.deepEqual([seen.notes, seen.announcements], [['a: cast'], ['a: fanout']]);
    assert.equal(outcomes.get('ping')?.result, 'pong');
    assert.equal((outcomes.get('large')?.result as string).length, 300_000);
  });

  it('its server answers our calls, casts and fanouts, and its exceptions come back typed', async () => {
    const python = await startPythonServer('oslo_server.py', [rabbitUrl(broker.url), 'live-b', 'b']);
    const transport = createAmqpTransport({ url: broker.url, exchange: 'live-b', connectionName: 'ours' });
    const client = createClient(probe, transport);
    const newer = createClient(defineContract({ topic: 'probe', version: '1.9', methods: { echo: method({ since: '1.9' }), vanish: method({ since: '1.0' }) } }), transport);

    await assert.rejects(client.fail({ code: 'x' }, newContext()), refusal('INTERNAL', /^refused with x$/));
    await assert.rejects(newer.vanish({}, newContext()), refusal('UNIMPLEMENTED', /does not support RPC method vanish/));
    await assert.rejects(newer.echo({}, newContext()), refusal('UNIMPLEMENTED', /does not support RPC version 1\.9/));
    await assert.rejects(client.wait({ ms: 1_500 }, newContext({ timeoutMs: 300 })), refusal('DEADLINE_EXCEEDED'));
    await assert.rejects(client.who({}, newContext(), { server: 'c' }), refusal('UNAVAILABLE', /nobody serves probe\.c/));

    assert.deepEqual(await client.echo({ value: { a: [1, null, 'café \u{1F600}'] } }, newContext()), { a: [1, null, 'café \u{1F600}'] });
    assert.equal(await client.who({}, newContext(), { server: 'b' }), 'b');
    assert.equal(await client.add({ firstNumber: 2, secondNumber: 40 }, newContext()), 42);
    const context = (await client.context({}, newContext({ userId: 'u', roles: ['reader'] }))) as Record<string, unknown>;
    assert.deepEqual([context['user_id'], context['roles']], ['u', ['reader']]);
    const answers = await Promise.all(Array.from({ length: 100 }, (_, value) => client.echo({ value }, newContext())));
    assert.deepEqual(answers, Array.from({ length: 100 }, (_, value) => value));
    await client.note({ text: 'one' }, newContext());
    await client.announce({ text: 'all' }, newContext());
    await until(() => /note one/.test(python.output()) && /announce all/.test(python.output()));

    await python.stop();
    await assert.rejects(client.who({}, newContext()), refusal('UNAVAILABLE', /nobody serves probe any more/));
    await transport.close();
  });

  it('shares a topic with its servers: the declarations agree', async () => {
    const transport = createAmqpTransport({ url: broker.url, exchange: 'live-c', connectionName: 'ours' });
    const server = await serve(probe, transport, { server: 'a', handlers: probeHandlers('a', newNotes()) });
    const python = await startPythonServer('oslo_server.py', [rabbitUrl(broker.url), 'live-c', 'b']);
    const client = createClient(probe, transport);
    const names = await Promise.all(Array.from({ length: 20 }, () => client.who({}, newContext())));
    assert.deepEqual(new Set(names), new Set(['a', 'b']));
    await python.stop();
    await server.drain();
    await transport.close();
  });
});

async function runClient(url: string, exchange: string): Promise<ReadonlyMap<string, Outcome>> {
  const child = spawn(PYTHON, [fixture('oslo_client.py'), rabbitUrl(url), exchange], { stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  let problems = '';
  child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (problems += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  assert.equal(code, 0, problems);
  return new Map(printed.trim().split('\n').map((line) => JSON.parse(line) as [string, Outcome]));
}

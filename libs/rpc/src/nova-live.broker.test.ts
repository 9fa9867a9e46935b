/** Debian's own Nova at the other end: its RPC client, server, context, objects and exceptions over a real RabbitMQ. */
import assert from 'node:assert/strict';
import { ConsoleSession } from '@gatehouse/objects/console-session';
import { ERROR_CODES, ServiceError } from '@gatehouse/errors/service-error';
import type { ErrorCode } from '@gatehouse/errors/service-error';
import { json, integer, object, string } from '@gatehouse/objects/fields';
import { KeyPair } from '@gatehouse/objects/key-pair';
import { startPythonLines } from '../../../test/servers/python-lines.ts';
import type { PythonLines } from '../../../test/servers/python-lines.ts';
import { startRabbitmq } from '../../../test/servers/rabbitmq.ts';
import type { Rabbitmq } from '../../../test/servers/rabbitmq.ts';
import { createAmqpTransport } from './amqp-transport.ts';
import { createClient } from './client.ts';
import type { Client } from './client.ts';
import { refusal } from './conformance.ts';
import { newContext } from './context.ts';
import { defineContract, method } from './contract.ts';
import type { Handlers } from './endpoint.ts';
import { fixture, rabbitUrl, startPythonServer } from './fixtures/python-server.ts';
import type { PythonServer } from './fixtures/python-server.ts';
import { serve } from './server.ts';
import type { RpcServer } from './server.ts';
import type { Transport } from './transport.ts';

const ours = defineContract({
  topic: 'ours',
  version: '1.1',
  objects: { '1.0': KeyPair.manifest },
  methods: {
    echo: method({ since: '1.0', args: { value: json() }, result: json() }),
    keyPair: method({ since: '1.0', args: { keyPair: object(KeyPair) }, result: object(KeyPair) }),
    who: method({ since: '1.0', result: json() }),
    wait: method({ since: '1.0', args: { ms: integer() }, result: string() }),
    fail: method({ since: '1.0', args: { code: string() } }),
    newer: method({ since: '1.1', result: string() }),
  },
});

const handlers: Handlers<typeof ours> = {
  echo: ({ value }) => value,
  keyPair: ({ keyPair }) => ({ ...keyPair, name: `${keyPair.name} again` }),
  who: (_args, { requestId, globalRequestId, userId, projectId, isAdmin, roles }) => ({ requestId, globalRequestId: globalRequestId ?? null, userId, projectId, isAdmin, roles }),
  wait: async ({ ms }) => {
    await new Promise((resolve) => setTimeout(resolve, ms));
    return 'waited';
  },
  fail: ({ code }) => {
    if (code === 'crash') throw new TypeError('a secret inner detail');
    throw new ServiceError(code as ErrorCode, `refused with ${code}`, { details: { limit: 7 } });
  },
  newer: () => 'new',
};

const theirs = defineContract({
  topic: 'theirs',
  version: '1.1',
  objects: { '1.0': { ...KeyPair.manifest, ...ConsoleSession.manifest } },
  methods: {
    echo: method({ since: '1.0', args: { value: json() }, result: json() }),
    keyPair: method({ since: '1.0', args: { keyPair: object(KeyPair) }, result: object(KeyPair) }),
    who: method({ since: '1.0', result: json() }),
    session: method({ since: '1.0', args: { session: object(ConsoleSession) }, result: json() }),
    wait: method({ since: '1.0', args: { ms: integer() }, result: string() }),
    fail: method({ since: '1.0', args: { kind: string() } }),
    passOn: method({ since: '1.0', args: { code: string() } }),
    numbers: method({ since: '1.0', result: json() }),
  },
});

const keyPair = KeyPair.make({
  id: 1,
  name: 'mine',
  userId: 'alice',
  fingerprint: '1e:2c:9b',
  publicKey: 'ssh-ed25519 AAAA',
  type: 'ssh',
  createdAt: new Date('2026-07-01T09:08:07Z'),
  updatedAt: null,
  deletedAt: null,
  deleted: false,
});

interface Raised {
  readonly class: string;
  readonly module: string;
  readonly is_nova: boolean;
  readonly bases: readonly string[];
  readonly exc_type: string | null;
  readonly words: string;
  readonly kwargs: Readonly<Record<string, unknown>> | null;
}

interface Outcome {
  readonly returned?: unknown;
  readonly raised?: Raised;
}

describe('with Nova at the other end', function () {
  this.timeout(120_000);
  let broker: Rabbitmq;
  let transport: Transport;
  let server: RpcServer;

  before(async () => {
    broker = await startRabbitmq();
    transport = createAmqpTransport({ url: broker.url, exchange: 'nova-live', connectionName: 'ours' });
    server = await serve(ours, transport, { server: 'a', handlers });
  });

  after(async () => {
    await server?.drain();
    await transport?.close();
    await broker?.stop();
  });

  describe('its client', () => {
    let nova: PythonLines;
    const ask = async (request: object): Promise<Outcome> => (await nova.ask({ topic: 'ours', ...request })) as Outcome;
    const raised = async (request: object): Promise<Raised> => (await ask(request)).raised ?? assert.fail('nothing was raised');

    before(() => {
      nova = startPythonLines(fixture('nova_client.py'), [rabbitUrl(broker.url), 'nova-live']);
    });

    after(() => nova?.stop());

    it('rebuilds each of our refusals as the exception that its code expects, with our code inside', async () => {
      for (const code of ERROR_CODES) {
        const error = await raised({ method: 'fail', args: { code } });
        assert.equal(error.words.split('\n')[0], `refused with ${code}`, code);
        if (code === 'UNIMPLEMENTED') assert.deepEqual([error.class, error.module], ['NotImplementedError', 'builtins']);
        else {
          assert.ok(error.is_nova, `${code}: ${error.class}`);
          assert.deepEqual([error.kwargs?.['service_code'], error.kwargs?.['details']], [code, { limit: 7 }]);
        }
      }
      assert.ok((await raised({ method: 'fail', args: { code: 'NOT_FOUND' } })).bases.includes('NotFound'));
    });

    it('learns nothing of an error that is not ours', async () => {
      const error = await raised({ method: 'fail', args: { code: 'crash' } });
      assert.equal(error.class, 'NovaException_Remote');
      assert.doesNotMatch(JSON.stringify(error), /secret|TypeError/);
    });

    it('rebuilds the dispatcher\'s refusals', async () => {
      const missing = await raised({ method: 'vanish' });
      assert.deepEqual([missing.class, missing.module], ['NoSuchMethod_Remote', 'oslo_messaging.rpc.dispatcher_Remote']);
      const newer = await raised({ method: 'echo', prepare: { version: '1.9' }, args: { value: 1 } });
      assert.deepEqual([newer.class, newer.words], ['UnsupportedVersion_Remote', 'Endpoint does not support RPC version 1.9. Attempted method: echo']);
      assert.equal((await raised({ method: 'echo', prepare: { namespace: 'other' }, args: { value: 1 } })).class, 'UnsupportedVersion_Remote');
      assert.equal((await raised({ method: '_private' })).class, 'NoSuchMethod_Remote');
    });

    it('rebuilds oslo\'s refusal of an object that is newer than ours, and of another object', async () => {
      const newer = { ...KeyPair.toPrimitive(keyPair), 'nova_object.version': '1.5' };
      const error = await raised({ method: 'key_pair', object: newer });
      assert.deepEqual([error.class, error.words], ['IncompatibleObjectVersion_Remote', 'Version 1.5 of KeyPair is not supported, supported version is 1.4']);
      const { objname, objver, supported } = error.kwargs ?? {};
      assert.deepEqual([objname, objver, supported], ['KeyPair', '1.5', '1.4']);
      const other = await raised({ method: 'key_pair', object: { 'nova_object.name': 'KeyPairList', 'nova_object.namespace': 'nova', 'nova_object.version': '1.3', 'nova_object.data': { objects: [] } } });
      assert.equal(other.class, 'UnsupportedObjectError_Remote');
    });

    it('is capped by its own version cap, as it was before us', async () => {
      assert.equal((await raised({ method: 'newer', cap: '1.0', prepare: { version: '1.1' } })).class, 'RPCVersionCapError');
      assert.deepEqual(await ask({ kind: 'can_send', cap: '1.0', prepare: { version: '1.1' } }), { returned: false });
      assert.deepEqual(await ask({ method: 'newer', cap: '1.1', prepare: { version: '1.1' } }), { returned: 'new' });
    });

    it('times out, and its next call is answered all the same', async () => {
      assert.equal((await raised({ method: 'wait', prepare: { timeout: 1 }, args: { ms: 6_000 } })).class, 'MessagingTimeout');
      assert.deepEqual(await ask({ method: 'echo', args: { value: 'next' } }), { returned: 'next' });
    });

    it('waits as long as we give signs of life, and needs none from a method that is sooner done', async () => {
      assert.deepEqual(await ask({ method: 'wait', prepare: { timeout: 60, call_monitor_timeout: 6 }, args: { ms: 8_000 } }), { returned: 'waited' });
      assert.deepEqual(await ask({ method: 'wait', prepare: { timeout: 60, call_monitor_timeout: 30 }, args: { ms: 100 } }), { returned: 'waited' });
    });

    it('is told by the path where a number is more than we can hold', async () => {
      const error = await raised({ method: 'echo', integer: String(2n ** 70n) });
      assert.match(error.words, /^ours\.echo\.value: /);
      assert.equal(error.kwargs?.['service_code'], 'INVALID_ARGUMENT');
    });

    it('hands over its objects and gets ours, changes and all', async () => {
      const sent = KeyPair.toPrimitive(keyPair);
      const { returned } = await ask({ method: 'key_pair', object: sent });
      assert.deepEqual(returned, KeyPair.toPrimitive({ ...keyPair, name: 'mine again' }));
    });

    it('is known by its context, without its auth token', async () => {
      assert.deepEqual(await ask({ method: 'who' }), {
        returned: { requestId: 'req-nova', globalRequestId: 'req-global', userId: 'alice', projectId: 'blue', isAdmin: false, roles: ['member', 'reader'] },
      });
    });

    for (const kind of ['gzip', 'bzip2']) {
      it(`may compress with ${kind}`, async () => {
        const packing = startPythonLines(fixture('nova_client.py'), [rabbitUrl(broker.url, `?kombu_compression=${kind}`), 'nova-live']);
        const value = { text: 'café '.repeat(2_000), list: Array.from({ length: 500 }, (_, i) => i) };
        assert.deepEqual(await packing.ask({ topic: 'ours', method: 'echo', args: { value } }), { returned: value });
        await packing.stop();
      });
    }
  });

  describe('its server', () => {
    let nova: PythonServer;
    let client: Client<typeof theirs>;
    let conductor: RpcServer;

    before(async () => {
      nova = await startPythonServer('nova_server.py', [rabbitUrl(broker.url), 'nova-live', 'b']);
      // What Nova's serializer asks, in its own words, when it meets an object that is newer than it knows.
      conductor = await serve(defineContract({ topic: 'conductor', version: '3.0', methods: {} }), transport, { server: 'a', handlers: {} });
      client = createClient(theirs, transport);
    });

    after(async () => {
      await nova?.stop();
      await conductor?.drain();
    });

    it('raises what we then know by its meaning', async () => {
      const cases: readonly (readonly [kind: string, code: ErrorCode, words: RegExp])[] = [
        ['InstanceNotFound', 'NOT_FOUND', /^Instance i-1 could not be found\.$/],
        ['InvalidToken', 'UNAUTHENTICATED', /^The token '\*\*\*' is invalid or has expired$/],
        ['KeyPairExists', 'ALREADY_EXISTS', /^Key pair 'mine' already exists\.$/],
        ['KeypairLimitExceeded', 'RESOURCE_EXHAUSTED', /too many key pairs/],
        ['InstanceInvalidState', 'FAILED_PRECONDITION', /Cannot y while/],
        ['NovaException', 'INTERNAL', /^café x{1995}$/],
        ['KeyError', 'INTERNAL', /^'missing'$/],
        ['NaN', 'INTERNAL', /^\(nan, 1180591620717411303424\)$/],
        ['NotImplementedError', 'UNIMPLEMENTED', /^not yet$/],
        ['IncompatibleObjectVersion', 'INVALID_ARGUMENT', /^Version 1\.5 of KeyPair is not supported, supported version is 1\.4$/],
        ['MessagingTimeout', 'DEADLINE_EXCEEDED', /^nobody answered$/],
      ];
      for (const [kind, code, words] of cases) await assert.rejects(client.fail({ kind }, newContext()), refusal(code, words), kind);
    });

    it('lets our own refusals through, and they are still ours', async () => {
      for (const code of ['PORT_IN_USE', 'FAILED_PRECONDITION', 'CANCELLED'] as const) {
        const error = await client.passOn({ code }, newContext()).catch((reason: unknown) => reason);
        assert.ok(error instanceof ServiceError);
        assert.deepEqual([error.code, error.message, error.details['limit']], [code, `refused with ${code}`, 7]);
      }
      await assert.rejects(client.passOn({ code: 'UNIMPLEMENTED' }, newContext()), refusal('UNIMPLEMENTED', /^refused with UNIMPLEMENTED$/));
    });

    it('answers numbers that no field of ours takes, and only that call fails', async () => {
      await assert.rejects(client.numbers({}, newContext()), refusal('INTERNAL', /the answer does not fit the contract: theirs\.numbers result/));
      assert.equal(await client.echo({ value: 1 }, newContext()), 1);
    });

    it('is monitored: its signs of life keep a long call alive', async () => {
      assert.equal(await client.wait({ ms: 8_000 }, newContext(), { monitorTimeoutMs: 6_000 }), 'waited');
      await assert.rejects(client.wait({ ms: 4_000 }, newContext(), { timeoutMs: 1_000, monitorTimeoutMs: 2_000 }), refusal('DEADLINE_EXCEEDED'));
    });

    it('reads our objects and we read its own', async () => {
      assert.deepEqual(await client.keyPair({ keyPair }, newContext()), { ...keyPair, name: 'mine again' });
    });

    it('makes its own context of ours', async () => {
      const context = newContext({ requestId: 'req-1', globalRequestId: 'req-2', userId: 'u', projectId: 'p', roles: ['reader'], isAdmin: true });
      const { request_id: requestId, global_request_id: globalRequestId, user_id: userId, project_id: projectId, roles, is_admin: isAdmin, read_deleted: readDeleted } = (await client.who(
        {},
        context,
      )) as Record<string, unknown>;
      assert.deepEqual({ requestId, globalRequestId, userId, projectId, roles, isAdmin, readDeleted }, {
        requestId: 'req-1', globalRequestId: 'req-2', userId: 'u', projectId: 'p', roles: ['reader'], isAdmin: true, readDeleted: 'no',
      });
      assert.equal(((await client.who({}, newContext())) as Record<string, unknown>)['is_admin'], false);
    });

    it('asks us for the older form of an object that is newer than it knows', async () => {
      const session = ConsoleSession.make({
        id: '2f1bd9f0-6a9c-4c5b-9df4-0d2a61c8e5a4', instanceUuid: '2f1bd9f0-6a9c-4c5b-9df4-0d2a61c8e5a5', host: 'h1', port: 5900, consoleType: 'novnc', proxy: 'p', clientAddress: '192.0.2.7',
        userId: null, projectId: null, access: 'full', startedAt: new Date('2026-07-01T09:08:07Z'), leaseExpires: new Date('2026-07-01T09:09:07Z'), endedAt: null, endReason: null,
        bytesIn: 1, bytesOut: 2, endingAt: null, endingReason: null,
      });
      assert.deepEqual(await client.session({ session }, newContext()), ['1.0', 'h1', 5900, '2026-07-01T09:08:07+00:00']);
    });

    it('may compress its answers', async () => {
      const packing = await startPythonServer('nova_server.py', [rabbitUrl(broker.url, '?kombu_compression=bzip2'), 'nova-live', 'c']);
      const value = { text: 'café '.repeat(2_000) };
      assert.deepEqual(await client.echo({ value }, newContext(), { server: 'c' }), value);
      await packing.stop();
    });
  });
});

/**
 * What a mixed fleet promises, as one suite for both transports: clients and servers of two levels of one contract,
 * in every pairing. The old level stands here as its peers still have it: a contract and definitions of its own. The
 * new one is in the objects of today, whichever version those have reached.
 */
import assert from 'node:assert/strict';
import { ServiceError } from '@gatehouse/errors/service-error';
import { ConsoleConnection, CONSOLE_TYPES } from '@gatehouse/objects/console-connection';
import { ConsoleGrant } from '@gatehouse/objects/console-grant';
import { ACCESS_LEVELS, ConsoleSession } from '@gatehouse/objects/console-session';
import { defineObject } from '@gatehouse/objects/define-object';
import type { ObjectOf } from '@gatehouse/objects/define-object';
import { datetime, enumeration, integer, listOf, object, since, string, uuid } from '@gatehouse/objects/fields';
import type { JsonObject, JsonValue } from '@gatehouse/objects/field';
import { BACKPORTS_MAX } from './backport-peer.ts';
import { backportHandlers } from './backport-server.ts';
import { createClient } from './client.ts';
import { refusal } from './conformance.ts';
import { newContext } from './context.ts';
import { defineContract, method } from './contract.ts';
import { encodeFailure } from './failure.ts';
import { serve } from './server.ts';
import type { Handlers, RpcServer } from './server.ts';
import type { Listening, OutgoingRequest, Reply, Transport } from './transport.ts';

const name = () => string({ maxLength: 255 });

/** A minor version that nobody has reached. */
const NEVER = '1.999';

/** As they were before they counted bytes. */
const OldSession = defineObject('ConsoleSession', '1.0', {
  id: uuid(), instanceUuid: uuid(), host: name(), port: integer(), consoleType: enumeration(CONSOLE_TYPES), proxy: name(), clientAddress: name(),
  userId: name().nullable(), projectId: name().nullable(), access: enumeration(ACCESS_LEVELS), startedAt: datetime(), leaseExpires: datetime(),
  endedAt: datetime().nullable(), endReason: name().nullable(),
});
const OldGrant = defineObject('ConsoleGrant', '1.0', {
  session: object(OldSession), connection: object(ConsoleConnection), instanceName: name(), endpoint: name().nullable(), attachSecret: name().nullable(), leaseSeconds: integer(),
});

const old = defineContract({
  topic: 'sessions',
  version: '1.0',
  objects: { '1.0': { ConsoleConnection: '1.0', ConsoleGrant: '1.0', ConsoleSession: '1.0' } },
  methods: {
    keep: method({ since: '1.0', args: { session: object(OldSession) }, result: string() }),
    check: method({ since: '1.0', args: { session: object(OldSession), count: integer() }, result: string() }),
    grant: method({ since: '1.0', result: object(OldGrant) }),
    list: method({ since: '1.0', args: { proxy: name() }, result: listOf(object(OldSession)) }),
  },
});

const now = defineContract({
  topic: 'sessions',
  version: '1.1',
  objects: { ...old.objects, '1.1': { ConsoleGrant: ConsoleGrant.version, ConsoleSession: ConsoleSession.version } },
  methods: {
    keep: method({ since: '1.0', args: { session: object(ConsoleSession), reason: since('1.1', string(), 'not said') }, result: string() }),
    check: method({ since: '1.0', args: { session: object(ConsoleSession), count: integer() }, result: string() }),
    grant: method({ since: '1.0', result: object(ConsoleGrant) }),
    list: method({ since: '1.0', args: { proxy: name(), host: since('1.1', name().optional(), undefined) }, result: listOf(object(ConsoleSession)) }),
    count: method({ since: '1.1', result: integer() }),
  },
});

const ID = '2f1bd9f0-6a9c-4c5b-9df4-0d2a61c8e5a4';
const when = new Date('2026-07-01T12:00:00Z');
const oldSession: ObjectOf<typeof OldSession> = {
  id: ID, instanceUuid: ID, host: 'h', port: 1, consoleType: 'serial', proxy: 'p', clientAddress: '192.0.2.1', userId: null, projectId: null,
  access: 'full', startedAt: when, leaseExpires: when, endedAt: null, endReason: null,
};
const connection = ConsoleConnection.make({ instanceUuid: ID, host: 'h', port: 1, consoleType: 'serial', tokenHash: null, accessUrl: null, options: {}, expires: null });
const rest = { connection, instanceName: 'web', endpoint: null, attachSecret: null, leaseSeconds: 15 };
const oldGrant: ObjectOf<typeof OldGrant> = { session: oldSession, ...rest };

/** What today's readers make of the old ones: each later field has its meaning, for bytes that nobody counted 0. */
const sessionRead = ConsoleSession.fromPrimitive(OldSession.toPrimitive(oldSession));
const grantRead = ConsoleGrant.fromPrimitive(OldGrant.toPrimitive(oldGrant));

const session = ConsoleSession.make({ ...sessionRead, bytesIn: 7, bytesOut: 9 });
const grant = ConsoleGrant.make({ ...grantRead, session });

const oldHandlers: Handlers<typeof old> = {
  keep: ({ session: { id } }) => `old ${id}`,
  check: ({ session: { id }, count }) => (count > 0 ? `old ${id}` : refuseOther()),
  grant: () => oldGrant,
  list: () => [oldSession],
};
const newHandlers: Handlers<typeof now> = {
  keep: ({ session: { bytesIn }, reason }) => `new ${bytesIn} ${reason}`,
  check: ({ session: { bytesIn }, count }) => `new ${bytesIn} ${count}`,
  grant: () => grant,
  list: ({ host }) => [{ ...session, host: host ?? 'any' }],
  count: () => 3,
};

/** What a handler passes on that somebody else refused it. */
function refuseOther(): never {
  const details = { oslo: 'IncompatibleObjectVersion', path: 'elsewhere.do.other', objname: 'Other', supported: '1.0', received: '1.3' };
  throw new ServiceError('INVALID_ARGUMENT', 'elsewhere.do.other: version 1.3 of Other is not supported, 1.0 is', { details });
}

type Sent = OutgoingRequest['message'] & { readonly topic: string; readonly reply: Reply | null };

/** The same transport, and what went over it. */
function watched(transport: Transport): { readonly transport: Transport; readonly sent: Sent[] } {
  const sent: Sent[] = [];
  const request = async (each: OutgoingRequest): Promise<Reply | null> => {
    const reply = await transport.request(each).catch((error: unknown) => ({ result: null, failure: encodeFailure(error), error }));
    sent.push({ ...each.message, topic: each.topic, reply });
    if (reply !== null && 'error' in reply) throw reply.error;
    return reply;
  };
  return { sent, transport: { request, listen: (listener) => transport.listen(listener), close: () => transport.close(), get connected() { return transport.connected; } } };
}

const versionOf = (wire: JsonValue | undefined): unknown => (wire as JsonObject)['nova_object.version'];
const dataOf = (wire: JsonValue | undefined): JsonObject => (wire as JsonObject)['nova_object.data'] as JsonObject;

/** `open` gives each test a bus of its own, with two transports on it (or one that is both). */
export function describeLevels(title: string, open: () => Promise<{ client: Transport; server: Transport }>): void {
  describe(title, () => {
    let bus: { client: Transport; server: Transport };
    let servers: (RpcServer | Listening)[];

    beforeEach(async () => {
      bus = await open();
      servers = [];
    });

    afterEach(async () => {
      await Promise.all(servers.map((server) => ('drain' in server ? server.drain(1_000) : server.close())));
      await bus.client.close();
      await bus.server.close();
    });

    const serveOld = async (backportPeer?: typeof now) => void servers.push(await serve(old, bus.server, { server: 'old', handlers: oldHandlers, backportPeer }));
    const serveNew = async () => void servers.push(await serve(now, bus.server, { server: 'new', handlers: newHandlers }));
    const asking = (pin?: string) => {
      const { transport, sent } = watched(bus.client);
      return { client: createClient(now, transport, { pin }), sent };
    };

    it('refuses at start a pin that is no level of the contract, and says which there are', () => {
      for (const pin of ['2.0', '0.9', '1.2', '1.0.1', 'newest', '']) {
        assert.throws(() => createClient(now, bus.client, { pin }), refusal('INVALID_ARGUMENT', /sessions can only be pinned to a level from 1\.0 to 1\.1, not to /), pin);
      }
      assert.throws(() => createClient(old, bus.client, { pin: '1.1' }), refusal('INVALID_ARGUMENT', /can only be pinned to 1\.0, not to 1\.1/));
      assert.throws(() => createClient(now, bus.client, { pin: { level: '7.0', setBy: 'SETTING=7.0' } }), refusal('INVALID_ARGUMENT', /^SETTING=7\.0: /));
    });

    it('refuses a method that came after the pin, without asking anybody', async () => {
      await serveNew();
      const { transport, sent } = watched(bus.client);
      const client = createClient(now, transport, { pin: { level: '1.0', setBy: 'GATEHOUSE_RPC_PIN_X=1.0' } });
      await assert.rejects(client.count({}, newContext()), (error) => {
        refusal('UNIMPLEMENTED', /^sessions\.count came with 1\.1, and this client is pinned to 1\.0 \(GATEHOUSE_RPC_PIN_X=1\.0\)$/)(error);
        assert.deepEqual((error as { details: unknown }).details, { since: '1.1', pin: '1.0' });
        return true;
      });
      assert.deepEqual(sent, []);
    });

    it('a new client that is not pinned is refused by an old server what that does not know, and only that', async () => {
      await serveOld();
      const { client, sent } = asking();
      await assert.rejects(client.count({}, newContext()), (error) => {
        refusal('UNIMPLEMENTED', /does not support RPC version 1\.1\. Attempted method: count/)(error);
        assert.equal((error as { details: Record<string, unknown> }).details['supported'], '1.0');
        return true;
      });
      await assert.rejects(client.keep({ session, reason: 'r' }, newContext()), refusal('UNIMPLEMENTED', /version 1\.1\. Attempted method: keep/));
      await assert.rejects(client.list({ proxy: 'p', host: 'h' }, newContext()), refusal('UNIMPLEMENTED', /version 1\.1\. Attempted method: list/));
      assert.equal((await client.grant({}, newContext())).session.bytesIn, 0);
      assert.deepEqual(await client.list({ proxy: 'p' }, newContext()), [sessionRead]);
      assert.deepEqual(sent.map(({ version }) => version), ['1.1', '1.1', '1.1', '1.0', '1.0']);
    });

    it('a new client that is not pinned writes an object again as an old server knows it, once and only for that', async () => {
      await serveOld();
      const { client, sent } = asking();
      assert.equal(await client.check({ session, count: 3 }, newContext()), `old ${ID}`);
      assert.deepEqual(sent.map(({ args, version }) => [versionOf(args['session']), args['count'], version]), [[ConsoleSession.version, 3, '1.0'], ['1.0', 3, '1.0']]);
      // What is wrong by itself stays wrong, and a handler's own refusal is not about our objects.
      await assert.rejects(client.check({ session, count: 0 }, newContext()), refusal('INVALID_ARGUMENT', /version .* of Other is not supported/));
      assert.equal(sent.length, 4);
    });

    it('a new client that is pinned to the old level sends an old server nothing else', async () => {
      await serveOld();
      const { client, sent } = asking('1.0');
      assert.equal(await client.keep({ session, reason: 'r' }, newContext()), `old ${ID}`);
      assert.deepEqual(await client.grant({}, newContext()), grantRead);
      assert.deepEqual(await client.list({ proxy: 'p', host: 'h' }, newContext()), [sessionRead]);
      assert.deepEqual(sent.map(({ version, context }) => [version, context['rpc_level']]), Array.from({ length: 3 }, () => ['1.0', '1.0']));
      assert.deepEqual(Object.keys(sent[0]?.args ?? {}), ['session']);
      assert.deepEqual([versionOf(sent[0]?.args['session']), 'bytes_in' in dataOf(sent[0]?.args['session'])], ['1.0', false]);
    });

    it('a new client that is pinned to the old level gets the same of a new server as of an old one', async () => {
      await serveNew();
      const { client, sent } = asking('1.0');
      assert.equal(await client.keep({ session, reason: 'r' }, newContext()), 'new 0 not said');
      assert.equal((await client.grant({}, newContext())).session.bytesIn, 0);
      assert.equal((await client.list({ proxy: 'p', host: 'h' }, newContext()))[0]?.host, 'any');
      const answered = sent[1]?.reply?.result ?? null;
      assert.deepEqual([versionOf(answered), versionOf(dataOf(answered)['session'])], ['1.0', '1.0']);
    });

    it('an old client gets old objects of a new server, also nested ones, and one that says no level by the version it asks for', async () => {
      await serveNew();
      const { transport, sent } = watched(bus.client);
      const client = createClient(old, transport);
      assert.deepEqual(await client.grant({}, newContext()), oldGrant);
      assert.equal(await client.keep({ session: oldSession }, newContext()), 'new 0 not said');
      assert.deepEqual(await client.list({ proxy: 'p' }, newContext()), [{ ...oldSession, host: 'any' }]);
      const newest = [ConsoleGrant.version, ConsoleSession.version];
      for (const [version, expected] of [['1.0', ['1.0', '1.0']], [null, ['1.0', '1.0']], ['1.1', newest], ['1.0.4', ['1.0', '1.0']]] as const) {
        const message = { method: 'grant', args: {}, namespace: null, version, context: {} };
        const reply = await bus.client.request({ kind: 'call', topic: 'sessions', message, deadline: Date.now() + 5_000 });
        assert.deepEqual([versionOf(reply?.result), versionOf(dataOf(reply?.result)['session'])], expected, String(version));
      }
      assert.equal(sent.length, 3);
    });

    it('new clients and new servers hide nothing from each other, whatever version the request needs', async () => {
      await serveNew();
      const { client, sent } = asking();
      assert.deepEqual(await client.grant({}, newContext()), grant);
      assert.equal(await client.keep({ session, reason: 'r' }, newContext()), 'new 7 r');
      assert.equal((await client.list({ proxy: 'p' }, newContext()))[0]?.bytesOut, 9);
      assert.equal(await client.count({}, newContext()), 3);
      assert.deepEqual(sent.map(({ version, context }) => [version, context['rpc_level']]), [['1.0', '1.1'], ['1.1', '1.1'], ['1.0', '1.1'], ['1.1', '1.1']]);
      // What the old level lacks is refused, not silently taken for what it meant there.
      const message = { method: 'keep', args: { session: ConsoleSession.toPrimitive(session) }, namespace: null, version: '1.1', context: {} };
      const reply = await bus.client.request({ kind: 'call', topic: 'sessions', message, deadline: Date.now() + 5_000 });
      assert.match(reply?.failure ?? '', /sessions\.keep\.reason: is missing/);
    });

    it('a pin that changes counts from the next call on', async () => {
      await serveNew();
      let level = '1.0';
      const client = createClient(now, bus.client, { pin: { get level() { return level; } } });
      assert.equal((await client.grant({}, newContext())).session.bytesIn, 0);
      level = '1.1';
      assert.equal((await client.grant({}, newContext())).session.bytesIn, 7);
      assert.equal(await client.count({}, newContext()), 3);
    });

    it('a level that is none is refused by its key; a newer one is answered as we know it', async () => {
      await serveNew();
      const ask = (level: JsonValue) => {
        const message = { method: 'grant', args: {}, namespace: null, version: '1.0', context: { rpc_level: level } };
        return bus.client.request({ kind: 'call', topic: 'sessions', message, deadline: Date.now() + 5_000 });
      };
      for (const level of [7, true, [], {}, '', 'x', '1', '2.0', '1.0.0.0', '99999.0']) {
        assert.match((await ask(level))?.failure ?? '', /_context_rpc_level: expected a version like 1\.1/, JSON.stringify(level));
      }
      assert.equal(versionOf((await ask('1.7'))?.result), ConsoleGrant.version);
      assert.equal(versionOf((await ask(null))?.result), '1.0');
    });

    describe('objects that are newer than their reader', () => {
      const newest = { method: 'keep', args: { session: ConsoleSession.toPrimitive(session) }, namespace: null, version: '1.0', context: {} };
      const ask = (args: JsonObject, transport = bus.client) =>
        transport.request({ kind: 'call', topic: 'sessions', message: { ...newest, args }, deadline: Date.now() + 5_000 });
      const incompatible = new RegExp(`version ${ConsoleSession.version} of ConsoleSession is not supported, 1\\.0 is`);

      it('are refused without a peer, of another major version always', async () => {
        await serveOld();
        assert.match((await ask(newest.args))?.failure ?? '', incompatible);
        assert.match((await ask({ session: { ...newest.args.session, 'nova_object.version': '2.0' } }))?.failure ?? '', /version 2\.0 of ConsoleSession is not supported/);
      });

      it('are refused when the peer does not know them either, or nobody is the peer', async () => {
        await serveOld(now);
        // The only one on the topic is itself; it must not ask itself for ever.
        const newer = { ...newest.args.session, 'nova_object.version': NEVER };
        assert.match((await ask({ session: newer }))?.failure ?? '', /version 1\.999 of ConsoleSession is not supported, 1\.0 is/);
        servers.push(await serve(old, bus.server, { server: 'alone', handlers: oldHandlers, backportPeer: { topic: 'nowhere', version: '1.0' } }));
        const message = { ...newest, args: { session: newer } };
        const reply = await bus.client.request({ kind: 'call', topic: 'sessions', server: 'alone', message, deadline: Date.now() + 5_000 });
        assert.match(reply?.failure ?? '', /version 1\.999 of ConsoleSession is not supported/);
      });

      it('are read by a server once its peer has rewritten them, as many as it may ask for', async () => {
        const peer = defineContract({ topic: 'peer', version: '3.4', methods: {} });
        const { transport, sent } = watched(bus.server);
        servers.push(await serve(peer, bus.server, { server: 'peer', handlers: {} }));
        const many = defineContract({ topic: 'many', version: '1.0', methods: { ids: method({ since: '1.0', args: { sessions: listOf(object(OldSession)) }, result: integer() }) } });
        servers.push(await serve(old, transport, { server: 'old', handlers: oldHandlers, backportPeer: peer }));
        servers.push(await serve(many, transport, { server: 'old', handlers: { ids: ({ sessions }) => sessions.length }, backportPeer: peer }));
        assert.equal((await ask(newest.args))?.result, `old ${ID}`);
        assert.deepEqual(sent.map(({ topic, method: asked, version, args }) => [topic, asked, version, args['object_versions']]), [
          ['peer', 'object_backport_versions', '3.0', { ConsoleSession: '1.0' }],
        ]);
        const idsOf = (count: number) => bus.client.request({
          kind: 'call', topic: 'many', deadline: Date.now() + 5_000,
          message: { ...newest, method: 'ids', args: { sessions: Array.from({ length: count }, () => structuredClone(newest.args.session)) } },
        });
        assert.equal((await idsOf(BACKPORTS_MAX))?.result, BACKPORTS_MAX);
        assert.match((await idsOf(BACKPORTS_MAX + 1))?.failure ?? '', incompatible);
        assert.equal(sent.length, 1 + BACKPORTS_MAX);
      });

      it('with a third number in their version need no peer', async () => {
        await serveOld();
        assert.equal((await ask({ session: { ...newest.args.session, 'nova_object.version': '1.0.7' } }))?.result, `old ${ID}`);
      });

      it('are read by a client when the topic that answered rewrites them, and refused when it cannot', async () => {
        const asked: string[] = [];
        let canHelp = true;
        // A server that answers what it has, whoever asks, as oslo's do.
        servers.push(await bus.server.listen({
          topic: 'sessions', server: 'python', requestsMax: 10,
          async handle({ message }) {
            asked.push(`${message.method} ${String(message.version)}`);
            if (message.method === 'grant') return { result: ConsoleGrant.toPrimitive(grant), failure: null };
            const { objinst, object_versions: objectVersions } = message.args;
            if (!canHelp) return { result: null, failure: encodeFailure(new Error('no')) };
            return { result: backportHandlers.objectBackportVersions({ objinst, objectVersions: objectVersions as Record<string, string> }), failure: null };
          },
        }));
        assert.deepEqual(await createClient(old, bus.client).grant({}, newContext()), oldGrant);
        assert.deepEqual(asked, ['grant 1.0', 'object_backport_versions 1.0']);
        canHelp = false;
        await assert.rejects(createClient(old, bus.client).grant({}, newContext()), (error) => {
          refusal('INTERNAL', new RegExp(`does not fit the contract.*version ${ConsoleGrant.version} of ConsoleGrant is not supported, 1\\.0 is`))(error);
          assert.equal((error as { details: Record<string, unknown> }).details['oslo'], 'IncompatibleObjectVersion');
          return true;
        });
        assert.equal(asked.length, 4);
      });

      it('are rewritten by every server for whoever asks it, with the original\'s refusals', async () => {
        await serveNew();
        const rewrite = async (method: string, args: JsonObject) => {
          const message = { method, args, namespace: null, version: '1.0', context: {} };
          return bus.client.request({ kind: 'call', topic: 'sessions', message, deadline: Date.now() + 5_000 });
        };
        const objinst = ConsoleGrant.toPrimitive(grant);
        const both = { ConsoleGrant: '1.0', ConsoleSession: '1.0', ConsoleConnection: '1.0' };
        const expected = OldGrant.toPrimitive(oldGrant);
        assert.deepEqual((await rewrite('object_backport_versions', { objinst, object_versions: both }))?.result, expected);
        assert.deepEqual((await rewrite('object_backport', { objinst, target_version: '1.0' }))?.result, expected);
        const refused = async (args: JsonObject) => (await rewrite('object_backport_versions', args))?.failure ?? '';
        assert.match(await refused({ objinst: { ...objinst, 'nova_object.name': 'NoSuchObject' }, object_versions: both }), /"class":"UnsupportedObjectError".*NoSuchObject/);
        assert.match(await refused({ objinst: { ...objinst, 'nova_object.version': NEVER }, object_versions: both }), /"class":"IncompatibleObjectVersion".*1\.999/);
        assert.match(await refused({ objinst, object_versions: { ...both, ConsoleGrant: NEVER } }), /"class":"InvalidTargetVersion".*1\.999/);
        for (const args of [{}, { objinst }, { objinst, object_versions: {} }, { objinst: 7, object_versions: both }, { objinst, object_versions: { ConsoleGrant: 7 } }, { objinst, object_versions: { ConsoleGrant: 'x' } }]) {
          assert.match(await refused(args as JsonObject), /"service_code":"INVALID_ARGUMENT"/, JSON.stringify(Object.keys(args)));
        }
      });
    });
  });
}

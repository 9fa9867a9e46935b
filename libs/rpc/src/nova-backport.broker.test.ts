/** Nova's own code at the other end: its services ask us about objects that they do not know yet, and we ask its conductor. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { ConsoleConnection } from '@gatehouse/objects/console-connection';
import { ConsoleGrant } from '@gatehouse/objects/console-grant';
import { ConsoleSession } from '@gatehouse/objects/console-session';
import { json, object } from '@gatehouse/objects/fields';
import { KeyPair } from '@gatehouse/objects/key-pair';
import { startRabbitmq } from '../../../test/servers/rabbitmq.ts';
import type { Rabbitmq } from '../../../test/servers/rabbitmq.ts';
import { createAmqpTransport } from './amqp-transport.ts';
import { createClient } from './client.ts';
import { refusal, until } from './conformance.ts';
import { newContext } from './context.ts';
import { defineContract, method } from './contract.ts';
import { serve } from './server.ts';
import type { RpcServer } from './server.ts';
import type { Transport } from './transport.ts';

const reader = defineContract({ topic: 'reader', version: '1.0', methods: { describe: method({ since: '1.0', args: { obj: object(ConsoleGrant) }, result: json() }) } });
const conductor = defineContract({ topic: 'conductor', version: '3.0', methods: {} });
const keys = defineContract({ topic: 'keys', version: '1.0', methods: { show: method({ since: '1.0', args: { keyPair: object(KeyPair) }, result: object(KeyPair) }) } });

const ID = '2f1bd9f0-6a9c-4c5b-9df4-0d2a61c8e5a4';
const when = new Date('2026-07-01T12:00:00Z');
const where = { instanceUuid: ID, host: 'h', port: 1, consoleType: 'serial' } as const;
const grant = ConsoleGrant.make({
  session: ConsoleSession.make({
    ...where, id: ID, proxy: 'p', clientAddress: '192.0.2.1', userId: null, projectId: null, access: 'full',
    startedAt: when, leaseExpires: when, endedAt: null, endReason: null, bytesIn: 7, bytesOut: 9, endingAt: null, endingReason: null,
  }),
  connection: ConsoleConnection.make({ ...where, tokenHash: null, accessUrl: null, options: {}, expires: null }),
  instanceName: 'web', endpoint: null, attachSecret: null, leaseSeconds: 15, resumeGrant: null,
});

describe('objects newer than their reader, with Nova at the other end', function () {
  this.timeout(90_000);
  let broker: Rabbitmq;
  let transport: Transport;
  const ends: (() => Promise<unknown>)[] = [];

  before(async () => {
    broker = await startRabbitmq();
    transport = createAmqpTransport({ url: broker.url, exchange: 'nova', connectionName: 'ours' });
  });

  afterEach(async () => {
    for (const end of ends.splice(0)) await end();
  });

  after(async () => {
    await transport?.close();
    await broker?.stop();
  });

  async function startNova(role: 'reader' | 'conductor'): Promise<void> {
    const script = fileURLToPath(new URL('./fixtures/nova_backport.py', import.meta.url));
    const child = spawn('/usr/bin/python3', [script, broker.url.replace(/^amqp:/, 'rabbit:'), 'nova', role], { stdio: ['pipe', 'pipe', 'pipe'] });
    let printed = '';
    let problems = '';
    child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (problems = (problems + chunk.toString()).slice(-8_192)));
    ends.push(async () => {
      const gone = child.exitCode === null ? once(child, 'exit') : null;
      child.stdin.end();
      await gone;
    });
    await until(() => printed.includes('serving') || child.exitCode !== null, 60_000);
    assert.equal(child.exitCode, null, problems);
  }

  const served = (server: RpcServer): void => void ends.push(() => server.drain());

  it('a service of Nova is refused what its conductor does not know either, and reads what we rewrite for it', async () => {
    await startNova('reader');
    served(await serve(conductor, transport, { server: 'ours', handlers: {} }));
    const known = await createClient(reader, transport).describe({ obj: grant }, newContext());
    assert.deepEqual(known, ['ConsoleGrant', '1.0', '1.0', ['host', 'id']]);
    // Its conductor is ours, which knows today's version and no more.
    const objinst = { ...ConsoleGrant.toPrimitive(grant), 'nova_object.version': '1.999' };
    const message = { method: 'describe', args: { obj: objinst }, namespace: null, version: '1.0', context: { request_id: 'req-x' } };
    const reply = await transport.request({ kind: 'call', topic: 'reader', message, deadline: Date.now() + 20_000 });
    assert.match(reply?.failure ?? '', /Version 1\.999 of ConsoleGrant is not supported/);
  });

  it('a server of ours reads a key pair that Nova\'s conductor has rewritten, and refuses it without one', async () => {
    await startNova('conductor');
    const show = { show: ({ keyPair }: { readonly keyPair: KeyPair }) => keyPair };
    served(await serve(keys, transport, { server: 'asks', handlers: show, backportPeer: conductor }));
    served(await serve(keys, transport, { server: 'alone', handlers: show }));
    const data = { id: 1, name: 'mykey', user_id: 'u', fingerprint: '1e:2c', public_key: 'ssh-rsa AAAA', type: 'ssh', created_at: null, updated_at: null, deleted_at: null, deleted: false };
    const keyPair = {
      'nova_object.name': 'KeyPair', 'nova_object.namespace': 'nova', 'nova_object.version': '1.5',
      'nova_object.data': { ...data, comment: 'from the future' }, 'nova_object.changes': ['comment'],
    };
    const ask = (server: string) => {
      const message = { method: 'show', args: { key_pair: keyPair }, namespace: null, version: '1.0', context: {} };
      return transport.request({ kind: 'call', topic: 'keys', server, message, deadline: Date.now() + 20_000 });
    };
    const rewritten = (await ask('asks'))?.result as Record<string, unknown>;
    assert.deepEqual([rewritten['nova_object.version'], rewritten['nova_object.data']], ['1.4', data]);
    assert.match((await ask('alone'))?.failure ?? '', /"class":"IncompatibleObjectVersion"/);
    await assert.rejects(createClient(keys, transport).show({ keyPair: { name: '', type: 7 } as never }, newContext()), refusal('INVALID_ARGUMENT'));
  });
});

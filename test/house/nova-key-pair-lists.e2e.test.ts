import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { get } from 'node:http';
import { fileURLToPath } from 'node:url';
import type { JsonObject } from '@gatehouse/objects/field';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import type { App } from '@gatehouse/runtime/app';
import type { RpcServer } from '@gatehouse/rpc/server';
import { systemClock } from '@gatehouse/runtime/clock';
import { silentLogger } from '@gatehouse/runtime/logger';
import { createMetrics } from '@gatehouse/runtime/metrics';
import pg from 'pg';
import { serveAgent, startTestApi } from '../../apps/api/src/test-api.ts';
import type { Ask, TestApi } from '../../apps/api/src/test-api.ts';
import { migrateDatabases } from '../../apps/cli/src/migrate-databases.ts';
import { startMetadata } from '../../apps/metadata/src/app.module.ts';
import { metadataConfig } from '../../apps/metadata/src/config.ts';
import { sign } from '../../apps/metadata/src/signature.ts';
import { startPostgresql } from '../servers/postgresql.ts';
import { startPythonLines } from '../servers/python-lines.ts';
import type { PythonLines } from '../servers/python-lines.ts';
import { KEYS } from './guest-world.ts';

const SECRET = 'of the proxy';

/** A KeyPair of Nova's, as python_objects.py shows one. */
interface TheirKeyPair {
  readonly $version: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

interface TheirList {
  readonly value: { readonly $object: string; readonly $version: string; readonly fields: { readonly objects: readonly TheirKeyPair[] } };
}

/** A KeyPair to be made by Nova's Python. */
interface Wanted {
  readonly $object: 'KeyPair';
  readonly fields: Readonly<Record<string, unknown>>;
  readonly changes?: readonly string[];
}

// Debian's package python3-nova: the objects that Nova itself stores in instance_extra.
describe('a KeyPairList in instance_extra', function () {
  this.timeout(90_000);
  const urls: string[] = [];
  let api: TestApi;
  let agent: RpcServer;
  let metadata: App;
  let python: PythonLines;
  let cell: pg.Client;

  before(async () => {
    const postgresql = await startPostgresql();
    const noted = async (): Promise<string> => {
      const url = await postgresql.createDatabase();
      urls.push(url);
      return url;
    };
    api = await startTestApi({ createDatabase: noted, stop: () => postgresql.stop() });
    agent = await serveAgent(api, 'host-a');
    const config = metadataConfig.parse({ metadataPort: '0', metadataName: 'metadata-1', metadataSecrets: SECRET, metadataRate: '0' });
    metadata = await startMetadata({ config, transport: createMemoryTransport(), cellDb: api.cellDb, log: silentLogger, metrics: createMetrics('test'), clock: systemClock });
    cell = new pg.Client(urls[1]);
    await cell.connect();
    python = startPythonLines(fileURLToPath(new URL('../../libs/objects/src/fixtures/python_objects.py', import.meta.url)));
  });
  after(async () => {
    await python?.stop();
    await cell?.end();
    await metadata?.drain();
    await agent?.drain();
    await api?.stop();
  });

  /** A row without its keys yet. */
  async function storeInstance(keyName: string | null = null, keyData: string | null = null): Promise<string> {
    const uuid = randomUUID();
    await api.cellDb.instances.create({
      uuid, projectId: 'proj', userId: 'alice', displayName: 'web', hostname: 'web', host: 'host-a', vmState: 'active', taskState: null,
      keyName, keyData, userData: null, metadata: {}, createdAt: new Date(),
    });
    return uuid;
  }

  async function storedText(uuid: string): Promise<string | null> {
    const { rows } = await cell.query<{ readonly keypairs: string | null }>('SELECT keypairs FROM instance_extra WHERE instance_uuid = $1', [uuid]);
    return rows[0]?.keypairs ?? null;
  }

  /** As Nova stores it: json.dumps(keypairs.obj_to_primitive()). */
  const storeText = (uuid: string, text: string): Promise<unknown> =>
    cell.query('INSERT INTO instance_extra (instance_uuid, keypairs, created_at) VALUES ($1, $2, now())', [uuid, text]);
  const writtenByNova = async (objects: readonly Wanted[], changes: readonly string[] = ['objects'], version?: string): Promise<string> =>
    (await python.ask({ do: 'write', object: { $object: 'KeyPairList', fields: { objects }, changes }, version })) as string;
  async function readByNova(text: string | null): Promise<readonly TheirKeyPair[]> {
    assert.ok(text !== null);
    const { value } = (await python.ask({ do: 'read', primitive: JSON.parse(text) as object })) as TheirList;
    assert.equal(value.$object, 'KeyPairList');
    return value.fields.objects;
  }

  function guestReads(uuid: string, path: string): Promise<string> {
    const headers = { 'X-Instance-ID': uuid, 'X-Tenant-ID': 'proj', 'X-Instance-ID-Signature': sign(SECRET, uuid) };
    return new Promise((resolve, reject) => {
      get(`${metadata.addresses[0]?.url}${path}`, { headers, agent: false }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk)).on('end', () => (response.statusCode === 200 ? resolve(text) : reject(new Error(`${response.statusCode} ${text}`))));
      }).on('error', reject);
    });
  }

  /** What its guest is told equals what Nova's Python finds in the same text. */
  async function isServed(uuid: string): Promise<void> {
    const theirs = (await readByNova(await storedText(uuid))).map(({ fields }) => fields);
    const told = JSON.parse(await guestReads(uuid, '/openstack/latest/meta_data.json')) as { keys?: object[]; public_keys?: object };
    const withText = theirs.filter(({ public_key: text }) => typeof text === 'string' && text !== '');
    // The oldest key pairs say no type: there was one only.
    assert.deepEqual(told.keys ?? [], withText.map(({ name, type = 'ssh', public_key: data }) => ({ name, type, data })));
    assert.deepEqual(told.public_keys ?? {}, Object.fromEntries(withText.map(({ name, public_key: text }) => [name, text])));
    for (const [index, { public_key: text }] of withText.entries()) assert.equal(await guestReads(uuid, `/latest/meta-data/public-keys/${index}/openssh-key`), text);
  }

  async function done(method: string, path: string, ask: Ask): Promise<unknown> {
    const answer = await api.ask(method, path, { version: '2.92', ...ask });
    assert.ok(answer.status < 300, `${method} ${path}: ${answer.text}`);
    return answer.json;
  }

  /** What Nova's Python must find of alice's key pair of that name: what the API says of it. */
  async function asShown(name: string): Promise<TheirKeyPair['fields']> {
    const { keypair } = (await done('GET', `/v2.1/os-keypairs/${encodeURIComponent(name)}`, {})) as { keypair: Record<string, unknown> };
    const { created_at: createdAt, ...fields } = keypair;
    return { ...fields, created_at: { $datetime: `${String(createdAt).slice(0, 19)}+00:00` } };
  }

  describe("of Nova's", () => {
    const full = (index: number, more: object = {}): Wanted => {
      const { name, type, publicKey, fingerprint } = KEYS[index]!;
      return { $object: 'KeyPair', fields: { id: 24 + index, name, type, public_key: publicKey, fingerprint, user_id: 'alice', created_at: '2026-11-21T19:40:32.123456Z', updated_at: null, deleted_at: null, deleted: false, ...more } };
    };
    const unsaved: Wanted = { $object: 'KeyPair', fields: { name: 'ünsaved', type: 'ssh', public_key: 'ssh-ed25519 AAAA', user_id: 'alice' }, changes: ['user_id', 'type', 'public_key', 'name'] };
    const cases: readonly (readonly [what: string, objects: readonly Wanted[], changes?: readonly string[]])[] = [
      ['nothing', []],
      ['one key, saved', [full(0)]],
      ['every kind of key, x509 and FIDO ones too', KEYS.map((_, index) => full(index))],
      ['a key that was never saved, its changes in some order', [unsaved]],
      ['a key with nulls', [full(1, { fingerprint: null, user_id: null, public_key: null, updated_at: '2026-11-22T00:00:00Z' })]],
      ['no changes at all', [full(0), unsaved], []],
    ];
    for (const [what, objects, changes] of cases) {
      it(`is served to its guest: ${what}`, async () => {
        const uuid = await storeInstance(KEYS[0]?.name, KEYS[0]?.publicKey);
        await storeText(uuid, await writtenByNova(objects, changes));
        await isServed(uuid);
      });
    }

    it('is served to its guest as the releases before wrote it: KeyPairList 1.2 and 1.3, KeyPair 1.3 and 1.4', async () => {
      const written = JSON.parse(await writtenByNova([full(0), full(4)])) as JsonObject;
      for (const [ofList, ofKeys] of [['1.2', '1.3'], ['1.2', '1.4'], ['1.3', '1.3'], ['1.3', '1.4']] as const) {
        const text = JSON.stringify(written, (name, value: unknown) => (name === 'nova_object.version' ? ofKeys : value)).replace(/("KeyPairList",.*?"nova_object\.version":)"1\.\d"/, `$1"${ofList}"`);
        const uuid = await storeInstance();
        await storeText(uuid, text);
        assert.deepEqual((await readByNova(text)).map(({ fields }) => fields['name']), ['laptop', 'windows'], `${ofList} ${ofKeys}`);
        await isServed(uuid);
      }
      const uuid = await storeInstance();
      await storeText(uuid, await writtenByNova([full(0)], ['objects'], '1.2'));
      await isServed(uuid);
    });
  });

  it("of ours, at a server's creation and when its keys change, is read by Nova field by field", async () => {
    for (const { name, type, publicKey } of KEYS) {
      // Names of the API are ASCII.
      const keypair = { name: asciiOf(name), type, public_key: publicKey };
      await done('POST', '/v2.1/os-keypairs', { body: { keypair } });
    }
    const names = KEYS.map(({ name }) => asciiOf(name));
    const { server: { id } } = (await done('POST', '/v2.1/servers', { body: { server: { name: 'x', key_name: names[0], key_names: names.slice(1) } } })) as { server: { id: string } };
    const { server: { id: keyless } } = (await done('POST', '/v2.1/servers', { body: { server: { name: 'y' } } })) as { server: { id: string } };
    const all = await Promise.all(names.map(asShown));
    assert.deepEqual((await readByNova(await storedText(id))).map(({ fields }) => fields), all);
    assert.deepEqual(await readByNova(await storedText(keyless)), []);
    await isServed(id);
    await done('PUT', `/v1/instances/${id}/keypairs`, { body: { keypairs: [names[4], names[3]] } });
    const read = await readByNova(await storedText(id));
    assert.deepEqual(read.map(({ fields }) => fields), [all[4], all[3]]);
    assert.deepEqual(read.map(({ $version }) => $version), ['1.4', '1.4']);
  });

  it('of the move from a cell to the API database is read by Nova field by field, and served', async () => {
    const moved = new Map<string, number>();
    for (const [index, { name, type, publicKey, fingerprint }] of KEYS.entries()) {
      await cell.query('INSERT INTO key_pairs (id, user_id, name, type, public_key, fingerprint, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)', [900 + index, 'mara', name, type, publicKey, fingerprint ?? 'ff:00', '2019-03-01T10:20:30.456']);
      const uuid = await storeInstance(name, publicKey);
      await cell.query("UPDATE instances SET user_id = 'mara' WHERE uuid = $1", [uuid]);
      await storeUnmigrated(uuid);
      moved.set(uuid, index);
    }
    const keyless = await storeInstance();
    await storeUnmigrated(keyless);
    const printed: string[] = [];
    const surroundings = { signal: new AbortController().signal, clock: () => new Date(), print: (line: string) => void printed.push(line), screen: null, isOneTerminal: false };
    const options = { maxCount: null, isDryRun: false, retriesSetAside: false, isJson: false };
    const settings = { apiDatabaseUrl: urls[0]!, cellDatabaseUrls: null, cellDatabaseUrl: urls[1]! };
    assert.equal(await migrateDatabases(options, () => settings, surroundings), 0, printed.join('\n'));
    for (const [uuid, index] of moved) {
      const [{ $version, fields } = { $version: '', fields: {} }, ...others] = await readByNova(await storedText(uuid));
      const { name, type, publicKey } = KEYS[index]!;
      assert.deepEqual([$version, others.length], ['1.4', 0]);
      const { fingerprint, ...rest } = fields;
      assert.deepEqual(rest, {
        id: 900 + index, name, type, public_key: publicKey, user_id: 'mara', created_at: { $datetime: '2019-03-01T10:20:30+00:00' }, updated_at: null, deleted_at: null, deleted: false,
      });
      assert.match(String(fingerprint), /^[0-9a-f]{2}(:[0-9a-f]{2})+$/);
      await isServed(uuid);
    }
    assert.deepEqual(await readByNova(await storedText(keyless)), []);
  });

  const storeUnmigrated = (uuid: string): Promise<unknown> => cell.query('INSERT INTO instance_extra (instance_uuid, created_at) VALUES ($1, now())', [uuid]);
});

function asciiOf(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9]+/g, '-').replaceAll(/^-|-$/g, '');
}

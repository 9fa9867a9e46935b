/** Nova's own Python objects at the other end: what either side writes is read by the other, field by field. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { startPythonLines } from '../../../test/servers/python-lines.ts';
import type { PythonLines } from '../../../test/servers/python-lines.ts';
import { ConsoleConnection } from './console-connection.ts';
import { ConsoleGrant } from './console-grant.ts';
import type { AnyDefinition, PrimitiveOptions } from './define-object.ts';
import { defineObject } from './define-object.ts';
import * as f from './fields.ts';
import type { JsonObject } from './field.ts';
import { pythonDescription, pythonValue } from './fixtures/python-description.ts';
import { Instance } from './instance.ts';
import { KeyPair } from './key-pair.ts';
import { KeyPairList } from './key-pair-list.ts';
import { wireName } from './record-codec.ts';
import { OBJECTS } from './registry.ts';

interface Read {
  readonly value: object;
  readonly changes: readonly string[];
  /** The primitive that Python makes of what it read. */
  readonly again: string;
}

// Nested in every way that fields allow, for Python classes built from this definition.
const rackFields = {
  grants: f.listOf(f.object(ConsoleGrant)),
  main: f.object(ConsoleConnection).nullable(),
  keys: f.object(KeyPairList),
  rows: f.listOf(f.listOf(f.integer())),
  byHost: f.mapOf(f.listOf(f.string())),
  ports: f.setOf(f.integer()),
  names: f.setOf(f.string()).nullable(),
  at: f.datetime(),
  moments: f.listOf(f.datetime()),
  unset: f.string().optional(),
  spare: f.since('1.1', f.listOf(f.object(ConsoleConnection)), []),
  owner: f.since('1.3', f.string().nullable(), null),
};
const Rack = defineObject('Rack', '1.3', rackFields, {
  relations: {
    grants: [['1.0', '1.0'], ['1.2', '1.1']],
    main: [['1.0', '1.0']],
    keys: [['1.0', '1.1'], ['1.1', '1.3']],
    spare: [['1.1', '1.0']],
  },
});

function fullRack() {
  const grants = Object.values(golden('ConsoleGrant', ConsoleGrant.version)).map((payload) => ConsoleGrant.fromPrimitive(payload));
  return Rack.make({
    grants,
    main: grants[0]?.connection ?? null,
    keys: KeyPairList.fromPrimitive(golden('KeyPairList', '1.3').full),
    rows: [[1, 2], [], [3]],
    byHost: { a: ['x', 'é🗝'], b: [] },
    ports: new Set([5900, 1, 65_535]),
    names: null,
    at: new Date('2026-07-01T12:00:00.987Z'),
    moments: [new Date('1999-12-31T23:59:59Z')],
    spare: grants.map(({ connection }) => connection),
    owner: null,
  });
}

const RELEASED = new URL('../test-vectors/released/', import.meta.url);
const golden = (name: string, version: string) => JSON.parse(readFileSync(new URL(`${name}/${version}.json`, RELEASED), 'utf8')) as Record<'full' | 'least', JsonObject>;

/** A primitive whose `changes` and sets are in order: they have none on the wire. */
function ordered(primitive: unknown, sets: readonly string[] = []): unknown {
  if (Array.isArray(primitive)) return primitive.map((each) => ordered(each, sets));
  if (typeof primitive !== 'object' || primitive === null) return primitive;
  return Object.fromEntries(
    Object.entries(primitive).map(([name, each]) => [name, Array.isArray(each) && (name === 'nova_object.changes' || sets.includes(name)) ? (each as unknown[]).toSorted() : ordered(each, sets)]),
  );
}

describe("Nova's Python objects and ours", function () {
  this.timeout(90_000);
  let python: PythonLines;
  const write = async (object: object, version?: string): Promise<JsonObject> => JSON.parse((await python.ask({ do: 'write', object, version })) as string) as JsonObject;
  const read = async (primitive: object): Promise<Read> => (await python.ask({ do: 'read', primitive })) as Read;

  /** Ours, read by Python: every field is equal, and Python writes the same again. */
  async function isReadByPython(definition: AnyDefinition, value: unknown, sets: readonly string[] = []): Promise<void> {
    const primitive = definition.toPrimitive(value as never);
    const found = await read(primitive);
    assert.deepEqual(found.value, pythonValue(definition, value), definition.name);
    assert.deepEqual(ordered(JSON.parse(found.again), sets), ordered(primitive, sets), definition.name);
  }

  before(async () => {
    python = startPythonLines(fileURLToPath(new URL('fixtures/python_objects.py', import.meta.url)));
    const descriptions = [...Object.values(OBJECTS), Rack as AnyDefinition].map(pythonDescription);
    assert.deepEqual(await python.ask({ do: 'register', descriptions }), ['ConsoleConnection', 'ConsoleGrant', 'ConsoleSession', 'ConsoleSessionEvent', 'ConsoleSessionEvents', 'ConsoleSessionUse', 'Rack']);
  });

  after(() => python?.stop());

  it('refuse alike: a newer version, another namespace, a field that takes no null', async () => {
    const { full } = golden('KeyPair', '1.4');
    const data = full['nova_object.data'] as JsonObject;
    for (const [wrong, raised] of [
      [{ ...full, 'nova_object.version': '1.5' }, /IncompatibleObjectVersion/],
      [{ ...full, 'nova_object.version': '2.0' }, /IncompatibleObjectVersion/],
      [{ ...full, 'nova_object.namespace': 'cinder' }, /UnsupportedObjectError/],
      ...['1.10', '0.9', '1.5.1'].map((version) => [{ ...full, 'nova_object.version': version }, /IncompatibleObjectVersion/] as const),
      ...['', '1.x', null, []].map((version) => [{ ...full, 'nova_object.version': version }, /Error|InvalidVersion/] as const),
      [{ ...full, 'nova_object.name': 'Nothing' }, /UnsupportedObjectError/],
      [{ ...full, 'nova_object.data': null }, /TypeError/],
      [{ ...full, 'nova_object.data': { ...data, name: null } }, /cannot be None/],
      [{ ...full, 'nova_object.data': { ...data, created_at: '2016-12-31T23:59:60Z' } }, /ValueError/],
      [{ ...full, 'nova_object.data': { ...data, created_at: 5 } }, /ValueError/],
    ] as const) {
      await assert.rejects(read(wrong), raised);
      assert.throws(() => KeyPair.fromPrimitive(wrong), { code: 'INVALID_ARGUMENT' });
    }
  });

  it('read alike: older versions, unknown names, changes that are none, moments in other forms', async () => {
    const { least } = golden('KeyPair', '1.4');
    const data = least['nova_object.data'] as JsonObject;
    const others: readonly JsonObject[] = [
      { later: { a: 1 }, constructor: 2 },
      { id: 0, created_at: null },
      { created_at: '2026-07-01 12:00' },
      { created_at: '20260701T120000.123456789012-0130' },
    ];
    const payloads: readonly JsonObject[] = [
      ...['1.2', '1.3', '1.04'].map((version) => ({ ...least, 'nova_object.version': version })),
      { ...least, 'nova_object.later': 1, other: [] },
      ...others.map((more) => ({ ...least, 'nova_object.data': { ...data, ...more } })),
      ...[[], ['name'], ['name', 'name', 'bogus']].map((changes) => ({ ...least, 'nova_object.changes': changes })),
    ];
    for (const payload of payloads) {
      const found = await read(payload);
      const ours = KeyPair.toPrimitive(KeyPair.fromPrimitive(payload), { version: payload['nova_object.version'] as string });
      assert.deepEqual(ordered(ours), ordered(JSON.parse(found.again)), JSON.stringify(payload));
    }
  });

  it('a key pair list that Nova wrote is read and written again as it was, changes included', async () => {
    const key = { $object: 'KeyPair', fields: { id: 24, name: 'laptop é 🗝', user_id: 'alice', fingerprint: null, public_key: 'ssh-ed25519 AAAA', type: 'ssh', created_at: '2026-07-01T12:00:00.987654Z', deleted: false } };
    const changed = { $object: 'KeyPair', fields: { name: 'new', type: 'x509' }, changes: ['name', 'type'] };
    for (const objects of [[], [key], [key, changed]]) {
      for (const changes of [[], ['objects']]) {
        const written = await write({ $object: 'KeyPairList', fields: { objects }, changes });
        const list = KeyPairList.fromPrimitive(written);
        assert.deepEqual(ordered(KeyPairList.toPrimitive(list)), ordered(written));
        assert.equal(list.objects[0]?.createdAt?.toISOString(), objects.length > 0 ? '2026-07-01T12:00:00.000Z' : undefined);
      }
    }
  });

  it('a key pair list that Nova wrote for an older reader is read, and ours for it is equal', async () => {
    const fields = { name: 'k', type: 'ssh', user_id: 'alice' };
    for (const version of ['1.0', '1.1', '1.2', '1.3', '1.4']) {
      const written = await write({ $object: 'KeyPair', fields }, version);
      assert.deepEqual(KeyPair.toPrimitive(KeyPair.make({ name: 'k', type: 'ssh', userId: 'alice' }), { version }), written);
      assert.deepEqual(KeyPair.fromPrimitive(written), { name: 'k', type: 'ssh', userId: 'alice' });
    }
    const list = KeyPairList.make({ objects: [{ name: 'k', type: 'ssh', userId: 'alice' }] });
    for (const version of ['1.0', '1.2', '1.3']) {
      const written = await write({ $object: 'KeyPairList', fields: { objects: [{ $object: 'KeyPair', fields }] } }, version);
      assert.deepEqual(KeyPairList.toPrimitive(list, { version }), written, version);
      assert.deepEqual(KeyPairList.fromPrimitive(written), list);
    }
  });

  it('every golden payload of ours is read by Python, and every field is equal', async () => {
    for (const name of readdirSync(RELEASED)) {
      const definition = OBJECTS[name] as AnyDefinition;
      for (const payload of Object.values(golden(name, definition.version))) await isReadByPython(definition, definition.fromPrimitive(payload));
      // An older version stays the older one in Python's hands.
      for (const file of readdirSync(new URL(`${name}/`, RELEASED))) {
        const { full } = golden(name, file.replace('.json', ''));
        assert.deepEqual(JSON.parse((await read(full)).again), full, `${name} ${file}`);
      }
    }
  });

  it('what is changed here is changed there', async () => {
    const before = KeyPair.fromPrimitive(golden('KeyPair', '1.4').full);
    const after = KeyPair.change(before, { name: 'renamed', publicKey: null });
    const found = await read(KeyPair.toPrimitive(after));
    assert.deepEqual(found.changes, ['name', 'public_key']);
    assert.deepEqual((await read(KeyPairList.toPrimitive(KeyPairList.make({ objects: [after] })))).changes, ['objects']);
  });

  it("an instance of Nova's with every field and every object inside is read; what we write of it is what Nova wrote", async () => {
    const written = JSON.parse((await python.ask({ do: 'full', name: 'Instance' })) as string) as JsonObject;
    const theirs = written['nova_object.data'] as JsonObject;
    assert.ok(Object.keys(theirs).length > 65, 'Nova set nearly all of its fields');
    assert.equal(written['nova_object.version'], Instance.version);

    const instance = Instance.fromPrimitive(written);
    const ours = Instance.toPrimitive(instance);
    const names = Object.keys(Instance.fields).map(wireName);
    assert.deepEqual(ordered(ours['nova_object.data']), ordered(Object.fromEntries(names.map((name) => [name, theirs[name]]))));
    assert.deepEqual((ours['nova_object.changes'] as string[]).toSorted(), names.toSorted());
    assert.equal(instance.keypairs?.objects[0]?.type, 'text');
    await isReadByPython(Instance as AnyDefinition, instance);
  });

  it("an instance of Nova's with nothing loaded that Nova loads only when asked is read, and what is unset stays unset", async () => {
    const columns = Object.keys(Instance.fields).map(wireName).filter((name) => !['id', 'uuid', 'metadata', 'keypairs', 'deleted'].includes(name));
    const fields = { ...Object.fromEntries(columns.map((name) => [name, null])), id: 7, uuid: '2f1bd9f0-6a9c-4c5b-9df4-0d2a61c8e5a4', deleted: false };
    const written = await write({ $object: 'Instance', fields });
    const instance = Instance.fromPrimitive(written);
    assert.deepEqual([instance.metadata, instance.keypairs], [undefined, undefined]);
    assert.deepEqual(Instance.toPrimitive(instance), written);
  });

  it('objects of ours, in lists, maps and each other, go to Python and come back', async () => {
    const rack = fullRack();
    await isReadByPython(Rack as AnyDefinition, rack, ['ports', 'names']);

    const { again } = await read(Rack.toPrimitive(rack));
    assert.deepEqual(Rack.fromPrimitive(JSON.parse(again)), { ...rack, at: new Date('2026-07-01T12:00:00Z') });
  });

  it('declare for older readers what Python programs by hand: the same is written for each version and manifest', async () => {
    const rack = Rack.change(fullRack(), { owner: 'alice', spare: [], rows: [] });
    const readers: readonly PrimitiveOptions[] = [
      ...['1.0', '1.1', '1.2', '1.3'].map((version) => ({ version })),
      { version: '1.3', manifest: { ConsoleGrant: '1.0', ConsoleSession: '1.0', KeyPair: '1.2' } },
      { version: '1.0', manifest: { ConsoleGrant: '1.1', ConsoleSession: '1.0', ConsoleConnection: '1.0', KeyPairList: '1.3', KeyPair: '1.1' } },
      { version: '1.2', manifest: { ConsoleSession: '1.0' } },
    ];
    const primitive = Rack.toPrimitive(rack);
    for (const reader of readers) {
      const theirs = JSON.parse((await python.ask({ do: 'backport', primitive, ...reader })) as string) as JsonObject;
      assert.deepEqual(ordered(Rack.toPrimitive(rack, reader), ['ports']), ordered(theirs, ['ports']), JSON.stringify(reader));
    }
    await assert.rejects(python.ask({ do: 'backport', primitive, version: '1.4' }), /InvalidTargetVersion/);
    assert.throws(() => Rack.toPrimitive(rack, { version: '1.4' }), { code: 'INVALID_ARGUMENT' });
  });

  it('say the same of the versions that a reader knows', async () => {
    for (const definition of [ConsoleGrant, KeyPairList, Rack]) assert.deepEqual(definition.manifest, await python.ask({ do: 'manifest', name: definition.name }));
    const theirs = (await python.ask({ do: 'manifest', name: 'Instance' })) as Record<string, string>;
    for (const [name, version] of Object.entries(Instance.manifest)) assert.equal(version, theirs[name], name);
  });

  it('a moment that Python has to the microsecond, or in another zone, arrives to the second and in UTC', async () => {
    const fields = { grants: [], main: null, keys: { $object: 'KeyPairList', fields: { objects: [] } }, rows: [], by_host: {}, ports: [1, 2], names: ['a'], at: '2026-07-01T12:00:00.987654', moments: ['2026-07-01T12:00:00+02:00'], spare: [], owner: null };
    const written = await write({ $object: 'Rack', fields });
    const rack = Rack.fromPrimitive(written);
    assert.equal(rack.at.toISOString(), '2026-07-01T12:00:00.000Z');
    assert.equal(rack.moments[0]?.toISOString(), '2026-07-01T10:00:00.000Z');
    assert.deepEqual([rack.ports, rack.names], [new Set([1, 2]), new Set(['a'])]);
    assert.deepEqual(ordered((written['nova_object.data'] as JsonObject)['ports']), [1, 2]);
  });
});

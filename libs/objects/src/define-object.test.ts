import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ServiceError } from '@gatehouse/errors/service-error';
import { ConsoleConnection } from './console-connection.ts';
import { defineObject } from './define-object.ts';
import * as f from './fields.ts';
import { refusalOf } from './fixtures/refusal.ts';
import { Instance } from './instance.ts';
import { KeyPairList } from './key-pair-list.ts';

const connection: ConsoleConnection = {
  instanceUuid: '2f1bd9f0-6a9c-4c5b-9df4-0d2a61c8e5a4',
  host: '192.0.2.10',
  port: 5900,
  consoleType: 'novnc',
  tokenHash: null,
  accessUrl: null,
  options: { transport: 'tcp' },
  expires: new Date('2026-07-01T12:00:00Z'),
};

const refusal = (work: () => unknown): string => refusalOf(work).message;

describe('an object definition', () => {
  const primitive = () => structuredClone(ConsoleConnection.toPrimitive(connection)) as Record<string, Record<string, unknown>>;
  const withData = (data: Record<string, unknown>) => ({ ...primitive(), 'nova_object.data': { ...primitive()['nova_object.data'], ...data } });

  it('names the path of a wrong value, from the wire and from code', () => {
    assert.equal(refusal(() => ConsoleConnection.fromPrimitive(withData({ port: 70_000 }))), 'ConsoleConnection.port: 70000 is above 65535');
    assert.equal(refusal(() => ConsoleConnection.make({ ...connection, port: 70_000 })), 'ConsoleConnection.port: 70000 is above 65535');
    assert.match(refusal(() => ConsoleConnection.fromPrimitive(withData({ options: { a: { b: 1 } } }))), /^ConsoleConnection\.options\["a"\]: expected a string, got an object/);
  });

  it('never repeats a text it refuses, for it could be a secret', () => {
    assert.ok(!refusal(() => ConsoleConnection.fromPrimitive(withData({ port: 'hunter2' }))).includes('hunter2'));
    assert.ok(!refusal(() => ConsoleConnection.fromPrimitive(withData({ instance_uuid: 'hunter2' }))).includes('hunter2'));
  });

  it('refuses another object, namespace, major and a newer minor', () => {
    for (const [key, value] of [['name', 'KeyPair'], ['namespace', 'cinder'], ['version', '2.0'], ['version', '1.1'], ['version', 'x'], ['version', null]]) {
      refusal(() => ConsoleConnection.fromPrimitive({ ...primitive(), [`nova_object.${key}`]: value }));
    }
    for (const not of [null, 1, 'x', [], {}]) refusal(() => ConsoleConnection.fromPrimitive(not));
  });

  it('refuses a missing field and passes over an unknown one', () => {
    const { host: _gone, ...rest } = primitive()['nova_object.data'] as Record<string, unknown>;
    assert.equal(refusal(() => ConsoleConnection.fromPrimitive({ ...primitive(), 'nova_object.data': rest })), 'ConsoleConnection.host: is missing');
    assert.deepEqual(ConsoleConnection.fromPrimitive(withData({ flavour: 'new' })), connection);
  });

  it('refuses __proto__ in a map and leaves every prototype alone', () => {
    const hostile: unknown = JSON.parse('{"__proto__": "x"}');
    refusal(() => ConsoleConnection.fromPrimitive(withData({ options: hostile })));
    assert.equal(({} as Record<string, unknown>)['x'], undefined);
  });

  it('refuses lists, texts and JSON above their limits', () => {
    const Box = defineObject('Box', '1.0', { list: f.listOf(f.integer(), { maxItems: 2 }), text: f.string({ maxLength: 3 }), free: f.json() });
    let deep: unknown = 1;
    for (let i = 0; i < 40; i += 1) deep = [deep];
    refusal(() => Box.make({ list: [1, 2, 3], text: 'abc', free: null }));
    refusal(() => Box.make({ list: [], text: 'abcd', free: null }));
    refusal(() => Box.make({ list: [], text: '', free: deep as null }));
    const values = new Array<number>(f.JSON_VALUES_MAX).fill(0);
    assert.match(refusal(() => Box.make({ list: [], text: '', free: [[values], 1] })), /^Box\.free: more than 100000 values/);
    assert.match(refusal(() => Box.make({ list: [], text: '', free: ['x'.repeat(f.STRING_LENGTH_MAX + 1)] })), /^Box\.free: 1048577 characters are more than 1048576/);
    assert.equal((Box.make({ list: [], text: '', free: values.slice(1) }).free as number[]).length, f.JSON_VALUES_MAX - 1);
  });

  it('refuses keys that are no text or have no end, and does not repeat them', () => {
    const Box = defineObject('Box', '1.0', { map: f.mapOf(f.integer()), free: f.json() });
    for (const [key, problem] of [['\ud800', /half a surrogate pair/], ['k'.repeat(f.STRING_LENGTH_MAX + 1), /a key of 1048577 characters/]] as const) {
      for (const wrong of [{ map: { [key]: 1 }, free: null }, { map: {}, free: [{ [key]: 1 }] }]) {
        const message = refusal(() => Box.make(wrong));
        assert.match(message, problem);
        assert.ok(message.length < 200);
      }
    }
    assert.deepEqual(Object.keys(Box.make({ map: { constructor: 1, toString: 2, '': 3 }, free: { valueOf: 1 } }).map), ['constructor', 'toString', '']);
  });

  it('refuses what is no set, number, word or moment of its field, and reads what is', () => {
    const Box = defineObject('Box', '1.0', { ports: f.setOf(f.integer()), load: f.float(), mode: f.enumeration(['a', 'b']), at: f.datetime(), on: f.boolean().default(true) });
    const data = { ports: [1, 2, 2], load: 0.5, mode: 'a', at: '2026-07-01T14:00:00+02:00' };
    const read = (change: object) => Box.fromPrimitive({ 'nova_object.name': 'Box', 'nova_object.namespace': 'nova', 'nova_object.version': '1.0', 'nova_object.data': { ...data, ...change } });
    assert.match(refusal(() => read({ ports: ['x'] })), /^Box\.ports\[0\]: expected an integer/);
    assert.match(refusal(() => read({ load: 'much' })), /^Box\.load: expected a finite number/);
    assert.match(refusal(() => read({ mode: 'c' })), /^Box\.mode: expected one of a, b, got "c"/);
    assert.match(refusal(() => read({ at: '2026-13-01T00:00:00Z' })), /^Box\.at: expected a time of the calendar/);
    assert.match(refusal(() => read({ on: 'yes' })), /^Box\.on: expected true or false/);
    const box = read({});
    assert.deepEqual([...box.ports], [1, 2]);
    assert.equal(box.on, true);
    assert.deepEqual(Box.toPrimitive(box)['nova_object.data'], { ports: [1, 2], load: 0.5, mode: 'a', at: '2026-07-01T14:00:00+02:00', on: true });
    assert.equal(box.at.getTime(), Date.parse('2026-07-01T12:00:00Z'));
  });

  it('writes the primitive that oslo writes, and reads it back', () => {
    assert.deepEqual(ConsoleConnection.toPrimitive(connection), {
      'nova_object.name': 'ConsoleConnection',
      'nova_object.namespace': 'nova',
      'nova_object.version': '1.0',
      'nova_object.data': {
        instance_uuid: '2f1bd9f0-6a9c-4c5b-9df4-0d2a61c8e5a4',
        host: '192.0.2.10',
        port: 5900,
        console_type: 'novnc',
        token_hash: null,
        access_url: null,
        options: { transport: 'tcp' },
        expires: '2026-07-01T12:00:00Z',
      },
    });
    assert.deepEqual(ConsoleConnection.fromPrimitive(primitive()), connection);
  });

  it('keeps unset fields unset, which differs from null', () => {
    const list = KeyPairList.make({ objects: [{ name: 'k', type: 'ssh', publicKey: null }] });
    const data = KeyPairList.toPrimitive(list)['nova_object.data'] as { objects: Record<string, unknown>[] };
    assert.deepEqual(data.objects[0]?.['nova_object.data'], { name: 'k', type: 'ssh', public_key: null });
  });

  it('reads what Nova 26 wrote into instance_extra', () => {
    const text =
      '{"nova_object.name": "KeyPairList", "nova_object.namespace": "nova", "nova_object.version": "1.3", "nova_object.data": {"objects": [{"nova_object.name": "KeyPair", "nova_object.namespace": "nova", "nova_object.version": "1.4", "nova_object.data": {"id": 24, "name": "t11", "user_id": "alice", "fingerprint": "2e:df", "public_key": "ssh-rsa AAAAB3", "type": "ssh", "created_at": "2026-11-21T19:40:32Z", "updated_at": null, "deleted_at": null, "deleted": false}}]}, "nova_object.changes": ["objects"]}';
    const list = KeyPairList.fromPrimitive(JSON.parse(text));
    assert.equal(list.objects[0]?.id, 24);
    assert.deepEqual(KeyPairList.toPrimitive(list), JSON.parse(text));
  });

  it('is frozen once made', () => {
    assert.ok(Object.isFrozen(ConsoleConnection.make(connection)));
    assert.ok(Object.isFrozen(ConsoleConnection.make(connection).options));
  });

  it('refuses or reads any JSON, and fails in no other way', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(...Object.keys(Instance.fields)), (value, name) => {
        for (const candidate of [value, { ...primitive(), 'nova_object.data': value }, withData({ [name]: value })]) {
          try {
            ConsoleConnection.fromPrimitive(candidate);
          } catch (error) {
            assert.ok(error instanceof ServiceError, String(error));
          }
        }
      }),
      { seed: 20260701 },
    );
  });
});

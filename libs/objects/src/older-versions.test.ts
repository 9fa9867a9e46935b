import assert from 'node:assert/strict';
import { backport } from './backport.ts';
import { ConsoleGrant } from './console-grant.ts';
import { ConsoleSession } from './console-session.ts';
import { defineObject } from './define-object.ts';
import { enumeration, integer, listOf, mapOf, object, since, string } from './fields.ts';
import type { JsonObject } from './field.ts';
import { refusalOf } from './fixtures/refusal.ts';
import { seedsOf } from './fixtures/seeds.ts';
import { compareVersions } from './object-version.ts';
import { recordCodec } from './record-codec.ts';

const Port = defineObject('Port', '1.2', { number: integer(), protocol: since('1.1', string(), 'tcp'), label: since('1.2', string().nullable().optional(), null) });

const rackFields = { main: object(Port), spare: object(Port).nullable().optional(), more: listOf(object(Port)).optional() };
const Rack = defineObject('Rack', '1.3', rackFields, {
  relations: {
    main: [
      ['1.0', '1.0'],
      ['1.2', '1.1'],
      ['1.3', '1.2'],
    ],
    spare: [['1.1', '1.0']],
    more: [['1.0', '1.0']],
  },
});
/** Without a word of which Port goes with which version. */
const Shelf = defineObject('Shelf', '1.1', { main: object(Port).optional(), size: integer() });
const Ports = defineObject('Ports', '1.1', { objects: listOf(object(Port)) }, { childVersions: {} });

/** Its mode was a number once. */
const MODES = ['off', 'on'] as const;
const Switch = defineObject(
  'Switch',
  '1.1',
  { mode: enumeration(MODES) },
  {
    backward(data, version) {
      if (compareVersions(version, '1.1') < 0) data['mode'] = MODES.indexOf(data['mode'] as 'on');
    },
    forward(data, version) {
      if (compareVersions(version, '1.1') < 0) data['mode'] = MODES[data['mode'] as number];
    },
  },
);

const port = Port.make({ number: 1, protocol: 'udp', label: 'a' });
const dataOf = (primitive: unknown): JsonObject => (primitive as JsonObject)['nova_object.data'] as JsonObject;
const versionOf = (primitive: unknown): unknown => (primitive as JsonObject)['nova_object.version'];
const primitiveOf = (name: string, version: string, data: object): unknown => ({ 'nova_object.name': name, 'nova_object.namespace': 'nova', 'nova_object.version': version, 'nova_object.data': data });

describe('a payload of another version', () => {
  it('is refused when its minor is newer or its major another, with what oslo says of it', () => {
    for (const version of ['1.3', '1.10', '2.0', '0.9', '1.3.1']) {
      const { details, message } = refusalOf(() => Port.fromPrimitive(primitiveOf('Port', version, { number: 1 })));
      assert.deepEqual([details['oslo'], details['objname'], details['supported']], ['IncompatibleObjectVersion', 'Port', '1.2'], message);
      assert.equal(details['received'], version.split('.').slice(0, 2).join('.'));
    }
  });

  it('is refused as another object or of another namespace, with what oslo says of it', () => {
    assert.deepEqual(refusalOf(() => Port.fromPrimitive(primitiveOf('Rack', '1.0', {}))).details, { path: 'Port', oslo: 'UnsupportedObjectError', objtype: 'Rack' });
    const foreign = { ...(primitiveOf('Port', '1.2', {}) as object), 'nova_object.namespace': 'cinder' };
    assert.deepEqual(refusalOf(() => Port.fromPrimitive(foreign)).details, { path: 'Port', oslo: 'UnsupportedObjectError', objtype: 'cinder.Port' });
  });

  it('is refused when it lacks what its own version has', () => {
    assert.equal(refusalOf(() => Port.fromPrimitive(primitiveOf('Port', '1.1', { number: 1 }))).message, 'Port.protocol: is missing');
  });

  it('names the whole path of what is wrong inside of it', () => {
    const wrong = primitiveOf('Rack', '1.3', { main: Port.toPrimitive(port), more: [Port.toPrimitive(port), primitiveOf('Port', '9.0', {})] });
    const { details, message } = refusalOf(() => Rack.fromPrimitive(wrong));
    assert.equal(message, 'Rack.more[1]: version 9.0 of Port is not supported, 1.2 is');
    assert.equal(details['path'], 'Rack.more[1]');
  });

  it('means what its fields were declared to mean when they came', () => {
    assert.deepEqual(Port.fromPrimitive(primitiveOf('Port', '1.0', { number: 1 })), { number: 1, protocol: 'tcp', label: null });
    assert.deepEqual(Port.fromPrimitive(primitiveOf('Port', '1.1', { number: 1, protocol: 'udp' })), { number: 1, protocol: 'udp', label: null });
    assert.deepEqual(Port.fromPrimitive(primitiveOf('Port', '1.2', { number: 1, protocol: 'udp' })), { number: 1, protocol: 'udp' });
  });

  it('is read with a third part of its version as without', () => {
    assert.deepEqual(Port.fromPrimitive(primitiveOf('Port', '1.2.7', { number: 1, protocol: 'udp' })), { number: 1, protocol: 'udp' });
    assert.deepEqual(Port.fromPrimitive(primitiveOf('Port', '1.0.7', { number: 1 })).protocol, 'tcp');
  });

  it('is brought forward by code where more than a field was added', () => {
    assert.deepEqual(Switch.fromPrimitive(primitiveOf('Switch', '1.0', { mode: 1 })), { mode: 'on' });
    assert.match(refusalOf(() => Switch.fromPrimitive(primitiveOf('Switch', '1.0', { mode: 7 }))).message, /^Switch\.mode: is missing/);
    refusalOf(() => Switch.fromPrimitive(primitiveOf('Switch', '1.0', [] as object)));
  });
});

describe('an object for an older reader', () => {
  it('cannot have a field that came with a version after its own', () => {
    assert.equal(refusalOf(() => defineObject('Lamp', '1.0', { isOn: since('1.1', integer(), 0) })).message, 'Lamp.is_on: came with 1.1, and the object is still 1.0: give it that version');
  });

  it('is refused in a version newer than ours, or in none', () => {
    assert.equal(refusalOf(() => Port.toPrimitive(port, { version: '1.3' })).details['oslo'], 'InvalidTargetVersion');
    assert.equal(refusalOf(() => Port.toPrimitive(port, { version: '1.2.1' })).details['oslo'], 'InvalidTargetVersion');
    assert.match(refusalOf(() => Port.toPrimitive(port, { version: 'x' })).message, /expected a version/);
  });

  it('is refused when neither a manifest nor a relation says what goes inside', () => {
    const shelf = Shelf.make({ main: port, size: 1 });
    const { details, message } = refusalOf(() => Shelf.toPrimitive(shelf, { version: '1.0' }));
    assert.deepEqual([details['oslo'], details['reason'], details['path']], ['ObjectActionError', 'No rule for main', 'Shelf.main'], message);
    assert.deepEqual(dataOf(Shelf.toPrimitive(Shelf.make({ size: 1 }), { version: '1.0' })), { size: 1 });
  });

  it('lacks the fields that came later', () => {
    assert.deepEqual(dataOf(Port.toPrimitive(port, { version: '1.1' })), { number: 1, protocol: 'udp' });
    assert.deepEqual(dataOf(Port.toPrimitive(port, { version: '1.1.5' })), { number: 1, protocol: 'udp' });
    assert.deepEqual(dataOf(Port.toPrimitive(port, { version: '1.0' })), { number: 1 });
    assert.deepEqual(dataOf(Port.toPrimitive(port, { version: '0.9' })), { number: 1 });
  });

  it('holds others in the versions that went with its own, also between two that are named, and not before they existed', () => {
    const rack = Rack.make({ main: port, spare: port, more: [port] });
    const inside = (version: string): unknown[] => {
      const { main, spare, more } = dataOf(Rack.toPrimitive(rack, { version }));
      return [versionOf(main), spare === undefined ? 'none' : versionOf(spare), (more as unknown[]).map(versionOf)];
    };
    assert.deepEqual(inside('1.0'), ['1.0', 'none', ['1.0']]);
    assert.deepEqual(inside('1.1'), ['1.0', '1.0', ['1.2']]);
    assert.deepEqual(inside('1.2'), ['1.1', '1.2', ['1.2']]);
    assert.deepEqual(inside('1.3'), ['1.2', '1.2', ['1.2']]);
    assert.ok(!('spare' in dataOf(Rack.toPrimitive(Rack.make({ main: port, spare: null }), { version: '1.0' }))));
  });

  it('holds others in the versions of the reader’s manifest, and as they are where it names none', () => {
    const rack = Rack.make({ main: port, spare: null });
    const known = Rack.toPrimitive(rack, { version: '1.3', manifest: { Rack: '1.3', Port: '1.0' } });
    assert.deepEqual(dataOf(dataOf(known)['main']), { number: 1 });
    assert.equal(dataOf(known)['spare'], null);
    assert.equal(versionOf(dataOf(Rack.toPrimitive(rack, { version: '1.0', manifest: { Rack: '1.0' } }))['main']), '1.2');
  });

  it('is never said to be newer inside than it is, whatever the reader knows', () => {
    const written = Rack.toPrimitive(Rack.make({ main: port }), { manifest: { Rack: '1.3', Port: '1.9' } });
    assert.equal(versionOf(dataOf(written)['main']), '1.2');
    assert.deepEqual(Rack.fromPrimitive(written).main, port);
  });

  it('has its children as 1.0 in a list that says nothing of them, as oslo has it', () => {
    const list = Ports.make({ objects: [port] });
    const child = (options: object): unknown => versionOf((dataOf(Ports.toPrimitive(list, options))['objects'] as unknown[])[0]);
    assert.equal(child({}), '1.2');
    assert.equal(child({ version: '1.0' }), '1.0');
    assert.equal(child({ manifest: { Ports: '1.1' } }), '1.0');
    assert.equal(child({ manifest: { Ports: '1.1', Port: '1.1' } }), '1.1');
  });

  it('is taken backward by code where more than a field was added', () => {
    assert.deepEqual(dataOf(Switch.toPrimitive({ mode: 'on' }, { version: '1.0' })), { mode: 1 });
    assert.deepEqual(dataOf(Switch.toPrimitive({ mode: 'on' })), { mode: 'on' });
  });

  it('is read by that reader and understood', () => {
    const OldPort = defineObject('Port', '1.0', { number: integer() });
    const OldRack = defineObject('Rack', '1.1', { main: object(OldPort), spare: object(OldPort).nullable().optional() });
    const rack = Rack.make({ main: port, spare: port, more: [port] });
    assert.deepEqual(OldRack.fromPrimitive(Rack.toPrimitive(rack, { version: '1.1' })), { main: { number: 1 }, spare: { number: 1 } });
    assert.deepEqual(OldRack.fromPrimitive(Rack.toPrimitive(rack, { version: '1.1', manifest: OldRack.manifest })), { main: { number: 1 }, spare: { number: 1 } });
  });
});

function nextMinor(version: string): string {
  const [major, minor] = version.split('.');
  return `${major}.${Number(minor) + 1}`;
}

describe('a request to convert', () => {
  const newer = seedsOf('ConsoleGrant').find((each) => versionOf(each) === ConsoleGrant.version) as JsonObject;

  it('is refused for an object that is not known, is newer than ours, or is not in the manifest', () => {
    assert.equal(refusalOf(() => backport(primitiveOf('Nothing', '1.0', {}), { Nothing: '1.0' })).details['oslo'], 'UnsupportedObjectError');
    assert.equal(refusalOf(() => backport(primitiveOf('toString', '1.0', {}), {})).details['oslo'], 'UnsupportedObjectError');
    assert.equal(refusalOf(() => backport(primitiveOf('KeyPair', '1.5', {}), { KeyPair: '1.4' })).details['oslo'], 'IncompatibleObjectVersion');
    assert.equal(refusalOf(() => backport(newer, { ConsoleGrant: nextMinor(ConsoleGrant.version) })).details['oslo'], 'InvalidTargetVersion');
    refusalOf(() => backport(newer, {}));
    for (const none of [null, 1, [], {}]) refusalOf(() => backport(none, {}));
  });

  it('is answered with the object as that reader knows it, and those inside of it', () => {
    const older = backport(newer, { ConsoleGrant: '1.0', ConsoleSession: '1.0', ConsoleConnection: '1.0' });
    assert.equal(versionOf(older), '1.0');
    assert.ok(!('bytes_in' in dataOf(dataOf(older)['session'])));
    assert.equal(ConsoleGrant.fromPrimitive(older).session.bytesIn, 0);
    assert.equal(ConsoleSession.manifest['ConsoleSession'], ConsoleSession.version);
  });
});

describe('a record of arguments', () => {
  const args = recordCodec({ host: string(), zone: since('2.1', string(), 'nova'), ports: since('2.2', mapOf(object(Port)).optional(), undefined) });

  it('is written without what came after the version that the reader knows', () => {
    const values = { host: 'a', zone: 'b', ports: { x: port } };
    assert.deepEqual(args.toWire(values, 'boot', { version: '2.0' }), { host: 'a' });
    assert.deepEqual(args.toWire(values, 'boot', { version: '2.1' }), { host: 'a', zone: 'b' });
    const { ports } = args.toWire(values, 'boot', { manifest: { Port: '1.0' } });
    assert.deepEqual(dataOf((ports as JsonObject)['x']), { number: 1 });
  });

  it('is read with the meaning of what an older writer could not say', () => {
    assert.deepEqual(args.fromWire({ host: 'a' }, 'boot', '2.0'), { host: 'a', zone: 'nova' });
    assert.equal(refusalOf(() => args.fromWire({ host: 'a' }, 'boot', '2.1')).message, 'boot.zone: is missing');
  });

  it('says which version brought what is set', () => {
    assert.equal(args.newest({ host: 'a', zone: 'b', ports: {} }), '2.2');
    assert.equal(args.newest({ host: 'a', zone: 'b' }), '2.1');
    assert.equal(recordCodec({ host: string() }).newest({ host: 'a' }), null);
  });

  it('refuses a field with a name that every object has', () => {
    refusalOf(() => recordCodec({ constructor: string() }));
  });
});

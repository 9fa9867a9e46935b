import assert from 'node:assert/strict';
import { changesOf } from './changes.ts';
import { defineObject } from './define-object.ts';
import { integer, listOf, object, string } from './fields.ts';
import { refusalOf } from './fixtures/refusal.ts';

const Port = defineObject('Port', '1.0', { number: integer(), label: string().optional() });
const Ports = defineObject('Ports', '1.0', { objects: listOf(object(Port)) }, { childVersions: {} });
const Rack = defineObject('Rack', '1.0', { id: integer().readOnly().optional(), main: object(Port), ports: object(Ports).optional(), loose: listOf(object(Port)).optional() });

const primitive = (changes?: unknown): Record<string, unknown> => ({ ...Port.toPrimitive({ number: 1 }), ...(changes === undefined ? {} : { 'nova_object.changes': changes }) });
const changesIn = (written: object): unknown => (written as Record<string, unknown>)['nova_object.changes'];

describe('the changes of an object', () => {
  it('are refused when they are no list of names', () => {
    for (const changes of ['number', 1, null, {}, [1], [null], new Array(10_001).fill('number')]) {
      assert.match(refusalOf(() => Port.fromPrimitive(primitive(changes))).message, /^Port\.changes: expected/);
    }
  });

  it('are written as they were read, without the names that nobody here knows', () => {
    assert.deepEqual(changesIn(Port.toPrimitive(Port.fromPrimitive(primitive(['number'])))), ['number']);
    assert.deepEqual(changesIn(Port.toPrimitive(Port.fromPrimitive(primitive(['bogus', 'number', '__proto__', 'number'])))), ['number']);
    for (const none of [undefined, [], ['bogus'], ['label']]) assert.ok(!('nova_object.changes' in Port.toPrimitive(Port.fromPrimitive(primitive(none)))));
  });

  it('stand beside the object and not in it', () => {
    const port = Port.fromPrimitive(primitive(['number']));
    assert.deepEqual(port, { number: 1 });
    assert.deepEqual(changesOf(port), ['number']);
  });

  it('are those of the caller where it says so', () => {
    assert.deepEqual(changesIn(Port.toPrimitive({ number: 1 }, { changes: ['number', 'label'] })), ['number']);
    assert.equal(changesIn(Port.toPrimitive(Port.fromPrimitive(primitive(['number'])), { changes: [] })), undefined);
  });

  it('inside of an object are changes of the object, and inside of a list object of its objects', () => {
    const changed = Port.fromPrimitive(primitive(['number']));
    const rack = Rack.make({ main: changed, ports: { objects: [changed] } });
    assert.deepEqual(changesIn(Rack.toPrimitive(rack)), ['main', 'ports']);
    const loose = Rack.toPrimitive(Rack.make({ main: { number: 1 }, loose: [changed] }));
    assert.equal(changesIn(loose), undefined);
    assert.deepEqual(changesIn(((loose['nova_object.data'] as Record<string, unknown[]>)['loose'] as object[])[0] as object), ['number']);
  });
});

describe('a changed copy', () => {
  it('is refused with a wrong value, and with a second one for a field that is read-only', () => {
    assert.match(refusalOf(() => Port.change({ number: 1 }, { number: 1.5 })).message, /^Port\.number: expected an integer/);
    const rack = Rack.make({ id: 7, main: { number: 1 } });
    const { details, message } = refusalOf(() => Rack.change(rack, { id: 8 }));
    assert.equal(message, 'Rack.id: is read-only and has another value already');
    assert.deepEqual(details, { path: 'Rack.id', oslo: 'ReadOnlyFieldError', field: 'id' });
    refusalOf(() => Rack.change(rack, { id: undefined }));
  });

  it('has a value for a read-only field that had none, or the same again', () => {
    assert.equal(Rack.change(Rack.make({ main: { number: 1 } }), { id: 8 }).id, 8);
    assert.equal(Rack.change(Rack.make({ id: 8, main: { number: 1 } }), { id: 8 }).id, 8);
  });

  it('says what has changed, besides what had', () => {
    const copy = Port.change(Port.fromPrimitive(primitive(['number'])), { label: 'a' });
    assert.deepEqual(copy, { number: 1, label: 'a' });
    assert.ok(Object.isFrozen(copy));
    assert.deepEqual(changesIn(Port.toPrimitive(copy)), ['number', 'label']);
    assert.equal(changesIn(Port.toPrimitive(Port.make({ number: 1 }))), undefined);
  });
});

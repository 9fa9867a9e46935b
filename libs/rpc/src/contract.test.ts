import assert from 'node:assert/strict';
import { integer, string } from '@gatehouse/objects/fields';
import { refusal } from './conformance.ts';
import { defineContract, method, methodsByWireName } from './contract.ts';

describe('a contract', () => {
  it('refuses a topic that is no name for a queue', () => {
    for (const topic of ['', 'Compute', 'a.b', 'a b', '#', 'x'.repeat(65)]) {
      assert.throws(() => defineContract({ topic, version: '1.0', methods: {} }), refusal('INVALID_ARGUMENT', /topic/));
    }
  });

  it('refuses a method that is newer than itself, or of another major version', () => {
    assert.throws(() => defineContract({ topic: 'a', version: '1.1', methods: { late: method({ since: '1.2' }) } }), refusal('INVALID_ARGUMENT', /a\.late: since 1\.2/));
    assert.throws(() => defineContract({ topic: 'a', version: '2.1', methods: { old: method({ since: '1.0' }) } }), refusal('INVALID_ARGUMENT', /a\.old/));
    assert.throws(() => method({ since: '1' }), refusal('INVALID_ARGUMENT', /since: expected a version/));
  });

  it('checks arguments by their path, both ways', () => {
    const { args } = method({ since: '1.0', args: { hostName: string({ minLength: 1 }), port: integer({ max: 65_535 }) } });
    assert.throws(() => args.toWire({ hostName: '', port: 1 }, 'compute.boot'), refusal('INVALID_ARGUMENT', /^compute\.boot\.host_name: /));
    assert.throws(() => args.fromWire({ host_name: 'a', port: 70_000 }, 'compute.boot'), refusal('INVALID_ARGUMENT', /^compute\.boot\.port: 70000 is above 65535$/));
    assert.throws(() => args.fromWire({ port: 1 }, 'compute.boot'), refusal('INVALID_ARGUMENT', /host_name: is missing/));
    assert.throws(() => args.fromWire([], 'compute.boot'), refusal('INVALID_ARGUMENT'));
    assert.deepEqual(args.fromWire({ host_name: 'a', port: 1, said_by_a_newer_sender: true }, 'x'), { hostName: 'a', port: 1 });
  });

  it('knows its methods by their names on the wire', () => {
    assert.deepEqual([...methodsByWireName({ getConsole: method({ since: '1.0' }) }).keys()], ['get_console']);
  });
});

describe('a method\'s arguments', () => {
  it('with a default may be left out by a caller, and reach a handler all the same', () => {
    const { args } = method({ since: '1.0', args: { host: string(), access: string().default('full') } });
    const body = args.toWire({ host: 'a' }, 'x');
    assert.deepEqual(body, { host: 'a', access: 'full' });
    const { access }: { readonly access: string } = args.fromWire({ host: 'a' }, 'x');
    assert.equal(access, 'full');
    // @ts-expect-error -- an argument without a default is asked for
    assert.throws(() => args.toWire({ access: 'view' }, 'x'), refusal('INVALID_ARGUMENT', /host: is missing/));
  });
});

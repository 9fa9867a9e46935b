import assert from 'node:assert/strict';
import { isServiceError } from '@gatehouse/errors/service-error';
import { createKeyPairBody, listKeyPairsQuery } from './key-pair-schemas.ts';
import { readJson } from './json.ts';
import type { JsonValue } from './json.ts';
import { pythonRepr, pythonStr } from './python-text.ts';

function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    assert.ok(isServiceError(error), String(error));
    assert.equal(error.code, 'INVALID_ARGUMENT');
    return error.message;
  }
  return assert.fail('accepted');
}

const create = (keypair: JsonValue, version = 10): string => refusal(() => createKeyPairBody(version)({ keypair }));

describe('a request body that is refused', () => {
  it('is refused before its schema when it is not UTF-8, not JSON or nested without end', () => {
    assert.equal(refusal(() => readJson(Buffer.from('{not json'))), 'Malformed request body');
    assert.equal(refusal(() => readJson(Buffer.from([0x7b, 0x22, 0xfc, 0x22, 0x7d]))), 'Malformed request body');
    assert.equal(refusal(() => readJson(Buffer.from('['.repeat(50) + ']'.repeat(50)))), 'Malformed request body');
  });

  it('says of each fault what Nova says of it', () => {
    assert.equal(refusal(() => createKeyPairBody(1)(null)), "None is not of type 'object'");
    assert.equal(refusal(() => createKeyPairBody(1)(['1'])), "['1'] is not of type 'object'");
    assert.equal(refusal(() => createKeyPairBody(1)({})), "'keypair' is a required property");
    assert.equal(create(null), "Invalid input for field/attribute keypair. Value: None. None is not of type 'object'");
    assert.equal(create({ name: 5 }), "Invalid input for field/attribute name. Value: 5. 5 is not of type 'string'");
    assert.equal(create({ name: '' }), "Invalid input for field/attribute name. Value: . '' is too short");
    assert.equal(
      create({ name: 'x', type: 'gpg' }),
      "Invalid input for field/attribute type. Value: gpg. 'gpg' is not one of ['ssh', 'x509']",
    );
    assert.match(create({ name: 'n'.repeat(256) }), /^Invalid input for field\/attribute name\. Value: n+\. 'n+' is too long$/);
    assert.match(create({ name: ' x' }), /The name must be: printable characters\. Can not start or end with whitespace\.$/);
    assert.match(create({ name: 'k\u{1f600}' }), /The name must be: printable characters/);
    assert.match(create({ name: 'a/b' }), /Only expected characters: \[_- 0123456789abc/);
    assert.match(create({ name: 'a\nb' }), /printable characters/);
  });

  it('has one fault reported, the one that a walk through the schema meets first', () => {
    assert.match(create({ public_key: 5, foo: 1 }), /attribute public_key/);
    assert.match(create({ public_key: 'x', foo: 1 }), /'name' is a required property/);
    assert.match(create({ name: 'x', foo: 1, bar: 2 }), /\('foo', 'bar' were unexpected\)$/);
    const both = refusal(() => createKeyPairBody(10)({ keypair: { name: 5 }, more: 1 }));
    assert.match(both, /attribute name/);
  });

  it('knows a property only from its microversion on', () => {
    assert.match(create({ name: 'x', type: 'ssh' }, 1), /'type' was unexpected/);
    assert.match(create({ name: 'x', user_id: 'u' }, 9), /'user_id' was unexpected/);
    assert.match(create({ name: 'x' }, 92), /'public_key' is a required property/);
    assert.match(create({ name: 'x', ['__proto__x']: 1 }, 2), /'__proto__x' was unexpected/);
  });

  it('is not saved by a property that every object inherits', () => {
    assert.match(refusal(() => createKeyPairBody(2)(JSON.parse('{"__proto__": {"keypair": {"name": "x"}}}') as JsonValue)), /'keypair' is a required property/);
  });
});

describe('a query that is refused', () => {
  it('names the parameter and the rule', () => {
    const limit = (text: string): string => refusal(() => listKeyPairsQuery(35)({ limit: [text] }));
    assert.equal(limit('-1'), "Invalid input for query parameters limit. Value: -1. '-1' does not match '^[0-9]*$'");
    assert.equal(limit(''), "Invalid input for query parameters limit. Value: . '' is too short");
    assert.match(refusal(() => listKeyPairsQuery(75)({ foo: ['1'] })), /^Additional properties are not allowed \('foo' was unexpected\)$/);
  });

  it('is one only from the microversion that knows the rule', () => {
    assert.deepEqual(listKeyPairsQuery(34)({ limit: ['abc'] }), { limit: ['abc'] });
    assert.deepEqual(listKeyPairsQuery(74)({ foo: ['1'] }), { foo: ['1'] });
  });
});

describe('a value inside a refusal', () => {
  it('looks as Python prints it', () => {
    assert.equal(pythonRepr({ a: [true, null, 1.5], "it's": 'q"' }), `{'a': [True, None, 1.5], "it's": 'q"'}`);
    assert.equal(pythonRepr('a\n\u0007\u2028\u{1f600}'), "'a\\n\\x07\\u2028\u{1f600}'");
    assert.equal(pythonStr('bare'), 'bare');
  });

  it('is cut when it is long', () => {
    assert.equal(pythonRepr('x'.repeat(100_000)).length, 2003);
  });
});

import assert from 'node:assert/strict';
import { ServiceError } from '@gatehouse/errors/service-error';
import { integer, json } from '@gatehouse/objects/fields';
import { cpuMsOf } from '../../../test/servers/running-time.ts';
import { refusal } from './conformance.ts';
import { jsonText, parseObject, VALUES_MAX } from './json.ts';

const read = (text: string): unknown => parseObject(`{"v": ${text}}`, 'it')['v'];

describe('JSON as Python speaks it', () => {
  it('is refused where Python refuses it too', () => {
    const refused = [
      '', '-', '+1', '01', '1.', '.5', '1e', 'nan', 'inf', '-NaN', 'Infinityy', 'NaN NaN', '[NaN,]', '[NaN', '{"a": NaN,}', '{"a" NaN}', '{a: NaN}', '{"a": NaN', 'NaN}, {',
      "'a', NaN", '"\n", NaN', '"\\x", NaN', 'undefined', '[NaN "a"]', '1234567890123456789012345678901234567 8', `1${'0'.repeat(4_300)}`, '\u00a0NaN', '\ufeff1',
    ];
    for (const text of refused) assert.throws(() => read(text), refusal('INVALID_ARGUMENT', /^it is not JSON$/), text.slice(0, 60));
  });

  it('is never quoted in a refusal', () => {
    assert.throws(
      () => read('"s3cret", NaN, oops'),
      (error: unknown) => error instanceof ServiceError && !/s3cret|oops/.test(`${error.message}${String(error.cause)}`),
    );
  });

  it('may hold numbers that are none', () => {
    assert.deepEqual(read('[NaN, Infinity, -Infinity, {"a": NaN}]'), [Number.NaN, Infinity, -Infinity, { a: Number.NaN }]);
  });

  it('keeps every digit of an integer, and makes a bigint only of those that need one', () => {
    assert.equal(read('1180591620717411303424'), 2n ** 70n);
    assert.equal(read('-9223372036854775808'), -(2n ** 63n));
    assert.equal(read('9007199254740993'), 9007199254740993n);
    assert.deepEqual(read('[9007199254740991, 1000000000000000, 1234567890123456.5, 12345678901234567e3]'), [9007199254740991, 1000000000000000, 1234567890123456.5, 12345678901234567e3]);
    assert.deepEqual(read(`1${'0'.repeat(4_000)}`), 10n ** 4_000n);
  });

  it('finds a long integer wherever it stands, and none in a text', () => {
    for (const space of ['', ' ', '\n', '\t', '\r', ' '.repeat(17)]) {
      for (let shift = 0; shift < 17; shift++) {
        const text = `{"${'p'.repeat(shift)}":${space}9007199254740993${space},"l":[${space}9007199254740993,${space}-9007199254740993${space}]}`;
        assert.deepEqual(Object.values(parseObject(text, 'it')), [9007199254740993n, [9007199254740993n, -9007199254740993n]], text);
      }
    }
    assert.deepEqual(read('{"a": ": 9007199254740993", "b": "12345678901234567890123456789012"}'), { a: ': 9007199254740993', b: '12345678901234567890123456789012' });
  });

  it('reads everything else as JSON.parse does, beside such a number', () => {
    const others = ['""', '"\\u00e9\\ud83d\\ude00\\"\\\\"', '"\\ud83d"', '{}', '[]', '[[], {}]', ' [ true , false , null ] ', '-0.5e-3', '0', '-0', '{"a": 1, "a": 2}', '"\u2028"'];
    for (const text of others) {
      const [first, second] = parseObject(`{"v": [${text}, NaN]}`, 'it')['v'] as unknown as unknown[];
      assert.deepEqual([first, second], [JSON.parse(text), Number.NaN], text);
    }
  });

  it('holds __proto__ as a name like any other, on both ways', () => {
    for (const beside of ['1', 'NaN']) {
      const value = parseObject(`{"__proto__": {"x": 1}, "b": ${beside}}`, 'it');
      assert.deepEqual(Object.keys(value), ['__proto__', 'b']);
      assert.equal((value as { x?: number }).x, undefined);
    }
  });

  it('is written so that it reads back as the same value', () => {
    const values = [2n ** 70n, -(2n ** 64n), Number.NaN, Infinity, -Infinity, [null, Number.NaN], { 'a"\n': [2n ** 53n, { b: null, c: 'é\ud83d' }], d: [], e: {}, f: true }, null, 'null', 1e21, 1e17, 2 ** 60, -0.5];
    for (const value of values) assert.deepEqual(read(jsonText(value)), value);
    assert.equal(jsonText({ a: undefined, b: 2n ** 53n }), '{"b":9007199254740992}');
    assert.equal(jsonText([Number.NaN, null, -Infinity]), '[NaN,null,-Infinity]');
    assert.equal(jsonText([1e17, -42009608956972008, 2 ** 53 - 1]), '[1e+17,-4.200960895697201e+16,9007199254740991]');
  });

  it('of more values than any field takes is refused before they are built', () => {
    const ms = cpuMsOf(() => {
      for (const value of ['{}', '[]', 'NaN', '"\\\\"']) assert.throws(() => read(`[${`${value},`.repeat(VALUES_MAX + 1)}1]`), refusal('INVALID_ARGUMENT', /has more than 1000000 values$/));
    });
    assert.ok(ms < 2_000, `${ms} ms`);
  });

  it('refuses by the path where a field cannot hold such a number', () => {
    for (const text of ['1180591620717411303424', 'NaN', '-Infinity']) {
      assert.throws(() => json().fromWire([read(text)], 'a.b'), refusal('INVALID_ARGUMENT', /^a\.b/));
      assert.throws(() => integer().fromWire(read(text), 'a.b'), refusal('INVALID_ARGUMENT', /^a\.b: expected an integer/));
    }
  });

  it('of sixteen megabytes is read in bounded time', () => {
    const ms = cpuMsOf(() => {
      read(`[${'1180591620717411303424,'.repeat(300_000)}NaN]`);
      assert.throws(() => read('1'.repeat(16_000_000)), refusal('INVALID_ARGUMENT'));
      assert.throws(() => read(`"${'\\\\'.repeat(4_000_000)}`), refusal('INVALID_ARGUMENT'));
    });
    assert.ok(ms < 20_000, `${ms} ms`);
  }).timeout(60_000);
});

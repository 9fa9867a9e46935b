import assert from 'node:assert/strict';
import { AddressBound } from './address-bound.ts';

describe('a bound of each address', () => {
  it('refuses one more than there may be, and nobody else', () => {
    const bound = new AddressBound(2);
    const places = [bound.take('192.0.2.1'), bound.take('192.0.2.1')];
    assert.equal(bound.take('192.0.2.1'), null);
    assert.notEqual(bound.take('192.0.2.2'), null);
    places[0]?.();
    assert.notEqual(bound.take('192.0.2.1'), null);
  });

  it('takes a place back once, however often it is given', () => {
    const bound = new AddressBound(2);
    const first = bound.take('192.0.2.1');
    bound.take('192.0.2.1');
    first?.();
    first?.();
    assert.notEqual(bound.take('192.0.2.1'), null);
    assert.equal(bound.take('192.0.2.1'), null);
  });

  it('remembers nobody who has no place', () => {
    const bound = new AddressBound(1);
    for (let i = 0; i < 1_000; i++) bound.take(`192.0.${i >> 8}.${i & 255}`)?.();
    assert.equal(bound.addresses, 0);
  });

  it('takes the addresses of an IPv6 /64 for one', () => {
    const bound = new AddressBound(1);
    bound.take('2001:db8::1');
    assert.equal(bound.take('2001:db8:0:0:ffff::2'), null);
    assert.notEqual(bound.take('2001:db8:0:1::1'), null);
  });
});

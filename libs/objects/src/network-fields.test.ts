import assert from 'node:assert/strict';
import { refusalOf } from './fixtures/refusal.ts';
import { ipAddress, ipNetwork, ipv4Address, ipv4Network, ipv6Address, ipv6Network, macAddress, pciAddress } from './network-fields.ts';

/** Each as netaddr over the C library writes it. */
const ADDRESSES: readonly (readonly [text: string, written: string])[] = [
  ['192.0.2.1', '192.0.2.1'],
  ['0.0.0.0', '0.0.0.0'],
  ['::', '::'],
  ['::1', '::1'],
  ['1::', '1::'],
  ['2001:0DB8:0:0:0:0:0:1', '2001:db8::1'],
  ['2001:db8::0001:0', '2001:db8::1:0'],
  ['1:0:0:2::3', '1:0:0:2::3'],
  ['0:0:1:0:0:0:2:3', '0:0:1::2:3'],
  ['1:2:3:4:5:6:7:0', '1:2:3:4:5:6:7:0'],
  ['1::2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
  ['::ffff:0:1', '::ffff:0.0.0.1'],
  ['::FFFF:192.0.2.7', '::ffff:192.0.2.7'],
  ['::192.0.2.7', '::192.0.2.7'],
  ['::2:3', '::0.2.0.3'],
  ['0:0:0:0:0:0:1:0', '::0.1.0.0'],
  ['::ffff', '::ffff'],
  ['::1:0:0', '::1:0:0'],
  ['::ffff:0:0:0', '::ffff:0:0:0'],
  ['64:ff9b::192.0.2.7', '64:ff9b::c000:207'],
  ['1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:102:304'],
];

describe('a field of a network', () => {
  it('refuses what is no address, and one of the other kind', () => {
    for (const text of ['', 'x', '1.2', '192.0.2.256', '192.0.2.1/24', '010.1.1.1', ' 1.2.3.4', 'fe80::1%eth0', '1::2::3', ':::', '1:2:3', 'x'.repeat(100), 5, null, {}]) {
      assert.match(refusalOf(() => ipAddress().fromWire(text, 'attr')).message, /^attr: expected an IP address, got /);
    }
    assert.match(refusalOf(() => ipv4Address().fromWire('::1', 'attr')).message, /expected an IPv4 address/);
    assert.match(refusalOf(() => ipv6Address().fromWire('192.0.2.1', 'attr')).message, /expected an IPv6 address/);
  });

  it('refuses what is no network, and one of the other kind', () => {
    for (const text of ['x', '192.0.2.0/33', '192.0.2.0/', '192.0.2.0/-1', '192.0.2.0/24/24', '10/8', '2001:db8::/129', '192.0.2.0/255.255.255.0']) {
      assert.match(refusalOf(() => ipNetwork().fromWire(text, 'attr')).message, /expected an IP network/);
    }
    assert.match(refusalOf(() => ipv4Network().fromWire('2001:db8::/32', 'attr')).message, /expected an IPv4 network/);
    assert.match(refusalOf(() => ipv6Network().fromWire('192.0.2.0/24', 'attr')).message, /expected an IPv6 network/);
  });

  it('refuses what is no address of a device', () => {
    for (const text of ['', 'c6df11a5c85d', 'c6:df:11:a5:c8:5', 'c6:df:11:a5:c8:5d:00', 'c6:df:11:a5:c8:5d\n']) assert.match(refusalOf(() => macAddress().fromWire(text, 'attr')).message, /a MAC address/);
    for (const text of ['', '0000:02:20.0', '0000:02:00.8', '0000:02:00x1']) assert.match(refusalOf(() => pciAddress().fromWire(text, 'attr')).message, /a PCI address/);
  });

  it('is written in the one form that oslo has for it', () => {
    for (const [text, written] of ADDRESSES) assert.equal(ipAddress().toWire(ipAddress().fromWire(text, 'attr'), 'attr'), written, text);
    assert.equal(ipNetwork().fromWire('192.0.2.5/024', 'attr'), '192.0.2.5/24');
    assert.equal(ipNetwork().fromWire('192.0.2.5', 'attr'), '192.0.2.5/32');
    assert.equal(ipNetwork().fromWire('2001:DB8::', 'attr'), '2001:db8::/128');
    assert.equal(ipNetwork().fromWire('::/0', 'attr'), '::/0');
    assert.equal(macAddress().fromWire('C6-DF-11-A5-C8-5D', 'attr'), 'c6:df:11:a5:c8:5d');
    assert.equal(pciAddress().toWire('FFFF:FF:1F.7', 'attr'), 'ffff:ff:1f.7');
  });
});

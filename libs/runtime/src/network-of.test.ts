import assert from 'node:assert/strict';
import { networkOf, wideNetworkOf } from './network-of.ts';

describe('the network of an address', () => {
  for (const [address, network, wide] of [
    ['unknown', 'unknown', 'unknown'],
    ['192.0.2.1', '192.0.2.1', '192.0.2.0/24'],
    ['::1', '0:0:0:0::/64', '0:0:0::/48'],
    ['::', '0:0:0:0::/64', '0:0:0::/48'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64', '2001:db8:1::/48'],
    ['2001:db8:1::', '2001:db8:1:0::/64', '2001:db8:1::/48'],
  ] as const) {
    it(`is ${network} for ${address}, and ${wide} where many are counted`, () => assert.deepEqual([networkOf(address), wideNetworkOf(address)], [network, wide]));
  }
});

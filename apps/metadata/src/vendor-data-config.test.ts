import assert from 'node:assert/strict';
import { readConfig } from '@gatehouse/runtime/config';
import { z } from 'zod';
import { vendorDataConfig } from './vendor-data-config.ts';

const shape = z.object(vendorDataConfig);

describe('settings of vendor data', () => {
  for (const [what, targets] of [
    ['has no name', 'https://vendor/'],
    ['has an empty name', '@https://vendor/'],
    ['has no URL', 'web@'],
    ['is no URL', 'web@vendor'],
    ['is of another scheme', 'web@file:///etc/passwd'],
    ['is a host that cannot be', 'web@http://a b/'],
  ] as const) {
    it(`are refused with a target that ${what}, and the URL is not shown`, () => {
      assert.throws(() => readConfig(shape, { GATEHOUSE_VENDOR_DATA_TARGETS: targets }), (error: Error) => {
        assert.match(error.message, /GATEHOUSE_VENDOR_DATA_TARGETS.* name@https:\/\/host\/path/);
        assert.ok(!error.message.includes('vendor/'));
        return true;
      });
    });
  }

  it('name targets in their order; a URL may hold a password', () => {
    const { vendorDataTargets } = readConfig(shape, { GATEHOUSE_VENDOR_DATA_TARGETS: 'web@https://gate:secret@vendor/a?b=1, dns@http://dns/' });
    assert.deepEqual(vendorDataTargets, [{ name: 'web', url: 'https://gate:secret@vendor/a?b=1' }, { name: 'dns', url: 'http://dns/' }]);
  });

  it('are Nova\'s where nothing is set', () => {
    const { vendorDataConnectTimeout, vendorDataReadTimeout, vendorDataFailureFatal, vendorDataTargets } = readConfig(shape, {});
    assert.deepEqual([vendorDataConnectTimeout, vendorDataReadTimeout, vendorDataFailureFatal, vendorDataTargets], [5, 5, false, []]);
  });
});

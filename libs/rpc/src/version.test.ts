import assert from 'node:assert/strict';
import { readRecording } from './fixtures/test-vectors.ts';
import { isVersion, versionIsCompatible } from './version.ts';

describe('a requested version', () => {
  it('is refused where it is none', () => {
    for (const each of ['1', 'abc', '', '1.', '1.0.0.0', '-1.0', '1.99999', 1.2, null, {}]) assert.equal(isVersion(each), false, String(each));
    for (const each of ['1.0', '1.10', '1.2.1']) assert.equal(isVersion(each), true);
  });

  it('is answered exactly where oslo.messaging answers it', () => {
    const table = readRecording('34-versions-and-manifests')['version_is_compatible(oslo.messaging: implemented, requested)'];
    for (const [implemented, requested, answer] of table as [string | null, string | null, boolean | object][]) {
      // Where oslo itself falls over, we refuse before we compare.
      if (typeof answer === 'boolean') assert.equal(versionIsCompatible(implemented, requested), answer, `${implemented} for ${requested}`);
      else assert.equal(isVersion(implemented) && isVersion(requested), false, `${implemented} for ${requested}`);
    }
  });
});

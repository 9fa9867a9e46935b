import assert from 'node:assert/strict';
import { isServiceError } from '@gatehouse/errors/service-error';
import { metadataConfig } from './config.ts';
import { sign, signatureCheck } from './signature.ts';

const ID = '15b942e0-b17a-5deb-b468-acabe2a20ce2';
// Made by Python's hmac, as Nova and the Neutron agent make it.
const SIGNATURE = '8628b1fa28e25b83e6d174f567424b1cc7ff8c92bc51f81b93f5fc6bf9732bdf';

describe('a signed instance id', () => {
  const check = signatureCheck(['s3cr3t', 'next']);

  for (const [what, id, signature] of [
    ['another id', ID.replace('1', '2'), SIGNATURE],
    ['no signature', ID, ''],
    ['one digit wrong', ID, SIGNATURE.replace(/f$/, '0')],
    ['a signature cut short', ID, SIGNATURE.slice(0, -1)],
    ['a signature in capitals', ID, SIGNATURE.toUpperCase()],
    ['text that is not ASCII', ID, 'ü'.repeat(64)],
    ['the signature of an unknown secret', ID, sign('other', ID)],
    ['the signature of an empty secret', ID, sign('', ID)],
  ] as const) {
    it(`is refused with ${what}, and the right one is not told`, () => {
      assert.throws(() => check(id, signature), (error: unknown) => {
        assert.ok(isServiceError(error));
        assert.equal(error.code, 'PERMISSION_DENIED');
        assert.equal(error.message, 'Invalid proxy request signature.');
        return true;
      });
    });
  }

  it("is accepted with a signature made elsewhere, and with that of the second secret", () => {
    check(ID, SIGNATURE);
    check(ID, sign('next', ID));
  });

  it('needs a secret: none and an empty one are refused at the start', () => {
    for (const secrets of [[], [''], ['good', ' ']]) assert.throws(() => signatureCheck(secrets), /empty secret/);
  });

  it('has no secret in what is empty between two commas of the setting', () => {
    assert.deepEqual(metadataConfig.parse({ metadataSecrets: ' good,, next, ' }).metadataSecrets, ['good', 'next']);
    assert.throws(() => metadataConfig.parse({ metadataSecrets: ' , ' }));
  });
});

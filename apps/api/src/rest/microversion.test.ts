import assert from 'node:assert/strict';
import fc from 'fast-check';
import { isServiceError } from '@gatehouse/errors/service-error';
import { parseSshPublicKey } from '../ssh-public-key.ts';
import { hostGuard } from './host-guard.ts';
import { readMicroversion } from './microversion.ts';

describe('a microversion', () => {
  it('is the oldest where none is asked for, or another service\'s', () => {
    for (const header of [undefined, '', 'identity 3.0', 'compute', 'compute2.3']) assert.equal(readMicroversion(header, undefined).text, '2.1', header);
  });

  it('is refused where it is none', () => {
    for (const text of ['LATEST', '2.3 4', '2.01', '2', 'abc']) assert.throws(() => readMicroversion(`compute ${text}`, undefined), /invalid format/, text);
    for (const text of [',', '2.5,', 'LATEST']) assert.throws(() => readMicroversion(undefined, text), /invalid format/, text);
  });

  it('is that of the newer header where both say one, and the last of several', () => {
    assert.equal(readMicroversion('compute 2.2, compute 2.10', undefined).version, 10);
    assert.equal(readMicroversion(undefined, '2.2, 2.10').version, 10);
    assert.equal(readMicroversion('identity 3.0', '2.10').version, 10);
    assert.equal(readMicroversion('compute 2.2', '2.35').version, 2);
    assert.equal(readMicroversion('identity 3.0, Compute 2.35', undefined).version, 35);
    assert.equal(readMicroversion(undefined, '2.35').version, 35);
    assert.equal(readMicroversion('compute latest', undefined).text, '2.93');
  });

  it('is told apart from those that are not served', () => {
    for (const text of ['2.94', '2.0', '1.1', '3.1', '22.1']) assert.equal(readMicroversion(`compute ${text}`, undefined).supported, false, text);
    for (const text of ['2.1', '2.93']) assert.equal(readMicroversion(`compute ${text}`, undefined).supported, true, text);
  });
});

describe('whatever arrives', () => {
  const onlyServiceErrors = (work: () => unknown): void => {
    try {
      work();
    } catch (error) {
      assert.ok(isServiceError(error), String(error));
      assert.notEqual(error.code, 'INTERNAL');
    }
  };

  it('in a version header, a Host header or a public key is answered or refused, never a fault of ours', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => {
      onlyServiceErrors(() => readMicroversion(text, text));
      onlyServiceErrors(() => readMicroversion(`compute ${text}`, undefined));
      onlyServiceErrors(() => hostGuard([])(text));
      onlyServiceErrors(() => parseSshPublicKey(text));
      onlyServiceErrors(() => parseSshPublicKey(`ssh-rsa ${text}`));
    }), { seed: 20260701 });
  });

  it('in the blob of a key likewise', () => {
    const names = ['ssh-rsa', 'ssh-ed25519', 'ecdsa-sha2-nistp256', 'ssh-dss', 'ssh-ed25519-cert-v01@openssh.com', 'sk-ecdsa-sha2-nistp256@openssh.com'];
    fc.assert(fc.property(fc.constantFrom(...names), fc.uint8Array({ maxLength: 300 }), (name, bytes) => {
      const head = Buffer.alloc(4);
      head.writeUInt32BE(name.length);
      const blob = Buffer.concat([head, Buffer.from(name), bytes]);
      onlyServiceErrors(() => parseSshPublicKey(`${name} ${blob.toString('base64')}`));
    }), { seed: 20260701 });
  });
});

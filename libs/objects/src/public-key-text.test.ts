import assert from 'node:assert/strict';
import { publicKeyType, sshFingerprint } from './public-key-text.ts';

const PEM = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';

describe('the text of a public key', () => {
  it('is a certificate where a line begins one, and an ssh key otherwise', () => {
    for (const text of [PEM, `\n  ${PEM}`, `subject=CN = alice\r\n${PEM}`]) assert.equal(publicKeyType(text), 'x509', text);
    for (const text of ['', 'ssh-ed25519 AAAA', 'ssh-ed25519 AAAA -----BEGIN CERTIFICATE-----', '-----BEGIN CERTIFICATE REQUEST-----']) assert.equal(publicKeyType(text), 'ssh', text);
  });

  it('has the MD5 of its blob for a fingerprint, in pairs', () => {
    assert.equal(sshFingerprint(Buffer.alloc(0)), 'd4:1d:8c:d9:8f:00:b2:04:e9:80:09:98:ec:f8:42:7e');
  });
});

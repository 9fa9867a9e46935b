import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { isServiceError } from '@gatehouse/errors/service-error';
import { KeyGenerator } from './key-generation.ts';
import { parseSshPublicKey } from './ssh-public-key.ts';
import { SshReader } from './ssh-reader.ts';
import { parseX509 } from './x509-certificate.ts';

const NOW = new Date('2026-03-01T12:00:00.123Z');
/** The seconds in which a small machine finds an RSA key, several times over. */
const PATIENCE_MS = 60_000;

describe('a generated key', function () {
  this.timeout(PATIENCE_MS);

  it('is refused where many wait for theirs already, and given to all the others in turn', async () => {
    const generator = new KeyGenerator('ed25519');
    const results = await Promise.allSettled(Array.from({ length: 30 }, () => generator.ssh()));
    const reasons = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
    assert.equal(reasons.length, 12, 'two are made, sixteen wait');
    for (const reason of reasons) assert.ok(isServiceError(reason) && reason.code === 'RESOURCE_EXHAUSTED');
    const made = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value.publicKey] : []));
    assert.equal(new Set(made).size, 18);
    await generator.ssh();
  });

  it('leaves the event loop to others while it is looked for', async () => {
    let ticks = 0;
    const ticking = setInterval(() => (ticks += 1), 1);
    await new KeyGenerator('rsa').ssh();
    clearInterval(ticking);
    assert.ok(ticks > 3, `${ticks} ticks`);
  });

  it('is RSA of 3,072 bits as PKCS#1', async () => {
    const { publicKey, privateKey } = await new KeyGenerator('rsa').ssh();
    const { algorithm, bits, comment } = parseSshPublicKey(publicKey);
    assert.deepEqual([algorithm, bits, comment], ['ssh-rsa', 3072, 'Generated-by-Gatehouse']);
    assert.match(privateKey, /^-----BEGIN RSA PRIVATE KEY-----\n[^]*-----END RSA PRIVATE KEY-----\n$/);
    const modulus = Buffer.from(String(createPublicKey(createPrivateKey(privateKey)).export({ format: 'jwk' }).n), 'base64url');
    assert.ok(Buffer.from(publicKey.split(' ')[1] ?? '', 'base64').includes(modulus));
  });

  it("is Ed25519 in OpenSSH's form where that is set", async () => {
    const { publicKey, privateKey } = await new KeyGenerator('ed25519').ssh();
    const point = Buffer.from(publicKey.split(' ')[1] ?? '', 'base64').subarray(-32);
    const [first, ...lines] = privateKey.trimEnd().split('\n');
    assert.deepEqual([first, lines.at(-1)], ['-----BEGIN OPENSSH PRIVATE KEY-----', '-----END OPENSSH PRIVATE KEY-----']);
    const file = new SshReader(Buffer.from(lines.slice(0, -1).join(''), 'base64').subarray('openssh-key-v1\0'.length));
    assert.deepEqual([file.text(), file.text(), file.bytes().length], ['none', 'none', 0]);
    file.skip(4);
    assert.ok(file.bytes().equals(Buffer.from(publicKey.split(' ')[1] ?? '', 'base64')));
    const secrets = file.bytes();
    file.end();
    assert.equal(secrets.length % 8, 0);
    assert.ok(secrets.subarray(0, 4).equals(secrets.subarray(4, 8)));
    const secret = new SshReader(secrets.subarray(8));
    assert.equal(secret.text(), 'ssh-ed25519');
    assert.ok(secret.bytes().equals(point));
    const pair = secret.bytes();
    assert.ok(pair.subarray(32).equals(point));
    const key = createPrivateKey({ key: { kty: 'OKP', crv: 'Ed25519', d: pair.subarray(0, 32).toString('base64url'), x: point.toString('base64url') }, format: 'jwk' });
    assert.equal(createPublicKey(key).export({ format: 'jwk' }).x, point.toString('base64url'));
  });

  it('of type x509 is a certificate for WinRM and a PKCS#12 file without a password that holds both', async () => {
    const { publicKey, privateKey } = await new KeyGenerator('rsa').x509('alice', NOW);
    assert.equal(parseX509(publicKey).weakness, null);
    const certificate = new X509Certificate(publicKey);
    assert.deepEqual([certificate.subject, certificate.issuer], ['CN=alice', 'CN=alice']);
    assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.2']);
    assert.match(certificate.subjectAltName ?? '', /^othername:UPN:{1,2}alice@localhost$/);
    assert.ok(certificate.verify(certificate.publicKey));
    assert.deepEqual([certificate.validFrom, certificate.validTo].map((text) => new Date(text).toISOString()), ['2026-03-01T12:00:00.000Z', '2036-02-27T12:00:00.000Z']);
    assert.equal(certificate.publicKey.asymmetricKeyDetails?.modulusLength, 3072);
    assert.match(privateKey, /^[A-Za-z0-9+/]+=*$/);
    const pfx = Buffer.from(privateKey, 'base64');
    assert.doesNotThrow(() => createSecureContext({ pfx, passphrase: '' }));
    assert.throws(() => createSecureContext({ pfx, passphrase: 'x' }));
  });

  it('of type x509 takes a user id of any length and any characters', async () => {
    for (const userId of ['u'.repeat(255), `ü/CN=root,O="x"\\${'é'.repeat(60)}`, '😀'.repeat(40)]) {
      const certificate = new X509Certificate((await new KeyGenerator('rsa').x509(userId, NOW)).publicKey);
      const { CN: name, ...others } = certificate.toLegacyObject().subject;
      assert.deepEqual(others, {});
      const bytes = Buffer.byteLength(String(name));
      assert.ok(userId.startsWith(String(name)) && bytes > 60 && bytes <= 64, String(name));
      assert.ok(Buffer.from(certificate.raw).includes(Buffer.from(`${userId}@localhost`)));
    }
  });
});

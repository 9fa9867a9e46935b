import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { isServiceError } from '@gatehouse/errors/service-error';
import { PUBLIC_KEY_CHARS_MAX } from '@gatehouse/objects/public-key-text';
import { parseSshPublicKey } from './ssh-public-key.ts';

const vector = (name: string): string => readFileSync(new URL(`../test-vectors/keys/${name}`, import.meta.url), 'utf8');
const ED25519 = vector('ed25519.pub').trim();
const BLOB = ED25519.split(' ')[1] ?? '';

function field(data: Buffer | string): Buffer {
  const bytes = Buffer.from(data);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function line(algorithm: string, ...fields: (Buffer | string)[]): string {
  return `${algorithm} ${Buffer.concat([field(algorithm), ...fields.map(field)]).toString('base64')}`;
}

function refusal(text: string): string {
  try {
    parseSshPublicKey(text);
  } catch (error) {
    assert.ok(isServiceError(error), `not a ServiceError: ${String(error)}`);
    assert.equal(error.code, 'INVALID_ARGUMENT');
    return error.message;
  }
  return assert.fail(`accepted ${text.slice(0, 60)}`);
}

describe('an SSH public key that is refused', () => {
  const NOVA = 'Keypair data is invalid: failed to generate fingerprint: ';
  const POINT = Buffer.concat([Buffer.from([4]), Buffer.alloc(64, 1)]);
  const cases: readonly (readonly [name: string, text: string, reason: RegExp])[] = [
    ['no text', '', /^the text is empty$/],
    ['only spaces and lines', ' \n\n', /^the text is empty$/],
    ['one word', 'ssh-rsa', /^one space, and then the key in base64, must follow/],
    ['two spaces before the key, where Nova takes the fingerprint of nothing', ED25519.replace(' ', '  '), /^one space, and then/],
    ['a tab before the key', ED25519.replace(' ', '\t'), /^one space, and then/],
    ['a leading space', ` ${ED25519}`, /begins with a space/],
    ['an options prefix', `no-pty ${ED25519}`, /^options before the key are not accepted/],
    ['options with spaces in them', `command="echo a b",no-pty ${ED25519}`, /^options before the key are not accepted/],
    ['an unknown algorithm', line('ssh-ed448', Buffer.alloc(57)), /^the text must begin with the algorithm, one of ssh-rsa, .*sk-ssh-ed25519@openssh\.com/],
    ['a property of every object as algorithm', line('constructor', Buffer.alloc(32)), /^the text must begin with the algorithm/],
    ['a private key', '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU=\n-----END OPENSSH PRIVATE KEY-----', /^this is a private key.* the file that ends in \.pub$/],
    ['a private key in PEM', '-----BEGIN RSA PRIVATE KEY-----\nMIIE\n', /^this is a private key/],
    ['an X.509 certificate', vector('x509.pem'), /X\.509 certificate: send it with the type x509/],
    ['an RFC 4716 file', `---- BEGIN SSH2 PUBLIC KEY ----\n${BLOB}\n---- END SSH2 PUBLIC KEY ----`, /RFC 4716/],
    ['a public key in PEM', '-----BEGIN PUBLIC KEY-----\nMIIB\n', /PEM/],
    ['a certificate, which no authorized_keys takes for a key', vector('ed25519-cert.pub'), /certificate, which lets nobody in: send the public key/],
    ['a certificate of another kind', vector('ecdsa384-cert.pub'), /certificate, which lets nobody in/],
    ['a blob that ends early', 'ssh-rsa AAAA', /damaged: it ends early/],
    ['not base64', 'ssh-ed25519 !!!! c', /not whole base64/],
    ['base64 without its padding', line('ssh-ed25519', Buffer.alloc(33)).replace(/=+$/, '') + 'A', /not whole base64/],
    ['base64url', `ssh-ed25519 ${BLOB.replaceAll('/', '_').replaceAll('+', '-')}`, /not whole base64/],
    ['base64 with bits left over', line('ssh-ed25519', Buffer.alloc(33)).replace('A=', 'B='), /not whole base64/],
    ['an algorithm named otherwise in the blob', `ssh-rsa ${BLOB}`, /ssh-rsa stands before it, another name in it/],
    ['a NUL in the comment', `${ED25519}\0`, /control character/],
    ['a carriage return in the comment', `${ED25519}\rx`, /control character/],
    ['an Ed25519 key of 31 bytes', line('ssh-ed25519', Buffer.alloc(31)), /has 32 bytes/],
    ['bytes after the last field', line('ssh-ed25519', Buffer.alloc(32), 'more'), /bytes follow its last field/],
    ['a length beyond the blob', `ssh-ed25519 ${Buffer.concat([field('ssh-ed25519'), Buffer.from([255, 255, 255, 255, 1])]).toString('base64')}`, /it ends early/],
    ['a point that is not on the curve', line('ecdsa-sha2-nistp256', 'nistp256', POINT), /its point is not on nistp256/],
    ['a point at infinity', line('ecdsa-sha2-nistp256', 'nistp256', Buffer.alloc(65)), /65 bytes, uncompressed/],
    ['another curve than its name says', line('ecdsa-sha2-nistp256', 'nistp384', POINT), /its curve is not nistp256/],
    ['a key on a FIDO token whose point is not on the curve', line('sk-ecdsa-sha2-nistp256@openssh.com', 'nistp256', POINT, 'ssh:'), /not on nistp256/],
    ['a key on a FIDO token without its application', line('sk-ssh-ed25519@openssh.com', Buffer.alloc(32, 7)), /it ends early/],
    ['a key on a FIDO token with an empty application', line('sk-ssh-ed25519@openssh.com', Buffer.alloc(32, 7), ''), /application .* is missing/],
    ['an RSA key with an even exponent', line('ssh-rsa', Buffer.from([4]), Buffer.alloc(256, 0x7f)), /exponent/],
    ['an RSA key with a negative modulus', line('ssh-rsa', Buffer.from([1, 0, 1]), Buffer.alloc(256, 0xff)), /not above zero/],
    ['an RSA key of 32768 bits', line('ssh-rsa', Buffer.from([1, 0, 1]), Buffer.alloc(4096, 0x7f)), /32767 bits, at most 16384/],
    ['an RSA key with modulus zero', line('ssh-rsa', Buffer.from([1, 0, 1]), Buffer.alloc(0)), /not above zero/],
    ['one of two in the text', `${ED25519}\n${vector('rsa2048.pub')}`, /^one public key on one line is accepted/],
    ['one of two among empty lines', `${ED25519}\r\n\r\n  ${ED25519}\n`, /^one public key on one line is accepted/],
    ['followed by a remark', `${ED25519}\n# mine\n`, /^one public key on one line is accepted/],
    ['longer than the limit, which is named', `${ED25519} ${'c'.repeat(PUBLIC_KEY_CHARS_MAX)}`, /at most 98304 characters/],
    ['a file of a million keys', `${ED25519}\n`.repeat(1_000_000), /at most 98304 characters/],
  ];
  for (const [name, text, reason] of cases) {
    it(`is ${name}`, () => {
      const message = refusal(text);
      assert.ok(message.startsWith(NOVA), message);
      assert.match(message.slice(NOVA.length), reason);
    });
  }

  it('is told of without a word of it, which may be secret', () => {
    for (const text of ['hunter2', 'hunter2 hunter2', '-----BEGIN RSA PRIVATE KEY-----\nhunter2', 'ssh-rsa hunter2', `hunter2 ${ED25519}`]) {
      assert.ok(!refusal(text).includes('hunter2'), text);
    }
  });
});

describe('an SSH public key', () => {
  const known: readonly (readonly [file: string, md5: string, bits: number])[] = [
    ['dsa.pub', '28:bc:88:e0:b8:30:79:fb:7a:1e:d7:6e:5e:a7:9a:91', 1024],
    ['ecdsa256.pub', '75:a0:e1:71:03:e0:70:fa:9b:2a:78:63:0d:82:3f:c6', 256],
    ['ecdsa384.pub', 'd2:0b:cf:73:88:6c:46:de:d0:91:b5:b2:41:b8:b5:3f', 384],
    ['ecdsa521.pub', '03:79:fd:90:fe:c5:9a:15:20:96:b7:04:af:6a:ff:92', 521],
    ['ed25519.pub', '36:f2:57:ec:d0:de:9a:66:0a:2c:7c:e4:83:b7:db:71', 256],
    ['rsa1024.pub', 'b5:4c:d4:44:0f:9d:05:49:9f:cf:e3:ec:fd:59:1c:c2', 1024],
    ['rsa2048.pub', 'be:15:45:1d:ce:34:3b:05:86:d8:25:fc:be:54:6d:15', 2048],
    ['rsa4096.pub', '12:31:0f:03:bc:3e:2e:6d:94:30:34:87:04:c7:7d:9c', 4096],
  ];
  for (const [file, md5, bits] of known) {
    it(`of ${file} has the fingerprint and size that ssh-keygen gives it`, () => {
      const key = parseSshPublicKey(vector(file));
      assert.equal(key.fingerprintMd5, md5);
      assert.equal(key.bits, bits);
    });
  }

  it('has a SHA-256 fingerprint as ssh-keygen writes it', () => {
    assert.equal(parseSshPublicKey(ED25519).fingerprintSha256, 'SHA256:ZEZvByDqAYTsvE6wr/4o9cTL5wSHYpWDh3umb/f7oRM');
  });

  it('may carry no comment, one with spaces, and any line end', () => {
    const bare = `ssh-ed25519 ${BLOB}`;
    assert.equal(parseSshPublicKey(bare).comment, '');
    assert.equal(parseSshPublicKey(`${bare} two words é\n`).comment, 'two words é');
    assert.equal(parseSshPublicKey(`${bare}  \t two\twords\r\n`).comment, 'two\twords');
    assert.equal(parseSshPublicKey(`${bare}\n\n`).fingerprintMd5, '36:f2:57:ec:d0:de:9a:66:0a:2c:7c:e4:83:b7:db:71');
  });

  it('on a FIDO token is read with the application it is bound to', () => {
    const ed25519 = line('sk-ssh-ed25519@openssh.com', Buffer.alloc(32, 7), 'ssh:');
    assert.equal(parseSshPublicKey(`${ed25519} token`).algorithm, 'sk-ssh-ed25519@openssh.com');
    const point = Buffer.from(vector('ecdsa256.pub').split(' ')[1] ?? '', 'base64').subarray(-65);
    assert.equal(parseSshPublicKey(line('sk-ecdsa-sha2-nistp256@openssh.com', 'nistp256', point, 'ssh:')).bits, 256);
  });

  it('that is weak is read, and says why', () => {
    assert.match(parseSshPublicKey(vector('rsa1024.pub')).weakness ?? '', /1024 bits is too short, 2048/);
    assert.match(parseSshPublicKey(vector('dsa.pub')).weakness ?? '', /ssh-dss/);
    assert.equal(parseSshPublicKey(vector('rsa2048.pub')).weakness, null);
  });
});

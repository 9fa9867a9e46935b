import assert from 'node:assert/strict';
import { ServiceError } from '@gatehouse/errors/service-error';
import { cpuMsOf } from '../../../test/servers/running-time.ts';
import { captureLog } from './fixtures/capture-log.ts';
import { isSecretName, redactFields, redactText } from './redact.ts';

const PLANTED = 'pLaNtEd-SeCrEt-0123456789';

describe('redaction', () => {
  const names = ['token', 'X-Auth-Token', 'tokens', 'clear_token', 'metadataSecrets', 'attachSecret', 'password', 'adminPass',
    'passwd', 'Authorization', 'proxy-authorization', 'private_key', 'privateKey', 'accessUrl', 'access_url', 'Cookie', 'set-cookie'];
  for (const name of names) {
    it(`hides a field named ${name} at any depth`, () => {
      const log = captureLog();
      log.logger.info({ [name]: PLANTED, a: { b: [{ c: { [name]: PLANTED } }], m: new Map([[name, PLANTED]]) } }, 'here');
      log.logger.child({ [name]: PLANTED }).child({ deeper: { [name]: [PLANTED] } }).warn('there');
      assert.equal(log.lines().length, 2);
      assert.ok(!log.text().includes(PLANTED), log.text());
    });
  }

  const texts = [
    `GET /websockify?token=${PLANTED}&x=1`,
    `http://127.0.0.1:6080/vnc#token=${PLANTED}`,
    `/vnc_lite.html?path=%3Ftoken%3D${PLANTED}`,
    `GET /v2.1/os-console-auth-tokens/${PLANTED}?x=1`,
    `Sec-WebSocket-Protocol: binary, token.${PLANTED}`,
    `amqp://gatehouse:${PLANTED}@broker:5672/`,
    `Authorization: Bearer ${PLANTED}`,
    `-----BEGIN OPENSSH PRIVATE KEY-----\n${PLANTED}\n-----END OPENSSH PRIVATE KEY-----`,
  ];
  for (const text of texts) {
    it(`hides the secret inside "${text.slice(0, 30)}..." wherever it stands`, () => {
      const log = captureLog();
      log.logger.info(text);
      log.logger.info({ url: text, list: [text] }, 'fields');
      log.logger.error(new Error(text, { cause: new ServiceError('INTERNAL', text) }), 'errors');
      log.logger.child({ text }).info('bindings');
      assert.equal(log.lines().length, 4);
      assert.ok(!log.text().includes(PLANTED), log.text());
    });
  }

  for (const piece of ['a-', 'a', '://', 'a://b:', 'token', 'token=', 'Bearer ', '-----BEGIN ', '-----BEGIN PRIVATE KEY-----', '-----END ']) {
    it(`takes time in step with the length of "${piece}" said again and again`, () => {
      const text = piece.repeat(Math.ceil(65_536 / piece.length));
      const tookMs = cpuMsOf(() => void redactText(text));
      assert.ok(tookMs < 250, `${tookMs} ms for ${text.length} characters`);
    });
  }

  it('hides the values of raw header lists', () => {
    const clean = redactFields(['Host', 'localhost', 'X-Auth-Token', PLANTED, 'Cookie', PLANTED]);
    assert.deepEqual(clean, ['Host', 'localhost', 'X-Auth-Token', '[redacted]', 'Cookie', '[redacted]']);
  });

  it('leaves what only sounds like a secret', () => {
    assert.deepEqual(redactFields({ tokenTtlSeconds: 600, tokens: 3, secretUsed: true }), { tokenTtlSeconds: 600, tokens: 3, secretUsed: true });
    assert.equal(redactText('the token has expired'), 'the token has expired');
    assert.equal(redactText('token.service is not running'), 'token.service is not running');
    assert.equal(isSecretName('keyName'), false);
  });

  it('copes with cycles, depth, size, bytes, getters that throw, and odd values', () => {
    const cycle: Record<string, unknown> = { name: 'cycle' };
    cycle['self'] = cycle;
    let deep: unknown = 'bottom';
    for (let level = 0; level < 100; level += 1) deep = { deep };
    const hostile = Object.defineProperty({}, 'bad', { enumerable: true, get: () => { throw new Error('no'); } });
    const log = captureLog();
    log.logger.info({ cycle, deep, hostile, long: 'x'.repeat(100_000), many: Array.from({ length: 10_000 }, () => 1),
      bytes: new Uint8Array(9), big: 10n, when: new Date(0), never: new Date(Number.NaN), work: () => 1 }, 'odd');
    const [line] = log.lines();
    assert.equal(line?.['bytes'], '[9 bytes]');
    assert.equal(line?.['big'], '10');
    assert.deepEqual(line?.['hostile'], { bad: '[unreadable]' });
    assert.deepEqual(line?.['cycle'], { name: 'cycle', self: '[cycle]' });
    assert.equal(line?.['when'], '1970-01-01T00:00:00.000Z');
    assert.ok(log.text().length < 12_000);
  });
});

import assert from 'node:assert/strict';
import { isServiceError } from '@gatehouse/errors/service-error';
import { silentLogger } from '@gatehouse/runtime/logger';
import { consoleProxyConfig } from '../config.ts';
import { readDialMeans } from './dial-settings.ts';

const means = (settings: Readonly<Record<string, string>>): ReturnType<typeof readDialMeans> => readDialMeans(consoleProxyConfig.parse(settings), silentLogger);

describe('the settings of hosts that are dialled', () => {
  const refused: readonly (readonly [string, Readonly<Record<string, string>>, RegExp])[] = [
    ['TLS without an authority', { dialTls: 'required' }, /GATEHOUSE_DIAL_TLS_CA is not set/],
    ['VeNCrypt without an authority', { vncAuthSchemes: 'none,vencrypt' }, /GATEHOUSE_DIAL_TLS_CA is not set/],
    ['a certificate of ours without an authority', { dialTlsCert: '/c.pem', dialTlsKey: '/k.pem' }, /GATEHOUSE_DIAL_TLS_CA is not set/],
    ['a certificate without its key', { dialTlsCa: '/ca.pem', dialTlsCert: '/c.pem' }, /GATEHOUSE_DIAL_TLS_CERT and GATEHOUSE_DIAL_TLS_KEY belong together/],
    ['a key without its certificate', { dialTlsCa: '/ca.pem', dialTlsKey: '/k.pem' }, /belong together/],
    ['schemes without TLS where it is required', { dialTls: 'required', dialTlsCa: '/ca.pem', vncAuthSchemes: 'vencrypt,none' }, /GATEHOUSE_VNC_AUTH_SCHEMES is vencrypt,none, .* set vencrypt/],
    ['the password scheme without a password', { vncAuthSchemes: 'vnc' }, /GATEHOUSE_VNC_PASSWORD_FILE is not set/],
    ['an authority that cannot be read', { dialTlsCa: '/no/such/ca.pem' }, /GATEHOUSE_DIAL_TLS_CA names \/no\/such\/ca\.pem, which cannot be read/],
    ['an authority that is no PEM file', { dialTlsCa: '/dev/null' }, /which is no PEM file/],
  ];
  for (const [what, settings, words] of refused) {
    it(`are refused at the start with ${what}, by name`, () => {
      assert.throws(() => means(settings), (error) => isServiceError(error) && error.code === 'INVALID_ARGUMENT' && words.test(error.message));
    });
  }

  it('test_load_unknown: a scheme that nobody knows is refused by name', () => {
    assert.throws(() => means({ vncAuthSchemes: 'none,tls' }), /set some of none, vencrypt, vnc/);
  });

  it('test_load_ok: both of Nova\'s schemes are known, and stand in the order that is set', () => {
    assert.throws(() => means({ vncAuthSchemes: 'vencrypt,none' }), /GATEHOUSE_DIAL_TLS_CA/);
    assert.deepEqual(means({ vncAuthSchemes: 'vnc,none', vncPasswordFile: '/p' }).vnc.schemes, ['vnc', 'none']);
  });

  it('accept None and dial in clear when nothing is set', () => {
    const { tlsRequired, tls, vnc } = means({});
    assert.deepEqual([tlsRequired, tls, vnc], [false, null, { schemes: ['none'], tls: null, passwordFile: null }]);
  });
});

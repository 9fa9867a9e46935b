import assert from 'node:assert/strict';
import { originPolicy, type OriginSettings } from './origin-policy.ts';

const PLAIN = { isTls: false, saidScheme: null } as const;
const TLS = { host: 'console.example', isTls: true, saidScheme: null } as const;
const OPEN: OriginSettings = { allowedOrigins: [], originRequired: false, originSchemes: [] };

describe('the origin policy', () => {
  const table: readonly (readonly [string, Partial<OriginSettings>, string | undefined, string | undefined, boolean])[] = [
    ['lets in a client without an Origin', {}, undefined, 'console.example:6080', true],
    ['refuses a client without an Origin where one is required', { originRequired: true }, undefined, 'console.example', false],
    ['refuses an empty Origin', {}, '', 'console.example', false],
    ['refuses the Origin null', {}, 'null', 'console.example', false],
    ['refuses what is no origin', {}, 'console.example', 'console.example', false],
    ['refuses an Origin with a path', {}, 'http://console.example/x', 'console.example', false],
    ['refuses an Origin with a user', {}, 'http://console.example@evil.example', 'console.example', false],
    ['refuses another host', {}, 'http://evil.example', 'console.example', false],
    ['refuses a host that only begins like ours', {}, 'http://console.example.evil.example', 'console.example', false],
    ['refuses any page when there is no Host to compare with', {}, 'http://console.example', undefined, false],
    ['refuses a listed page that names no Host: no browser does', { allowedOrigins: ['console.example'] }, 'http://console.example', undefined, false],
    ['lets in a program that names no Host', {}, undefined, undefined, true],
    ['refuses other extensions than the listed one', { allowedOrigins: ['chrome-extension://good'] }, 'chrome-extension://evil', 'console.example', false],
    ['lets in a listed extension', { allowedOrigins: ['chrome-extension://good'] }, 'chrome-extension://good', 'console.example', true],
    ['refuses any page when the Host is garbage', {}, 'http://console.example', 'a/b?c', false],
    ['lets in the same host', {}, 'http://console.example', 'console.example', true],
    ['compares hosts, not ports, as Nova does', {}, 'http://console.example:8443', 'console.example:6080', true],
    ['compares without case (Nova does not)', {}, 'http://localhost:6080', 'LOCALHOST:6080', true],
    ['compares IPv6 hosts', {}, 'http://[2001:db8::1]:6080', '[2001:DB8:0::1]:6080', true],
    ['takes the loopback names for one', {}, 'http://localhost:6080', '127.0.0.1:6080', true],
    ['takes the loopback names for one, IPv6 too', {}, 'http://[::1]:6080', 'localhost:6080', true],
    ['takes no other name for the loopback', {}, 'http://localhost.example', '127.0.0.1', false],
    ['lets in a listed host', { allowedOrigins: ['dash.example'] }, 'https://Dash.Example:8443', 'console.example', true],
    ['lets in a listed origin', { allowedOrigins: ['https://dash.example'] }, 'https://dash.example', 'console.example', true],
    ['refuses a listed origin on another port', { allowedOrigins: ['https://dash.example'] }, 'https://dash.example:8443', 'console.example', false],
    ['refuses a listed origin by another scheme', { allowedOrigins: ['https://dash.example'] }, 'http://dash.example', 'console.example', false],
    ['refuses a scheme that is not configured', { originSchemes: ['https'] }, 'http://console.example', 'console.example', false],
    ['lets in a scheme that is configured', { originSchemes: ['https'] }, 'https://console.example', 'console.example', true],
  ];
  for (const [what, settings, origin, host, welcome] of table) {
    it(what, () => assert.equal(originPolicy({ ...OPEN, ...settings })(origin, { host, ...PLAIN }) === null, welcome));
  }

  const https: readonly (readonly [string, Partial<OriginSettings>, string, boolean])[] = [
    ['lets in the same host by TLS', {}, 'https://console.example', true],
    ['refuses the same host in clear when TLS ends here', {}, 'http://console.example', false],
    ['refuses a listed host in clear when TLS ends here', { allowedOrigins: ['dash.example'] }, 'http://dash.example', false],
    ['lets in a listed origin in clear, for it was listed so', { allowedOrigins: ['http://dash.example'] }, 'http://dash.example', true],
    ['lets in the schemes that are configured, though TLS ends here', { originSchemes: ['http', 'https'] }, 'http://console.example', true],
  ];
  for (const [what, settings, origin, welcome] of https) {
    it(what, () => assert.equal(originPolicy({ ...OPEN, ...settings })(origin, TLS) === null, welcome));
  }

  it('takes a balancer\'s word for the scheme in place of the Origin\'s, as Nova does, but not for one that must be', () => {
    const check = originPolicy(OPEN);
    assert.equal(check('http://console.example', { ...TLS, saidScheme: 'https' }), null);
    assert.notEqual(check('https://console.example', { ...TLS, saidScheme: 'http' }), null);
    assert.notEqual(originPolicy({ ...OPEN, originSchemes: ['https'] })('http://console.example', { ...TLS, saidScheme: 'https' }), null);
  });

  it('is not changed by who asked before (OSSN-0101)', () => {
    const settings = Object.freeze({ ...OPEN, allowedOrigins: Object.freeze(['dash.example']) });
    const check = originPolicy(settings);
    assert.equal(check('http://evil.example', { host: 'evil.example', ...PLAIN }), null);
    assert.notEqual(check('http://evil.example', { host: 'console.example', ...PLAIN }), null);
    assert.deepEqual(settings.allowedOrigins, ['dash.example']);
  });

  it('refuses a setting that is neither host nor origin, by name', () => {
    for (const entry of ['a b', 'https://', 'https://x/path', 'host:80', 'ftp//x']) {
      assert.throws(() => originPolicy({ ...OPEN, allowedOrigins: [entry] }), /GATEHOUSE_ALLOWED_ORIGINS/, entry);
    }
  });

  it('shows at most 60 characters of a page that it refuses', () => {
    const words = originPolicy(OPEN)(`http://${'e'.repeat(500)}.example`, { host: 'console.example', ...PLAIN });
    assert.ok(words !== null && words.length <= 123);
  });
});

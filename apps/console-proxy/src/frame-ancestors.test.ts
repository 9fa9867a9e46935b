import assert from 'node:assert/strict';
import { frameHeaders } from './frame-ancestors.ts';

describe('who may show a console in a frame', () => {
  for (const entry of ['none', "'self'", '*', 'dashboard.example.org', 'https://dashboard.example.org/path', 'https://a; script-src *', 'https://a b', 'javascript:alert(1)', 'https://', 'https://a\r\nX: y']) {
    it(`is never made of ${JSON.stringify(entry)} beside others`, () => {
      assert.throws(() => frameHeaders(['self', entry]), /GATEHOUSE_FRAME_ANCESTORS names .+: set self, none alone, or an origin/);
    });
  }

  it('is nobody by none, and by nothing', () => {
    for (const entries of [[], ['none']]) assert.deepEqual(frameHeaders(entries), { directive: "frame-ancestors 'none'", option: 'DENY' });
  });

  it('is the same origin by self, which old browsers understand, too', () => {
    assert.deepEqual(frameHeaders(['self']), { directive: "frame-ancestors 'self'", option: 'SAMEORIGIN' });
  });

  it('is whoever was named, of whom old browsers are told nothing', () => {
    const entries = ['self', 'https://dashboard.example.org', 'http://10.0.0.7:8080', 'https://*.example.net/', 'https://[2001:db8::1]:8443'];
    assert.deepEqual(frameHeaders(entries), {
      directive: "frame-ancestors 'self' https://dashboard.example.org http://10.0.0.7:8080 https://*.example.net https://[2001:db8::1]:8443", option: null,
    });
  });
});

import assert from 'node:assert/strict';
import { cpuMsOf } from '../../../test/servers/running-time.ts';
import { readConsoleTypes, readToken, type TokenPlaces } from './token-intake.ts';

const places = (given: Partial<TokenPlaces>): TokenPlaces => ({ subprotocolToken: null, url: '/websockify', cookie: undefined, ...given });

describe('the token', () => {
  const table: readonly (readonly [string, Partial<TokenPlaces>, string | null])[] = [
    ['is absent when nothing shows one', {}, null],
    ['comes from the subprotocol before anything else', { subprotocolToken: 's', url: '/?token=q', cookie: 'token=c' }, 's'],
    ['comes from the query before the cookie', { url: '/websockify?token=q', cookie: 'token=c' }, 'q'],
    ['is the last of several in the query', { url: '/?token=a&token=b' }, 'b'],
    ['is the last that is not empty in the query', { url: '/?token=a&token=' }, 'a'],
    ['is looked for further when the query has an empty one', { url: '/?token=', cookie: 'token=c' }, 'c'],
    ['is looked for further when the subprotocol has an empty one', { subprotocolToken: '', url: '/?token=q' }, 'q'],
    ['comes from a nested path as noVNC pages are given it', { url: '/?path=?token=n' }, 'n'],
    ['comes from a nested path that is escaped', { url: '/?path=%3Ftoken%3Dn' }, 'n'],
    ['comes from a nested path with a name before it', { url: '/vnc?path=websockify%3Ftoken%3Dn' }, 'n'],
    ['is the last of several in a nested path', { url: '/?path=%3Ftoken%3Da%26token%3Db' }, 'b'],
    ['comes from the query before a nested path', { url: '/?path=?token=n&token=q' }, 'q'],
    ['is none in a nested path without a query', { url: '/?path=token%3Dn' }, null],
    ['is none in a path nested twice', { url: '/?path=%3Fpath%3D%253Ftoken%253Dn' }, null],
    ['comes from the cookie', { cookie: 'theme=dark; token=c' }, 'c'],
    ['is the last of several in the cookie', { cookie: 'token=a; token=b' }, 'b'],
    ['loses its quotes in the cookie', { cookie: 'token="c"' }, 'c'],
    ['is found behind garbage in the cookie', { cookie: '=;;"; {garbage"; token=c; ?=' }, 'c'],
    ['is none when the last of several in the cookie is empty', { cookie: 'token=a; token=' }, null],
    ['is found between spaces in the cookie', { cookie: ' token = c ' }, 'c'],
    ['is not taken from a cookie of another name', { cookie: 'mytoken=c; token2=d' }, null],
    ['is unescaped in the query', { url: '/?token=a%2Db' }, 'a-b'],
    ['lives through a query that is no query', { url: '/?%E0%A4%A&token=q' }, 'q'],
  ];
  for (const [what, given, expected] of table) {
    it(what, () => assert.equal(readToken(places(given)), expected));
  }

  it('is looked for in a time that grows with the length of the head alone', () => {
    const tookMs = cpuMsOf(() => {
      for (const spaces of [' '.repeat(16_000), '" '.repeat(8_000), ';='.repeat(8_000)]) {
        assert.equal(readToken(places({ cookie: `token=${spaces}a b` })), null);
        assert.equal(readToken(places({ cookie: `token${spaces}` })), null);
      }
    });
    assert.ok(tookMs < 300, `${tookMs} ms`);
  });
});

describe('what the asking page can show', () => {
  for (const [title, url, types] of [
    ['is read where the page says it', '/websockify?console_type=serial', ['serial']],
    ['is anything where the page says nothing', '/websockify', undefined],
    ['is anything where the word is no console type', '/websockify?console_type=constructor', undefined],
  ] as const) {
    it(title, () => assert.deepEqual(readConsoleTypes(url), types));
  }
});

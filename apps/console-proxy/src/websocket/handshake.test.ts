import assert from 'node:assert/strict';
import { originOf, readHandshake } from './handshake.ts';

function offer(headers: Record<string, string | undefined>, method = 'GET', minor = 1): ReturnType<typeof readHandshake> {
  const sound = { upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' };
  return readHandshake({ method, headers: { ...sound, ...headers }, httpVersionMajor: 1, httpVersionMinor: minor });
}

describe('the handshake refuses', () => {
  const table: readonly (readonly [string, RegExp, () => ReturnType<typeof readHandshake>])[] = [
    ['another method', /^HTTP\/1\.1 400 /, () => offer({}, 'POST')],
    ['HTTP/1.0', /^HTTP\/1\.1 400 /, () => offer({}, 'GET', 0)],
    ['another upgrade', /^HTTP\/1\.1 400 /, () => offer({ upgrade: 'h2c' })],
    ['an old version, and says which it speaks', /^HTTP\/1\.1 400 [^]*Sec-WebSocket-Version: 13, 8, 7\r\n[^]*Unsupported protocol version 6;/, () => offer({ 'sec-websocket-version': '6' })],
    ['a version of the future', /^HTTP\/1\.1 400 /, () => offer({ 'sec-websocket-version': '14' })],
    ['two versions', /^HTTP\/1\.1 400 /, () => offer({ 'sec-websocket-version': '13, 8' })],
    ['a missing version', /^HTTP\/1\.1 400 /, () => offer({ 'sec-websocket-version': undefined })],
    ['a missing key', /^HTTP\/1\.1 400 /, () => offer({ 'sec-websocket-key': undefined })],
    ['a key that is not 16 bytes', /^HTTP\/1\.1 400 /, () => offer({ 'sec-websocket-key': 'dG9vIHNob3J0' })],
    ['subprotocols of which it speaks none, as Nova does', /400 [^]*Invalid protocol selected/, () => offer({ 'sec-websocket-protocol': 'base64, chat' })],
    ['a grant without a subprotocol to answer', /^HTTP\/1\.1 400 /, () => offer({ 'sec-websocket-protocol': 'resume.abc' })],
    ['a token without a subprotocol to answer', /^HTTP\/1\.1 400 /, () => offer({ 'sec-websocket-protocol': 'token.abc' })],
  ];
  for (const [what, answer, attempt] of table) {
    it(what, () => {
      const handshake = attempt();
      assert.equal(handshake.ok, false);
      assert.match(handshake.answer, answer);
      assert.match(handshake.answer, /\r\n\r\n[^]+\n$/);
    });
  }
});

describe('the handshake answers', () => {
  it('with the proof of RFC 6455 1.3 and no subprotocol when none was offered', () => {
    const handshake = offer({});
    assert.ok(handshake.ok);
    assert.match(handshake.answer, /\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n\r\n$/);
    assert.equal(handshake.protocol, null);
  });

  it('clients of the last drafts, whose pages are named by another header', () => {
    for (const version of ['8', '7']) assert.ok(offer({ 'sec-websocket-version': version }).ok);
    assert.equal(originOf({ headers: { 'sec-websocket-origin': 'http://a.example' } }), 'http://a.example');
    assert.equal(originOf({ headers: { origin: '', 'sec-websocket-origin': 'http://a.example' } }), '');
    assert.equal(originOf({ headers: {} }), undefined);
  });

  const table: readonly (readonly [string, string, string | null, string?])[] = [
    ['binary', 'binary', null],
    ['binary, base64', 'binary', null],
    ['base64, binary', 'binary', null],
    ['binary, gatehouse.v1', 'gatehouse.v1', null],
    ['gatehouse.v1, binary, token.aB-_9', 'gatehouse.v1', 'aB-_9'],
    ['binary,token.x', 'binary', 'x'],
    ['token.x, token.y, binary', 'binary', 'y'],
    ['gatehouse.v1, token.x, resume.aB-_9', 'gatehouse.v1', 'x', 'aB-_9'],
    ['resume.x, resume.y, binary', 'binary', null, 'y'],
  ];
  for (const [offered, chosen, token, resumeGrant = null] of table) {
    it(`"${offered}" with ${chosen}, and never with a credential`, () => {
      const handshake = offer({ 'sec-websocket-protocol': offered });
      assert.ok(handshake.ok);
      assert.equal(handshake.protocol, chosen);
      assert.equal(handshake.token, token);
      assert.ok(handshake.answer.includes(`Sec-WebSocket-Protocol: ${chosen}\r\n`));
      assert.equal(handshake.resumeGrant, resumeGrant);
      assert.doesNotMatch(handshake.answer, /token\.|resume\./);
    });
  }
});

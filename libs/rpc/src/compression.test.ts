import assert from 'node:assert/strict';
import { deflateSync, gzipSync } from 'node:zlib';
import { unpackBody } from './compression.ts';
import { refusal } from './conformance.ts';
import { BODY_BYTES_MAX, decodeReply, decodeRequest } from './envelope.ts';
import { readRecording } from './fixtures/test-vectors.ts';

const published = readRecording('11-compression').frames.filter(({ method }) => method === 'basic.publish');
const [request, reply] = published.map(({ body_base64: text, properties }) => ({
  body: Buffer.from(text ?? '', 'base64'),
  headers: properties?.['application_headers'] as Record<string, unknown>,
}));

describe('a compressed body', () => {
  it('that would unpack to more than a body may have is refused', () => {
    const bomb = deflateSync(Buffer.alloc(BODY_BYTES_MAX + 1));
    assert.ok(bomb.length < 20_000);
    assert.throws(() => unpackBody(bomb, { compression: 'application/x-gzip' }), refusal('INVALID_ARGUMENT', /more than 16777216 bytes/));
  });

  it('that is not what its header says is refused', () => {
    for (const compression of ['application/x-gzip', 'application/x-bz2']) {
      for (const body of [Buffer.alloc(0), Buffer.from('{}'), request?.body.subarray(0, 50) ?? Buffer.alloc(0)]) {
        assert.throws(() => unpackBody(body, { compression }), refusal('INVALID_ARGUMENT', /^the compressed body is broken$/));
      }
    }
  });

  it('of another kind is refused with those that are read', () => {
    for (const compression of ['application/x-lzma', 'bz2', '', 7, {}, 'constructor']) {
      assert.throws(() => unpackBody(Buffer.from('{}'), { compression }), refusal('INVALID_ARGUMENT', /compression: expected application\/x-gzip or application\/x-bz2/));
    }
  });

  it('is read as kombu made it: a request as bzip2, its reply as gzip', () => {
    const { message } = decodeRequest(unpackBody(request?.body ?? Buffer.alloc(0), request?.headers));
    assert.deepEqual('args' in message ? [message.method, Object.keys(message.args)] : message, ['echo', ['value']]);
    const { result } = decodeReply(unpackBody(reply?.body ?? Buffer.alloc(0), reply?.headers));
    assert.equal(result, 'args' in message ? message.args['value'] : null);
    assert.match(String(result), /^x{100,}$/);
  });

  it('is itself where no header says otherwise', () => {
    const body = Buffer.from('{}');
    for (const headers of [undefined, {}, { other: 1 }, { compression: null }]) assert.equal(unpackBody(body, headers), body);
  });

  it('may be in gzip\'s own format as well', () => {
    const body = Buffer.from('{"a": "é"}'.repeat(1_000));
    assert.ok(unpackBody(gzipSync(body), { compression: 'gzip' }).equals(body));
    assert.ok(unpackBody(deflateSync(body), { compression: 'zlib' }).equals(body));
  });
});

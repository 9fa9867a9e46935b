import assert from 'node:assert/strict';
import { ServiceError } from '@gatehouse/errors/service-error';
import { refusal } from './conformance.ts';
import { BODY_BYTES_MAX, decodeReply, decodeRequest, encodeRequest, newMessageId } from './envelope.ts';
import type { RequestMessage } from './transport.ts';

const envelope = (message: string): Buffer => Buffer.from(JSON.stringify({ 'oslo.version': '2.0', 'oslo.message': message }));

function accepted(body: Buffer | string): RequestMessage {
  const { message } = decodeRequest(Buffer.from(body));
  if (message instanceof ServiceError) throw message;
  return message;
}

describe('the envelope', () => {
  const unreadable: readonly (readonly [name: string, body: string | Buffer, words: RegExp])[] = [
    ['nothing', '', /not JSON/],
    ['half a text', '{"oslo.version": "2.0", "oslo.mess', /not JSON/],
    ['a list', '[]', /not a JSON object/],
    ['null', 'null', /not a JSON object/],
    ['bytes that are no UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), /not UTF-8/],
    ['a newer envelope', '{"oslo.version": "2.1", "oslo.message": "{}"}', /oslo\.version: expected 2\.0/],
    ['an older envelope', '{"oslo.version": "1.0", "oslo.message": "{}"}', /oslo\.version: expected 2\.0/],
    ['a revision of the envelope, which oslo refuses as well', '{"oslo.version": "2.0.1", "oslo.message": "{}"}', /oslo\.version: expected 2\.0/],
    ['a message that is no text', '{"oslo.version": "2.0", "oslo.message": {}}', /oslo\.message: expected a text/],
    ['a message that is no JSON', '{"oslo.version": "2.0", "oslo.message": "{"}', /oslo\.message is not JSON/],
    ['a message that is a list', envelope('[1]'), /oslo\.message is not a JSON object/],
    ['a deep body', '['.repeat(200_000), /nested deeper than 100/],
    ['a deep message', envelope(`{"args": ${'{"a":'.repeat(101)}1${'}'.repeat(101)}}`), /nested deeper than 100/],
    ['a body beyond the limit', Buffer.alloc(BODY_BYTES_MAX + 1, 0x20), /at most 16777216/],
  ];
  for (const [name, body, words] of unreadable) {
    it(`refuses ${name}`, () => {
      assert.throws(() => decodeRequest(Buffer.from(body)), refusal('INVALID_ARGUMENT', words));
      assert.throws(() => decodeReply(Buffer.from(body)), refusal('INVALID_ARGUMENT', words));
    });
  }

  it('never quotes the body in a refusal: it may hold a token', () => {
    assert.throws(
      () => decodeRequest(envelope('{"_context_auth_token": "s3cret", nonsense')),
      (error: unknown) => error instanceof ServiceError && !/s3cret/.test(`${error.message}${String(error.cause)}`),
    );
  });

  it('answers a message that can be answered, whatever it asks', () => {
    const nonsense: readonly (readonly [part: object, words: RegExp])[] = [
      [{}, /method: expected a name/],
      [{ method: 7 }, /method: expected a name/],
      [{ method: 'a'.repeat(256) }, /method: expected a name/],
      [{ method: 'a', args: [] }, /args: expected an object/],
      [{ method: 'a', args: null }, /args: expected an object/],
      [{ method: 'a', version: '1' }, /version: expected a version like 1\.0/],
      [{ method: 'a', version: 1.2 }, /version: expected a version like 1\.0/],
      [{ method: 'a', namespace: 5 }, /namespace: expected a name or null/],
    ];
    for (const [part, words] of nonsense) {
      const { address, message } = decodeRequest(envelope(JSON.stringify({ ...part, _msg_id: 'm', _reply_q: 'q' })));
      assert.deepEqual([address.msgId, address.replyQueue], ['m', 'q']);
      refusal('INVALID_ARGUMENT', words)(message);
    }
  });

  it('takes nothing from __proto__', () => {
    const { args, context } = accepted(envelope('{"method": "a", "args": {"__proto__": {"x": 1}}, "_context___proto__": {"y": 2}}'));
    assert.equal((args as { x?: number }).x, undefined);
    assert.equal((context as { y?: number }).y, undefined);
  });

  it('counts brackets outside of texts only', () => {
    const text = `${'['.repeat(500)}\\"${'{'.repeat(500)}\\\\`;
    assert.deepEqual(accepted(envelope(`{"method": "a", "args": {"text": "${text}"}}`)).args, { text: JSON.parse(`"${text}"`) as string });
  });

  it('refuses to send what is too large', () => {
    const args = { text: 'x'.repeat(BODY_BYTES_MAX) };
    assert.throws(() => encodeRequest({ method: 'a', args, namespace: null, version: null, context: {} }, null), refusal('INVALID_ARGUMENT', /at most/));
  });

  it('takes a message without envelope, and fills in what oslo does', () => {
    assert.deepEqual(decodeRequest(Buffer.from('{"method": "a", "_timeout": "30"}')), {
      address: { msgId: null, replyQueue: null, uniqueId: null, monitorTimeoutMs: 30_000 },
      message: { method: 'a', args: {}, namespace: null, version: null, context: {} },
    });
  });

  it('has no way back to a name that no queue can have', () => {
    for (const name of ['é'.repeat(128), 'x'.repeat(256), '']) assert.equal(decodeRequest(Buffer.from(JSON.stringify({ method: 'a', _reply_q: name }))).address.replyQueue, null);
  });

  it('asks for signs of life no more rarely than a timer can count', () => {
    for (const [seconds, ms] of [[5_000_000, 86_400_000], ['99999999999', 86_400_000], [1e300, 86_400_000], [86_400, 86_400_000], [2.9, 2_000]] as const) {
      assert.equal(decodeRequest(Buffer.from(JSON.stringify({ method: 'a', _timeout: seconds }))).address.monitorTimeoutMs, ms);
    }
  });

  it('numbers its messages without repeating', () => {
    const ids = Array.from({ length: 1000 }, newMessageId);
    assert.equal(new Set(ids).size, 1000);
    for (const id of ids) assert.match(id, /^(?!.*\d{16})[0-9a-f]{32}$/);
  });
});

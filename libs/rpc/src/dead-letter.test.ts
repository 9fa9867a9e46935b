import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { JsonObject } from '@gatehouse/objects/field';
import { deadLetter } from './dead-letter.ts';
import type { DeadLetterFacts } from './dead-letter.ts';

const TOKEN = 'f3b1c0de-5ec2-4e7f-a11d-70c3a570cabc';
const facts: DeadLetterFacts = {
  reason: 'the body is not JSON',
  topic: 'consoleauth',
  server: 'host1',
  queue: 'consoleauth.host1',
  exchange: 'nova',
  contentType: 'application/json',
  losses: 0,
  at: new Date('2026-01-02T03:04:05.678Z'),
};

function letterOf(message: JsonObject | string): JsonObject {
  const text = typeof message === 'string' ? message : JSON.stringify({ 'oslo.version': '2.0', 'oslo.message': JSON.stringify(message) });
  return deadLetter(Buffer.from(text), facts);
}

describe('a dead letter', () => {
  it('shows no token, wherever in the arguments or the context one stands', () => {
    const places: readonly JsonObject[] = [
      { method: 'authorize', args: { token: TOKEN } },
      { method: 'authorize', args: { tokens: [TOKEN, { deep: { [TOKEN]: TOKEN } }] } },
      { method: 'authorize', args: { [TOKEN]: 1 } },
      { method: 'authorize', args: {}, _context_auth_token: TOKEN },
      { method: 'authorize', args: {}, [`_context_${TOKEN}`]: 1 },
      { method: 'authorize', args: {}, _context_request_id: TOKEN, _context_service_catalog: [{ token: TOKEN }] },
      { method: `authorize ${TOKEN}`, args: {}, namespace: TOKEN },
      { method: 7, args: { token: TOKEN }, version: TOKEN },
      { method: 'authorize', args: [TOKEN] },
      { method: 'authorize', args: {}, _msg_id: `t ${TOKEN}`, _unique_id: `t ${TOKEN}`, _reply_q: TOKEN, token: TOKEN },
    ];
    for (const message of places) assert.doesNotMatch(JSON.stringify(letterOf(message)), /f3b1c0de|70c3a570cabc/, JSON.stringify(message));
  });

  it('shows nothing of a body that cannot be read, nor of a content type that is none', () => {
    const bodies = [`${TOKEN}`, `{"token": "${TOKEN}"`, `["${TOKEN}"]`, JSON.stringify({ 'oslo.version': '9.9', 'oslo.message': TOKEN })];
    for (const body of bodies) assert.doesNotMatch(JSON.stringify(letterOf(body)), /f3b1c0de/, body);
    const letter = deadLetter(Buffer.from([0xff, 0xfe]), { ...facts, contentType: TOKEN });
    assert.deepEqual([letter['bytes'], letter['content_type']], [2, 'another']);
    assert.doesNotMatch(JSON.stringify(letter), /f3b1c0de/);
  });

  it('shows no value of any arguments or context', () => {
    const secret = fc.stringMatching(/^[A-Z][0-9A-Z]{11}$/);
    const holding = secret.chain((value) =>
      fc.record({
        value: fc.constant(value),
        args: fc.dictionary(fc.oneof(fc.string(), fc.constant(value)), fc.oneof(fc.constant(value), fc.array(fc.constant(value)), fc.dictionary(fc.constant(value), fc.constant(value)))),
        key: fc.oneof(fc.string(), fc.constant(value)),
      }),
    );
    fc.assert(
      fc.property(holding, ({ value, args, key }) => {
        const letter = letterOf({ method: 'm', args, [`_context_${key}`]: value } as JsonObject);
        return !JSON.stringify(letter).includes(value);
      }),
      { seed: 20260701 },
    );
  });

  it('stays small, however large the message', () => {
    const args = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`a${'b'.repeat(i % 200)}_${'c'.repeat(Math.trunc(i / 200))}`, 'x'.repeat(100)]));
    assert.ok(JSON.stringify(letterOf({ method: 'm', args })).length < 8_000);
  });

  it('says why and from where, and which request it was', () => {
    const id = '0123456789abcdef0123456789abcdef';
    const letter = letterOf({
      method: 'authorize_console',
      version: '2.1',
      namespace: null,
      args: { instance_uuid: 'u', port: 5900, access: null, options: { a: 1 }, list: [1, 2], Odd: 1 },
      _msg_id: id,
      _unique_id: id,
      _context_request_id: 'req-00000000-0000-4000-8000-000000000001',
      _context_auth_token: TOKEN,
    });
    assert.deepEqual(letter, {
      reason: 'the body is not JSON',
      at: '2026-01-02T03:04:05.678Z',
      from: { topic: 'consoleauth', server: 'host1', queue: 'consoleauth.host1', exchange: 'nova' },
      bytes: letter['bytes'],
      content_type: 'application/json',
      losses: 0,
      msg_id: id,
      unique_id: id,
      method: 'authorize_console',
      namespace: null,
      version: '2.1',
      request_id: 'req-00000000-0000-4000-8000-000000000001',
      args: { instance_uuid: 'text of 1', port: 'number', access: 'null', options: 'object of 1', list: 'list of 2', '...': '1 more' },
      context: { request_id: 'text of 40', auth_token: 'text of 36' },
    });
  });
});

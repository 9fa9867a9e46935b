import assert from 'node:assert/strict';
import { ServiceError } from '@gatehouse/errors/service-error';
import { decodeRequest, decodeResponse, encodeRequest, encodeResponse } from './attach-messages.ts';
import type { AttachRequest, AttachResponse } from './attach-messages.ts';

const payload = Buffer.from('ls\n');

/** The wire of the first version. A change here breaks proxies and agents that run already. */
const REQUESTS: readonly (readonly [string, AttachRequest, string])[] = [
  ['a first Open', { open: { sessionId: 's', attachSecret: 'x', offset: null, windowBytes: 524288, byteConnection: false } }, '0a0a0a017312017820808020'],
  ['an Open that resumes at the very beginning', { open: { sessionId: 's', attachSecret: 'x', offset: 0, windowBytes: 5, byteConnection: false } }, '0a0a0a017312017818002005'],
  ['an Open that wants a byte connection', { open: { sessionId: 's', attachSecret: 'x', offset: null, windowBytes: 5, byteConnection: true } }, '0a0a0a017312017820052801'],
  ['input', { data: { offset: 300, ack: 7, payload } }, '120a08ac0210071a036c730a'],
  ['an end', { end: { reason: 'client_closed', words: 'bye' } }, '1a140a0d636c69656e745f636c6f7365641203627965'],
];

const RESPONSES: readonly (readonly [string, AttachResponse])[] = [
  ['Opened', { opened: { outputOffset: 2 ** 52 + 1, inputOffset: 0, windowBytes: 65536, ticket: null } }],
  ['Opened with a ticket', { opened: { outputOffset: 7, inputOffset: 0, windowBytes: 0, ticket: Buffer.alloc(32, 5) } }],
  ['output far into a long session', { data: { offset: 2 ** 53 - 1, ack: 0, payload } }],
  ['an acknowledgement alone', { data: { offset: 0, ack: 4096, payload: Buffer.alloc(0) } }],
  ['an end with words', { end: { reason: 'superseded', words: 'A newer session took over this port.' } }],
];

describe('Attach messages', () => {
  it('refuse what is no message, what carries nothing known, and offsets that JavaScript cannot count', () => {
    const offset63 = `120b08${'80'.repeat(9)}01`;
    for (const hex of ['ff', '', '3a0101', offset63]) {
      const bytes = Buffer.from(hex, 'hex');
      for (const decode of [decodeRequest, decodeResponse]) {
        assert.throws(() => decode(bytes), (error: unknown) => error instanceof ServiceError && error.code === 'INVALID_ARGUMENT', hex);
      }
    }
  });

  it('refuse a ticket that is none', () => {
    const bytes = encodeResponse({ opened: { outputOffset: 0, inputOffset: 0, windowBytes: 0, ticket: Buffer.alloc(31) } });
    assert.throws(() => decodeResponse(bytes), /a ticket of 31 bytes; one has 32/);
  });

  for (const [name, message, hex] of REQUESTS) {
    it(`carry ${name} to the host`, () => {
      const bytes = encodeRequest(message);
      assert.deepEqual(decodeRequest(bytes), message);
      assert.equal(bytes.toString('hex'), hex);
    });
  }

  for (const [name, message] of RESPONSES) {
    it(`carry ${name} to the proxy`, () => {
      assert.deepEqual(decodeResponse(encodeResponse(message)), message);
    });
  }
});

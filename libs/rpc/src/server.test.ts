import assert from 'node:assert/strict';
import type { JsonObject } from '@gatehouse/objects/field';
import { newNotes, probe, probeHandlers } from './conformance.ts';
import { createMemoryTransport } from './memory-transport.ts';
import { serve } from './server.ts';
import { SILENT } from './transport.ts';

describe('what a server logs of a refused request', () => {
  it('is short and shows no value, whatever the request says', async () => {
    const lines: string[] = [];
    const keep = (facts: object, message: string): void => void lines.push(`${message} ${JSON.stringify(facts)}`);
    const transport = createMemoryTransport();
    const server = await serve(probe, transport, { server: 'a', handlers: probeHandlers('a', newNotes()), log: { ...SILENT, debug: keep, error: keep } });
    const secret = 's3cret'.repeat(50_000);
    const hostile: readonly JsonObject[] = [{ request_id: { deep: secret } }, { request_id: [secret] }, { request_id: 'r'.repeat(300_000) }, { user_id: secret }, { roles: [[secret]] }];
    for (const context of hostile) {
      const message = { method: 'add', args: { first_number: secret, second_number: [secret] }, namespace: null, version: '1.2', context };
      const reply = await transport.request({ kind: 'call', topic: 'probe', message, deadline: Date.now() + 5_000 });
      assert.doesNotMatch(reply?.failure ?? '', /s3cret/);
    }
    assert.equal(lines.length, hostile.length);
    for (const line of lines) assert.ok(line.length < 1_000 && !line.includes('s3cret'), line.slice(0, 300));
    await server.drain();
    await transport.close();
  });
});

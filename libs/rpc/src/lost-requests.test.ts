/** When the copy of a lost request may run: not while its original could come again beside it. */
import assert from 'node:assert/strict';
import type { ConsumeMessage } from 'amqplib';
import { setTimeout as sleep } from 'node:timers/promises';
import { COPY_HELD_MS, LostRequests } from './lost-requests.ts';
import type { LostRequest } from './lost-requests.ts';
import { SILENT } from './transport.ts';

const QUEUE = 'probe';

/** A request that one server was lost with, and what becomes of it. */
function lost(uniqueId: string): { request: LostRequest; did: string[] } {
  const message = { content: Buffer.from('{}'), properties: { headers: {} } } as ConsumeMessage;
  const did: string[] = [];
  const request = { message, uniqueId, queue: QUEUE, done: () => void did.push('out'), serve: () => void did.push('served'), bury: async () => void did.push('buried') };
  return { request, did };
}

describe('the copy of a lost request', () => {
  it('waits until the broker has said that it has it, and has had time to read that the original is out', async () => {
    let say = (): void => {};
    const word = new Promise<void>((resolve) => (say = resolve));
    const requests = new LostRequests({ publish: () => word }, SILENT);
    const { request, did } = lost('one');
    requests.take(request);
    const waited = requests.whenOut('one').then(() => did.push('copy'));
    await sleep(2 * COPY_HELD_MS);
    assert.deepEqual(did, []);
    const saidAt = performance.now();
    say();
    await waited;
    assert.deepEqual(did, ['out', 'copy']);
    // Timers may be early by a millisecond.
    assert.ok(performance.now() - saidAt > COPY_HELD_MS - 2);
  });

  it('waits for no other request', async () => {
    const requests = new LostRequests({ publish: () => new Promise(() => {}) }, SILENT);
    requests.take(lost('one').request);
    await requests.whenOut('two');
    await requests.whenOut(null);
  });

  it('runs also where the original is served, for it could not be put back', async () => {
    const requests = new LostRequests({ publish: () => Promise.reject(new Error('the queue is full')) }, SILENT);
    const { request, did } = lost('one');
    requests.take(request);
    await requests.whenOut('one');
    assert.deepEqual(did, ['served']);
  });
});

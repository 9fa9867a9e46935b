import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { streamPair } from './stream-pair.ts';

async function textOf(end: Duplex): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of end) pieces.push(piece as Buffer);
  return Buffer.concat(pieces).toString();
}

describe('a stream pair', () => {
  it('makes a writer wait while nobody reads', async () => {
    const [near, far] = streamPair();
    let taken = 0;
    while (near.write(Buffer.alloc(4_096))) taken += 4_096;
    assert.ok(taken < 64 * 1024);
    const drained = once(near, 'drain');
    far.resume();
    await drained;
    near.destroy();
  });

  it('ends the other end when one is destroyed, after what was under way', async () => {
    const [near, far] = streamPair();
    near.write('last words');
    near.destroy();
    assert.equal(await textOf(far), 'last words');
    if (!far.destroyed) await once(far, 'close');
  });

  it('releases a writer whose reader was destroyed, and closes it', async () => {
    const [near, far] = streamPair();
    near.resume();
    while (near.write(Buffer.alloc(4_096)));
    far.destroy();
    await once(near, 'close');
  });

  it('ends both when one end has said all it has to say', async () => {
    const [near, far] = streamPair();
    near.resume();
    near.end('bye');
    assert.equal(await textOf(far), 'bye');
    if (!near.destroyed) await once(near, 'close');
  });

  it('carries bytes both ways in their order', async () => {
    const [near, far] = streamPair();
    const there = textOf(far);
    const back = textOf(near);
    for (let count = 0; count < 20_000; count += 1) near.write(`${count} `);
    far.write('answer');
    near.end();
    assert.equal((await there).split(' ').length, 20_001);
    assert.equal(await back, 'answer');
  });
});

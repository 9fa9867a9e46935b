/** The guest's side of a console, where it ends before anybody is joined to it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Duplex, PassThrough } from 'node:stream';
import { GuestConnection } from './guest-connection.ts';

describe('a guest', () => {
  const endOf = (stream: Duplex): Promise<string> =>
    new Promise((resolve) => new GuestConnection(stream, { output: () => true, taken() {}, over: resolve }));

  it('that has closed before its client was joined to it is over, and leaves no client in silence', async () => {
    const stream = new PassThrough();
    stream.destroy();
    await once(stream, 'close');
    assert.equal(await endOf(stream), 'host_unreachable');
  });

  it('that has said its last before is over, too', async () => {
    const stream = new Duplex({ autoDestroy: false, read() {}, write: (_bytes, _encoding, done) => done() });
    stream.push(null);
    stream.resume();
    await once(stream, 'end');
    assert.equal(await endOf(stream), 'host_unreachable');
  });
});

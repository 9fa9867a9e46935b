import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { readBytes, type ByteReader } from './byte-reader.ts';

/** Around what the shared small buffer holds: one read, a read that fills it, one that goes on in a large one. */
const LENGTHS = [1, 100, 2_047, 2_048, 2_049, 5_000, 300_000];
const SOCKETS = 21;

interface Reading {
  readonly peer: Socket;
  readonly fill: number;
  readonly length: number;
  readonly reader: ByteReader;
  /** Not taken, and so still ours to look at. */
  readonly lent: Buffer[];
  bytes: number;
}

describe('what a reader hands on', () => {
  const server = createServer({ noDelay: true });

  before(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });

  after(() => void server.close());

  async function open(index: number): Promise<Reading> {
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const peer = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', noDelay: true });
    const [socket] = await accepted;
    const lent: Buffer[] = [];
    const take = (whole: Buffer, start: number): boolean => {
      lent.push(whole.subarray(start));
      reading.bytes += whole.length - start;
      return false;
    };
    const reading: Reading = { peer, fill: index + 1, length: LENGTHS[index % LENGTHS.length]!, lent, bytes: 0, reader: readBytes(socket, take) };
    return reading;
  }

  it('is not overwritten while it is not taken, whatever other sockets read meanwhile', async () => {
    const readings: Reading[] = [];
    for (let i = 0; i < SOCKETS; i++) readings.push(await open(i));
    for (const { peer, fill, length } of readings) peer.write(Buffer.alloc(length, fill));
    for (let round = 0; readings.some(({ bytes, length }) => bytes < length); round++) {
      assert.ok(round < 2_000, 'all of it arrives');
      await pause(5);
      for (const { lent, fill, reader } of readings) {
        assert.ok(lent.length <= 1, 'nothing is read before the last is taken');
        for (const bytes of lent.splice(0)) assert.ok(bytes.every((byte) => byte === fill), 'other bytes than were sent');
        reader.resume();
      }
    }
    for (const { peer, bytes, length } of readings) {
      assert.equal(bytes, length);
      peer.destroy();
    }
  });
});

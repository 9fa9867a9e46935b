import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { SaidPeers } from './said-peers.ts';

const PEER = { remoteAddress: '10.0.0.5', remotePort: 4_000 };

describe('whose connection a balancer says it is', () => {
  const peers = new SaidPeers({ proxyProtocolFrom: [PEER.remoteAddress], proxyHeaderTimeout: 10 });
  async function say(header: string): Promise<Socket> {
    const socket = Object.assign(new PassThrough(), PEER) as unknown as Socket;
    const read = new Promise<void>((resolve, reject) => peers.listen(socket, resolve, (why) => reject(new Error(why))));
    socket.write(header);
    await read;
    return socket;
  }

  it('is that connection\'s alone, though its port is another\'s before it is told that it is closed', async () => {
    const reset = await say('PROXY TCP4 203.0.113.7 10.0.0.1 1 2\r\n');
    assert.equal(peers.addressOf(reset), '203.0.113.7');
    const next = await say('PROXY UNKNOWN\r\n');
    assert.equal(peers.addressOf(next), '10.0.0.5');
    const third = await say('PROXY TCP4 203.0.113.8 10.0.0.1 1 2\r\n');
    reset.destroy();
    await once(reset, 'close');
    assert.equal(peers.addressOf(third), '203.0.113.8');
    third.destroy();
    await once(third, 'close');
    assert.equal(peers.addressOf(third), '10.0.0.5');
  });
});

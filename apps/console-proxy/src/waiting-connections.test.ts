import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { WaitingConnections } from './waiting-connections.ts';

const BALANCER = '10.0.0.5';

describe('connections that are no console', () => {
  it('keep nothing of one whose port is another\'s before it is told that it is closed', () => {
    const cut: (string | null)[] = [];
    const waiting = new WaitingConnections({ ofEach: 2, ofAll: 100 }, () => false, (network) => cut.push(network));
    const destroyed: string[] = [];
    const connect = (name: string, remotePort: number, client: string): Socket => {
      const socket = Object.assign(new EventEmitter(), { remoteAddress: BALANCER, remotePort, destroy: () => destroyed.push(name) }) as unknown as Socket;
      waiting.add(socket, null);
      waiting.known(socket, client);
      return socket;
    };
    const reset = connect('reset', 4_000, '203.0.113.7');
    // The balancer takes the port of the one that it has reset for a connection of somebody else.
    connect('next', 4_000, '203.0.113.8');
    reset.emit('close');
    assert.equal(waiting.count, 1);
    for (const port of [1, 2, 3]) connect(`${port}`, port, '203.0.113.7');
    assert.deepEqual([destroyed, cut, waiting.count], [['1'], ['203.0.113.7'], 3]);
  });
});

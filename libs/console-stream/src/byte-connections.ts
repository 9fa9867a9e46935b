/** The byte connections of a host's consoles: those that calls wait for, each by a ticket that is good once, and those that are open. */
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { TICKET_BYTES } from './byte-preface.ts';
import { seldom } from './seldom.ts';
import type { StreamLog } from './stream-log.ts';

export interface ExpectedBytes {
  readonly ticket: Buffer;
  /** Whoever shows the ticket from now on is turned away. */
  withdraw(): void;
}

export class ByteConnections {
  readonly #expected = new Map<string, (socket: Socket) => void>();
  readonly #open = new Set<Socket>();
  readonly #tellUnexpected: () => void;

  constructor(log: StreamLog) {
    this.#tellUnexpected = seldom((times) => {
      const words = 'byte connections showed tickets that this host did not give, or that were used or too late: does its endpoint lead to other agents too?';
      log.warn({ times }, words);
    });
  }

  /** `arrived` is called at most once, with the connection that shows the ticket. */
  expect(arrived: (socket: Socket) => void): ExpectedBytes {
    const ticket = randomBytes(TICKET_BYTES);
    const key = ticket.toString('latin1');
    this.#expected.set(key, arrived);
    return { ticket, withdraw: () => void this.#expected.delete(key) };
  }

  accept(ticket: Buffer, socket: Socket): void {
    const key = ticket.toString('latin1');
    const arrived = this.#expected.get(key);
    this.#expected.delete(key);
    if (arrived === undefined) {
      this.#tellUnexpected();
      socket.destroy();
      return;
    }
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
    arrived(socket);
  }

  /** Resolves when those that are open now are closed. */
  async closed(): Promise<void> {
    await Promise.all([...this.#open].map((socket) => new Promise((resolve) => socket.once('close', resolve))));
  }

  destroy(): void {
    for (const socket of this.#open) socket.destroy();
  }
}

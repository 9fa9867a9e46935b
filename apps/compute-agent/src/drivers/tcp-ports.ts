/**
 * TCP ports for consoles that guests serve themselves. To hold a port is to listen on it: there is no list of ports
 * that could be wrong after a restart, no look before the leap, and hosts that share an address share its range.
 */
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { ServiceError } from '@gatehouse/errors/service-error';

/** Nova's `start:stop`: from start up to, but without, stop. */
export interface PortRange {
  readonly start: number;
  readonly stop: number;
}

const PORT_MAX = 65_535;

/** Throws an Error for what is no range with at least one port in it. */
export function parsePortRange(text: string): PortRange {
  const [, start = '', stop = ''] = /^(\d{1,5}):(\d{1,5})$/.exec(text) ?? [];
  const range = { start: Number(start), stop: Number(stop) };
  if (stop === '' || range.start < 1 || range.stop > PORT_MAX + 1 || range.start >= range.stop) {
    throw new Error('not start:stop with 1 <= start < stop <= 65536');
  }
  return range;
}

/** What an operator calls the ports of a range, and sets. */
export interface TcpPortsNames {
  readonly console: string;
  readonly address: string;
  readonly range: string;
}

const SERIAL: TcpPortsNames = { console: 'serial', address: 'GATEHOUSE_SERIAL_LISTEN', range: 'GATEHOUSE_SERIAL_PORT_RANGE' };
export const SPICE_PORTS: TcpPortsNames = { console: 'SPICE', address: 'GATEHOUSE_SPICE_LISTEN', range: 'GATEHOUSE_SPICE_PORT_RANGE' };

/** A port that is held. */
export interface TcpPort {
  readonly port: number;
  /** Frees it; connections that are open are their owner's. Resolves when another may have it. */
  close(): Promise<void>;
}

/** A port that nobody had a moment ago, and that nobody here is given meanwhile. */
export interface ChosenPort {
  readonly port: number;
  /** To be called when another process listens on it, or does not want it any more. */
  release(): void;
}

export class TcpPorts {
  readonly address: string;
  readonly #range: PortRange;
  readonly #names: TcpPortsNames;
  /** Ours: not tried again, so that the thousandth guest does not ask the system a thousand times. */
  readonly #held = new Set<number>();

  constructor(address: string, range: PortRange, names: TcpPortsNames = SERIAL) {
    this.address = address;
    this.#range = range;
    this.#names = names;
  }

  /** Held by this process. */
  get held(): readonly number[] {
    return [...this.#held].sort((a, b) => a - b);
  }

  /**
   * Listens on the first port of the range that nobody has. Throws ServiceError RESOURCE_EXHAUSTED where all are taken,
   * FAILED_PRECONDITION where this host does not have the address.
   */
  async listen(serve: (socket: Socket) => void): Promise<TcpPort> {
    const { start, stop } = this.#range;
    for (let port = start; port < stop; port += 1) {
      if (this.#held.has(port)) continue;
      const server = await this.#tryPort(port, serve);
      if (server === null) continue;
      this.#held.add(port);
      return { port, close: () => this.#close(server, port) };
    }
    const words = `Not able to bind any port for a ${this.#names.console} console on ${this.address}: all from ${start} to ${stop - 1} are taken; widen ${this.#names.range}`;
    throw new ServiceError('RESOURCE_EXHAUSTED', words, { details: { address: this.address, start, stop } });
  }

  /** For a guest that listens by itself, in a process of its own. Throws as listen. */
  async choose(): Promise<ChosenPort> {
    const { port, close } = await this.listen((socket) => void socket.destroy());
    await close();
    this.#held.add(port);
    return { port, release: () => void this.#held.delete(port) };
  }

  /** Null where somebody has it, or may (the low ports) and we may not. */
  #tryPort(port: number, serve: (socket: Socket) => void): Promise<Server | null> {
    return new Promise((resolve, reject) => {
      const server = createServer({ noDelay: true, keepAlive: true, pauseOnConnect: true }, serve);
      server.once('error', (cause: NodeJS.ErrnoException) => {
        if (cause.code === 'EADDRINUSE' || cause.code === 'EACCES') resolve(null);
        else reject(new ServiceError('FAILED_PRECONDITION', `this host cannot listen on ${this.address} (${cause.code}); set ${this.#names.address} to one of its addresses`, { cause }));
      });
      server.listen({ host: this.address, port, exclusive: true }, () => resolve(server));
    });
  }

  #close(server: Server, port: number): Promise<void> {
    return new Promise((resolve) => {
      // Its callback waits for open connections; the port itself is free at once.
      server.close();
      this.#held.delete(port);
      setImmediate(resolve);
    });
  }
}

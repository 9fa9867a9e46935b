/**
 * A serial port that its guest serves on a TCP port, as QEMU does: one client at a time, the next ones are connected and
 * hear nothing until the one before has gone. Nobody is asked who they are; that is why a proxy stands before it.
 */
import type { Socket } from 'node:net';
import type { TcpPort, TcpPorts } from '../tcp-ports.ts';
import type { SimulatedGuest } from './simulated-guest.ts';

/** About what a listening socket of QEMU's lets wait. */
const WAITING_MAX = 2;

export class TcpSerialPort {
  readonly #guest: SimulatedGuest;
  readonly #ordinal: number;
  readonly #sockets = new Set<Socket>();
  #held: TcpPort | null = null;

  private constructor(guest: SimulatedGuest, ordinal: number) {
    this.#guest = guest;
    this.#ordinal = ordinal;
  }

  /** One for each serial port of the guest, or none: what was held is let go when one cannot be. Throws as TcpPorts.listen. */
  static async openAll(guest: SimulatedGuest, ports: TcpPorts): Promise<readonly TcpSerialPort[]> {
    const opened: TcpSerialPort[] = [];
    try {
      for (let ordinal = 0; ordinal < guest.serialPorts; ordinal += 1) {
        const port = new TcpSerialPort(guest, ordinal);
        port.#held = await ports.listen((socket) => port.#take(socket));
        opened.push(port);
      }
      return opened;
    } catch (error) {
      await Promise.all(opened.map((port) => port.close()));
      throw error;
    }
  }

  get port(): number {
    return this.#held?.port ?? -1;
  }

  /** The port is free for another. Who is connected keeps what is on its way; who waits goes. */
  async close(): Promise<void> {
    const [, ...waiting] = this.#sockets;
    for (const socket of waiting) socket.destroy();
    await this.#held?.close();
  }

  #take(socket: Socket): void {
    socket.on('error', () => {}); // 'close' follows
    if (this.#sockets.size > WAITING_MAX) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    if (this.#sockets.size === 1) this.#plug(socket);
    socket.once('close', () => {
      const [first] = this.#sockets;
      this.#sockets.delete(socket);
      const [next] = this.#sockets;
      if (first === socket && next !== undefined) this.#plug(next);
    });
  }

  #plug(socket: Socket): void {
    try {
      this.#guest.plugSerial(this.#ordinal, socket);
      socket.resume();
    } catch {
      socket.destroy();
    }
  }
}

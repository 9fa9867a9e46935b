/** A network between a browser and a server that can be cut: connections break without a goodbye, and none is taken. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';

export class TcpRelay {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #port: number;
  #isCut = false;

  private constructor(port: number) {
    this.#port = port;
    this.#server = createServer((near) => this.#pass(near));
  }

  /** Resolves when connections to the relay reach `port` of this machine. */
  static async to(port: number): Promise<TcpRelay> {
    const relay = new TcpRelay(port);
    relay.#server.listen(0, '127.0.0.1');
    await once(relay.#server, 'listening');
    return relay;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** New connections lead there from now on, as a balancer's do. */
  leadTo(port: number): void {
    this.#port = port;
  }

  /** Every connection breaks, and new ones do too, until `mend`. */
  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  mend(): void {
    this.#isCut = false;
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #pass(near: Socket): void {
    if (this.#isCut) {
      near.resetAndDestroy();
      return;
    }
    const far = connect({ host: '127.0.0.1', port: this.#port, noDelay: true });
    near.setNoDelay(true);
    for (const [socket, other] of [[near, far], [far, near]] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  }
}

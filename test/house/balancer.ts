/**
 * What stands before several processes of a service: new requests and new WebSockets go to those that are in, one
 * after the other. One that is taken out keeps what it has.
 */
import { createServer, request as ask } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';

export class Balancer {
  readonly #server: Server;
  readonly #ports: number[] = [];
  /** Port to the requests and WebSockets that it has. */
  readonly #carried = new Map<number, number>();
  #turn = 0;

  private constructor() {
    this.#server = createServer((request, response) => this.#pass(request, response));
    this.#server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => this.#splice(request, socket, head));
  }

  static async listen(): Promise<Balancer> {
    const balancer = new Balancer();
    await new Promise<void>((resolve) => balancer.#server.listen(0, '127.0.0.1', resolve));
    return balancer;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  add(port: number): void {
    this.#ports.push(port);
  }

  /** Nothing new goes there. Resolves when what it had is done. */
  async drain(port: number, timeoutMs = 60_000): Promise<void> {
    this.#ports.splice(this.#ports.indexOf(port), 1);
    const deadline = Date.now() + timeoutMs;
    while ((this.#carried.get(port) ?? 0) > 0) {
      if (Date.now() > deadline) throw new Error(`${this.#carried.get(port)} requests did not end within ${timeoutMs} ms`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** Who has the next request; counted until `done` closes. */
  #next(done: ServerResponse | Duplex): number {
    const port = this.#ports[this.#turn++ % this.#ports.length];
    if (port === undefined) throw new Error('nobody is behind the balancer');
    this.#carried.set(port, (this.#carried.get(port) ?? 0) + 1);
    done.once('close', () => this.#carried.set(port, (this.#carried.get(port) ?? 1) - 1));
    return port;
  }

  #pass(request: IncomingMessage, response: ServerResponse): void {
    const { connection: _connection, ...headers } = request.headers;
    // A connection a request: none is reused that the other side is about to close.
    const passed = ask({ host: '127.0.0.1', port: this.#next(response), method: request.method, path: request.url, headers, agent: false });
    passed.on('response', (answer) => {
      const { connection: _its, ...answered } = answer.headers;
      response.writeHead(answer.statusCode ?? 502, answered);
      answer.pipe(response);
    });
    passed.on('error', (error) => (response.headersSent ? response.destroy() : response.writeHead(502).end(JSON.stringify({ balancer: error.message }))));
    request.pipe(passed);
  }

  #splice(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const upstream = connect({ host: '127.0.0.1', port: this.#next(socket), noDelay: true });
    const lines = [`${request.method} ${request.url} HTTP/1.1`];
    for (let at = 0; at < request.rawHeaders.length; at += 2) lines.push(`${request.rawHeaders[at]}: ${request.rawHeaders[at + 1]}`);
    upstream.write(`${lines.join('\r\n')}\r\n\r\n`);
    upstream.write(head);
    upstream.pipe(socket).pipe(upstream);
    upstream.on('error', () => socket.destroy());
    socket.on('error', () => upstream.destroy());
    socket.on('close', () => upstream.destroy());
  }
}

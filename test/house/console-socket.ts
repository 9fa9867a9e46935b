/** A console's WebSocket as a client that is no browser opens it: subprotocol `binary`, the token beside it. */
import assert from 'node:assert/strict';
import { WebSocket } from 'ws';

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

export class ConsoleSocket {
  readonly closed: Promise<Closed>;
  readonly #socket: WebSocket;
  #received = Buffer.alloc(0);
  #closedAtMs: number | null = null;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data: Buffer) => (this.#received = Buffer.concat([this.#received, data])));
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => {
      socket.once('close', (code, reason) => {
        this.#closedAtMs = Date.now();
        resolve({ code, reason: reason.toString() });
      });
    });
  }

  /** Resolves once the upgrade is accepted; a refusal of the token comes after it, as a close. */
  static async open(accessUrl: string): Promise<ConsoleSocket> {
    const url = new URL(accessUrl);
    const token = new URLSearchParams(url.hash.slice(1)).get('token') ?? assert.fail('the access URL has no token');
    const socket = new WebSocket(`ws://${url.host}/websockify`, ['binary', `token.${token}`]);
    const console = new ConsoleSocket(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', reject);
    });
    return console;
  }

  /** When it heard of its close, by the machine's clock; null while it is open. */
  get closedAtMs(): number | null {
    return this.#closedAtMs;
  }

  get text(): string {
    return this.#received.toString('latin1');
  }

  send(text: string): void {
    this.#socket.send(Buffer.from(text, 'latin1'));
  }

  close(): void {
    this.#socket.close();
  }

  /** Resolves when what was received matches; rejects when the console closes or the time is over. */
  async awaitText(pattern: RegExp, timeoutMs = 10_000): Promise<void> {
    let ended: Closed | null = null;
    void this.closed.then((closed) => (ended = closed));
    const deadline = Date.now() + timeoutMs;
    while (!pattern.test(this.text)) {
      assert.equal(ended, null, `the console closed: ${JSON.stringify(ended)}`);
      assert.ok(Date.now() < deadline, `no ${pattern} within ${timeoutMs} ms in ${JSON.stringify(this.text.slice(-300))}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** The first line of a VNC console. */
export const RFB_GREETING = /^RFB 003\.00[38]\n/;

/** A proxy's visitor who says exactly what a test wants: any path, any headers, and bytes that no library would send. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { WebSocket } from 'ws';

export type Headers = Readonly<Record<string, string>>;

/** What became of a WebSocket: how it was closed, or null when what was waited for came first. */
export interface Seen {
  readonly code: number | null;
  readonly reason: string;
  readonly text: string;
}

const TIMEOUT_MS = 20_000;

/** Opens a WebSocket, says `hello`, and resolves when it is answered in full or the connection is closed. */
export function hello(proxyUrl: string, path: string, headers: Headers = {}, protocols: readonly string[] = ['binary']): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${proxyUrl.replace('http', 'ws')}${path}`, [...protocols], { headers, handshakeTimeout: TIMEOUT_MS });
    let heard = '';
    socket.on('error', reject);
    socket.on('open', () => socket.send(Buffer.from('hello')));
    socket.on('close', (code, reason) => resolve({ code, reason: reason.toString(), text: heard }));
    socket.on('message', (data: Buffer) => {
      heard += data.toString('latin1');
      if (!heard.includes('hello')) return;
      socket.removeAllListeners('close');
      socket.terminate();
      resolve({ code: null, reason: '', text: heard });
    });
  });
}

/** Sends one request as it stands and resolves with all that comes until the other side closes. */
export async function say(proxyUrl: string, request: string): Promise<string> {
  const socket = await reach(proxyUrl);
  socket.write(request);
  return text(socket);
}

/** An upgrade request line by line; a header that is null is left out. */
export function upgrade(path: string, headers: Readonly<Record<string, string | null>> = {}): string {
  const sound = { Host: 'proxy.example', Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' };
  const lines = Object.entries({ ...sound, ...headers }).flatMap(([name, value]) => (value === null ? [] : [`${name}: ${value}`]));
  return [`GET ${path} HTTP/1.1`, ...lines, '', ''].join('\r\n');
}

/** A WebSocket of which the test writes every byte. */
export class RawWebSocket {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (bytes: Buffer) => (this.#received = Buffer.concat([this.#received, bytes])));
    socket.on('error', () => {});
  }

  /** Resolves with the WebSocket and its 101 answer. */
  static async open(proxyUrl: string, path: string, headers: Readonly<Record<string, string | null>> = {}): Promise<{ readonly raw: RawWebSocket; readonly answer: string }> {
    const raw = new RawWebSocket(await reach(proxyUrl));
    raw.send(Buffer.from(upgrade(path, headers)));
    await raw.#until(() => raw.#received.includes('\r\n\r\n'));
    const end = raw.#received.indexOf('\r\n\r\n') + 4;
    const answer = raw.#received.subarray(0, end).toString('latin1');
    raw.#received = raw.#received.subarray(end);
    return { raw, answer };
  }

  send(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  /** The next so many bytes; fails when the other side closes before. */
  async take(count: number): Promise<Buffer> {
    await this.#until(() => this.#received.length >= count);
    const taken = this.#received.subarray(0, count);
    this.#received = this.#received.subarray(count);
    return taken;
  }

  /** Resolves with the next frame that the server sends whole; up to 64 KiB. */
  async frame(): Promise<{ readonly opcode: number; readonly payload: Buffer }> {
    const head = await this.take(2);
    const short = head[1]! & 0x7f;
    const size = short < 126 ? short : (await this.take(2)).readUInt16BE();
    return { opcode: head[0]! & 0x0f, payload: await this.take(size) };
  }

  /** The next frame is the goodbye. */
  async goodbye(): Promise<{ readonly code: number; readonly reason: string }> {
    for (;;) {
      const { opcode, payload } = await this.frame();
      if (opcode === 8) return { code: payload.length < 2 ? 1005 : payload.readUInt16BE(), reason: payload.subarray(2).toString() };
    }
  }

  destroy(): void {
    this.#socket.destroy();
  }

  async #until(condition: () => boolean): Promise<void> {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    while (!condition()) {
      if (this.#socket.readableEnded || this.#socket.destroyed) throw new Error('the connection was closed');
      await Promise.race([once(this.#socket, 'data', { signal }), once(this.#socket, 'close', { signal })]);
    }
  }
}

/** A client's frame, whole and masked unless told. */
export function clientFrame(opcode: number, payload: Buffer, { masked = true } = {}): Buffer {
  const mask = Buffer.from([0x11, 0x22, 0x33, 0x44]);
  const head = Buffer.from([0x80 | opcode, (masked ? 0x80 : 0) | payload.length]);
  if (!masked) return Buffer.concat([head, payload]);
  return Buffer.concat([head, mask, payload.map((byte, index) => byte ^ mask[index % 4]!)]);
}

async function reach(proxyUrl: string): Promise<Socket> {
  const { hostname, port } = new URL(proxyUrl);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  await once(socket, 'connect');
  return socket;
}

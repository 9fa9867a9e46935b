/** A proxy's visitor who says exactly what a test wants: any path, any headers, and bytes that no library would send. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
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

/** What comes on a stream, handed out in the pieces that a test asks for. */
export class Incoming {
  readonly #stream: Duplex;
  #held = Buffer.alloc(0);

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on('data', (bytes: Buffer) => (this.#held = Buffer.concat([this.#held, bytes])));
    stream.on('error', () => {});
  }

  /** The next so many bytes; fails when the other side closes before. */
  async take(count: number): Promise<Buffer> {
    await this.#until(() => this.#held.length >= count);
    const taken = this.#held.subarray(0, count);
    this.#held = this.#held.subarray(count);
    return taken;
  }

  /** Everything up to and with these words. */
  async through(words: string): Promise<Buffer> {
    await this.#until(() => this.#held.includes(words));
    return this.take(this.#held.indexOf(words) + words.length);
  }

  async #until(condition: () => boolean): Promise<void> {
    const given = new AbortController();
    const timer = setTimeout(() => given.abort(), TIMEOUT_MS);
    try {
      const { signal } = given;
      while (!condition()) {
        if (this.#stream.readableEnded || this.#stream.destroyed) throw new Error('the connection was closed');
        await Promise.race(['data', 'end', 'close'].map((event) => once(this.#stream, event, { signal })));
      }
    } finally {
      clearTimeout(timer);
      given.abort();
    }
  }
}

/** A WebSocket of which the test writes every byte. */
export class RawWebSocket {
  readonly #socket: Socket;
  readonly #incoming: Incoming;
  #data = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#incoming = new Incoming(socket);
  }

  /** Resolves with the WebSocket and its 101 answer. */
  static async open(proxyUrl: string, path: string, headers: Readonly<Record<string, string | null>> = {}): Promise<{ readonly raw: RawWebSocket; readonly answer: string }> {
    const raw = new RawWebSocket(await reach(proxyUrl));
    raw.send(Buffer.from(upgrade(path, headers)));
    return { raw, answer: (await raw.#incoming.through('\r\n\r\n')).toString('latin1') };
  }

  send(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  /** In one binary message. */
  say(bytes: Buffer | string): void {
    this.send(clientFrame(2, Buffer.from(bytes)));
  }

  /** Resolves with the next frame that the server sends whole; up to 64 KiB. */
  async frame(): Promise<{ readonly opcode: number; readonly payload: Buffer }> {
    const head = await this.#incoming.take(2);
    const short = head[1]! & 0x7f;
    const size = short < 126 ? short : (await this.#incoming.take(2)).readUInt16BE();
    return { opcode: head[0]! & 0x0f, payload: await this.#incoming.take(size) };
  }

  /** The next so many bytes of the console, however they are framed. */
  async bytes(count: number): Promise<Buffer> {
    while (this.#data.length < count) {
      const { opcode, payload } = await this.frame();
      if (opcode === 8) throw new Error(`closed where bytes should have come: ${payload.toString('latin1')}`);
      if (opcode === 2) this.#data = Buffer.concat([this.#data, payload]);
    }
    const taken = this.#data.subarray(0, count);
    this.#data = this.#data.subarray(count);
    return taken;
  }

  /** The server's close frame, and what of the console came before it and was not taken. */
  async goodbye(): Promise<{ readonly code: number; readonly reason: string; readonly before: string }> {
    for (;;) {
      const { opcode, payload } = await this.frame();
      if (opcode === 2) this.#data = Buffer.concat([this.#data, payload]);
      if (opcode !== 8) continue;
      const code = payload.length < 2 ? 1005 : payload.readUInt16BE();
      return { code, reason: payload.subarray(2).toString(), before: this.#data.toString('latin1') };
    }
  }

  destroy(): void {
    this.#socket.destroy();
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

/** Guests of our own for tests, on TCP: an echo, a flood, a silent one, a small RFB screen, a serial prompt. */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';

export interface TestGuest {
  readonly port: number;
  /** Connections that are open now. */
  readonly sockets: ReadonlySet<Socket>;
  close(): Promise<void>;
}

/** Listens on a free loopback port and serves each connection. */
export async function startGuest(serveOne: (socket: Socket) => void): Promise<TestGuest> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    serveOne(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

export const echo = (socket: Socket): void => void socket.pipe(socket);

/** Sends as fast as it is let, for ever. */
export function flood(socket: Socket): void {
  const piece = Buffer.alloc(64 * 1024, 'x');
  const pour = (): void => {
    while (!socket.destroyed && socket.write(piece));
  };
  socket.on('drain', pour);
  pour();
}

/** A prompt that answers each line. */
export function serialPrompt(socket: Socket): void {
  socket.write('\x1b[1;32mdemo\x1b[0m login: root\r\nWelcome to a test guest.\r\n# ');
  socket.on('data', (bytes) => {
    for (const letter of bytes.toString('utf8')) {
      if (letter === '\r') socket.write('\r\n\x1b[33manswered\x1b[0m\r\n# ');
      else socket.write(letter);
    }
  });
}

const WIDTH = 640;
const HEIGHT = 400;

/** A key as a screen is told of it: its keysym, negative when it is let go. */
export type KeyEvents = number[];

/** RFB 3.8 without authentication: colour bars, and a white square that each key press moves. Keys are kept in `keys`. */
export function rfbScreen(socket: Socket, keys: KeyEvents = []): void {
  let held = Buffer.alloc(0);
  let step = 0;
  let asked = false;
  let drawn = -1;
  const steps: ((bytes: Buffer) => number)[] = [
    (bytes) => (bytes.length < 12 ? 0 : (socket.write(Buffer.from([1, 1])), 12)),
    (bytes) => (bytes.length < 1 ? 0 : (socket.write(Buffer.alloc(4)), 1)),
    (bytes) => (bytes.length < 1 ? 0 : (socket.write(serverInit()), 1)),
  ];
  let presses = 0;
  socket.write('RFB 003.008\n');
  socket.on('data', (bytes) => {
    held = Buffer.concat([held, bytes]);
    for (;;) {
      const size = step < steps.length ? steps[step]!(held) : message(held);
      if (size === 0) break;
      if (step < steps.length) step += 1;
      held = held.subarray(size);
    }
    if (asked && drawn !== presses) {
      drawn = presses;
      asked = false;
      socket.write(picture(presses));
    }
  });

  function message(bytes: Buffer): number {
    if (bytes.length < 4) return 0;
    const size = [20, 0, 4 + 4 * bytes.readUInt16BE(2), 10, 8, 6, 8][bytes[0]!] ?? 0;
    if (bytes.length < size) return 0;
    if (bytes[0] === 3) {
      asked = true;
      if (bytes[1] === 0) drawn = -1;
    }
    if (bytes[0] === 4) {
      if (bytes[1] === 1) presses += 1;
      keys.push(bytes[1] === 1 ? bytes.readUInt32BE(4) : -bytes.readUInt32BE(4));
    }
    return size;
  }
}

function serverInit(): Buffer {
  const name = Buffer.from('test guest');
  const head = Buffer.alloc(24);
  head.writeUInt16BE(WIDTH, 0);
  head.writeUInt16BE(HEIGHT, 2);
  head.set([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0], 4);
  head.writeUInt32BE(name.length, 20);
  return Buffer.concat([head, name]);
}

/** A FramebufferUpdate of one raw rectangle. */
function picture(presses: number): Buffer {
  const head = Buffer.alloc(16);
  head.writeUInt16BE(1, 2);
  head.writeUInt16BE(WIDTH, 8);
  head.writeUInt16BE(HEIGHT, 10);
  const pixels = Buffer.alloc(WIDTH * HEIGHT * 4);
  const colours = [0x1b4d8c, 0x2f7f79, 0x58a65c, 0xd9b44a, 0xc8632f, 0x93325b];
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      const left = 40 + ((presses * 60) % (WIDTH - 140));
      const inside = x >= left && x < left + 80 && y >= 160 && y < 240;
      const colour = inside ? 0xffffff : colours[Math.floor((x * colours.length) / WIDTH)]!;
      pixels.writeUInt32LE(colour, (y * WIDTH + x) * 4);
    }
  }
  return Buffer.concat([head, pixels]);
}

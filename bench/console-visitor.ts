/** A client of a console at the least price: a socket, a handshake, the first byte of the machine's screen, and a close. */
import { connect, type Socket } from 'node:net';

const OPEN_MS_MAX = 20_000;
/** A close frame with 1000, masked with zeros. */
const GOODBYE = Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]);
const CLOSE = 0x8;

export interface Visitor {
  /** Epoch milliseconds at which the proxy said goodbye or hung up; null while the console is open. */
  readonly closedAt: number | null;
  /** Resolves when the connection is gone. */
  leave(): Promise<void>;
}

/**
 * Resolves with the first byte that the machine sends. Rejects with the proxy's words. A token in the fragment is offered as a
 * subprotocol, as our pages do; a link without a fragment is asked for as it stands.
 */
export function visit(accessUrl: string): Promise<Visitor> {
  const { hostname, port, hash, pathname, search } = new URL(accessUrl);
  const token = new URLSearchParams(hash.slice(1)).get('token');
  const [path, protocols] = token === null ? [pathname + search, 'binary'] : ['/websockify', `binary, token.${token}`];
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: ${protocols}\r\n\r\n`,
  );
  return new Promise((resolve, reject) => {
    let head: Buffer | null = Buffer.alloc(0);
    let isOpen = false;
    let closedAt: number | null = null;
    const timer = setTimeout(() => fail('the console did not open in time'), OPEN_MS_MAX);
    const fail = (words: string): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(new Error(words));
    };
    socket.on('error', () => {});
    socket.on('close', () => {
      closedAt ??= Date.now();
      fail('the proxy hung up');
    });
    const frames = (bytes: Buffer): void => {
      const isClose = bytes.length >= 2 && ((bytes[0] ?? 0) & 0x0f) === CLOSE;
      if (isClose) {
        closedAt ??= Date.now();
        if (!isOpen) return fail(`${bytes.subarray(4).toString()}`);
        socket.end(GOODBYE);
      } else if (!isOpen && bytes.length > 2) {
        isOpen = true;
        clearTimeout(timer);
        resolve({ get closedAt() { return closedAt; }, leave: () => leave(socket) });
      }
    };
    socket.on('data', (bytes: Buffer) => {
      if (head === null) return frames(bytes);
      head = Buffer.concat([head, bytes]);
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      const rest = head.subarray(end + 4);
      if (!head.toString('latin1', 0, 12).endsWith(' 101')) return fail(head.toString('latin1', 0, end));
      head = null;
      if (rest.length > 0) frames(rest);
    });
  });
}

function leave(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) return resolve();
    socket.once('close', () => resolve());
    socket.end(GOODBYE);
  });
}

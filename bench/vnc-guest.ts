/** A VNC console's handshake on both sides of a relay, which is over before anything is measured: what follows is bytes. */
import type { Socket } from 'node:net';
import { readExactly, readThrough } from '@gatehouse/console-proxy/dial/handshake-bytes';
import { clientFrame } from '@gatehouse/console-proxy/websocket/client-frame';

const VERSION = 'RFB 003.008\n';
/** Version and type, of a client and of the relay towards its guest alike. */
const CHOICE = Buffer.from(`${VERSION}\x01`, 'latin1');
/** Frames with the version, and with the types and the result. */
const GREETING_BYTES = 2 + VERSION.length + 2 + 2 + 4;

/** The guest's side; resolves when the relay is through. */
export async function greetRelay(guest: Socket): Promise<void> {
  guest.write(`${VERSION}\x01\x01\0\0\0\0`, 'latin1');
  await readExactly(guest, CHOICE.length, 'what the relay says');
}

/** The client's side, which has asked for its WebSocket; resolves when the next byte is the guest's. */
export async function passGreeting(client: Socket): Promise<void> {
  await readThrough(client, '\r\n\r\n', 4_096, 'the answer to the upgrade');
  client.write(clientFrame({ opcode: 2, payload: CHOICE }));
  await readExactly(client, GREETING_BYTES, 'the greeting');
}

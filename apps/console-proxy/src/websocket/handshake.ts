/**
 * The opening handshake (RFC 6455 4.2) on what node's http server hands over at 'upgrade'. Any path is taken,
 * as Nova's proxy does. Of the offered subprotocols one we speak is answered; `token.<token>` and `resume.<grant>` entries are
 * credentials in disguise and are never answered, for the answer is shown and logged by browsers and balancers.
 */
import { hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** gatehouse.v1: binary frames are the stream, text frames JSON control. binary: what noVNC and Nova's users speak. */
export type Subprotocol = 'gatehouse.v1' | 'binary';

/** In the order of preference. */
const SPOKEN: readonly Subprotocol[] = ['gatehouse.v1', 'binary'];
/** The last drafts are the RFC on the wire, but for the name of the Origin; Nova's proxy takes them too. */
const VERSIONS: readonly string[] = ['13', '8', '7'];
const TOKEN_PREFIX = 'token.';
const RESUME_PREFIX = 'resume.';
const OFFERS_MAX = 32;
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

export interface Handshake {
  readonly ok: true;
  /** The complete 101 answer. */
  readonly answer: string;
  readonly protocol: Subprotocol | null;
  /** The token offered as a subprotocol, the last one if several. */
  readonly token: string | null;
  /** The resume grant offered as a subprotocol, the last one if several. */
  readonly resumeGrant: string | null;
}

export interface HandshakeRefused {
  readonly ok: false;
  /** The complete HTTP answer; the connection is closed after it. */
  readonly answer: string;
  readonly reason: string;
}

/** Judge an upgrade request. Refusals here are of the wire form only: who may come in is decided after the upgrade. */
export function readHandshake(request: Pick<IncomingMessage, 'method' | 'headers' | 'httpVersionMajor' | 'httpVersionMinor'>): Handshake | HandshakeRefused {
  const { headers } = request;
  if (request.method !== 'GET') return refuse('400 Bad Request', 'A WebSocket is opened with GET.');
  if (request.httpVersionMajor < 1 || (request.httpVersionMajor === 1 && request.httpVersionMinor < 1)) {
    return refuse('400 Bad Request', 'A WebSocket needs HTTP/1.1.');
  }
  if (headers.upgrade?.trim().toLowerCase() !== 'websocket') {
    return refuse('400 Bad Request', 'Only an upgrade to "websocket" is known here.');
  }
  const version = headers['sec-websocket-version'];
  if (version === undefined || !VERSIONS.includes(version)) {
    const words = `Unsupported protocol version ${version?.slice(0, 20) ?? '(none)'}; this server speaks ${VERSIONS.join(', ')}.`;
    return refuse('400 Bad Request', words, `Sec-WebSocket-Version: ${VERSIONS.join(', ')}\r\n`);
  }
  const key = headers['sec-websocket-key'];
  if (key === undefined || !/^[A-Za-z0-9+/]{21}[AQgw]==$/.test(key)) {
    return refuse('400 Bad Request', 'Sec-WebSocket-Key must be 16 bytes in base64.');
  }
  const offer = readOffer(headers['sec-websocket-protocol']);
  if (offer === null) {
    return refuse('400 Bad Request', `Invalid protocol selected: this server speaks ${SPOKEN.join(' and ')}.`);
  }
  return { ok: true, answer: accept(key, offer.protocol), ...offer };
}

/** The page that asks; clients of the drafts call it Sec-WebSocket-Origin. */
export function originOf({ headers }: Pick<IncomingMessage, 'headers'>): string | undefined {
  const ofDrafts = headers['sec-websocket-origin'];
  return headers.origin ?? (Array.isArray(ofDrafts) ? ofDrafts.join() : ofDrafts);
}

/** What was offered and what we pick; null when something was offered and nothing of it is spoken here. */
function readOffer(header: string | undefined): Pick<Handshake, 'protocol' | 'token' | 'resumeGrant'> | null {
  if (header === undefined) return { protocol: null, token: null, resumeGrant: null };
  const offered = header.split(',', OFFERS_MAX).map((each) => each.trim());
  const protocol = SPOKEN.find((each) => offered.includes(each));
  if (protocol === undefined) return null;
  const last = (prefix: string): string | null => offered.findLast((each) => each.startsWith(prefix))?.slice(prefix.length) ?? null;
  return { protocol, token: last(TOKEN_PREFIX), resumeGrant: last(RESUME_PREFIX) };
}

function accept(key: string, protocol: Subprotocol | null): string {
  const proof = hash('sha1', key + GUID, 'base64');
  const chosen = protocol === null ? '' : `Sec-WebSocket-Protocol: ${protocol}\r\n`;
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${proof}\r\n${chosen}\r\n`;
}

function refuse(status: string, reason: string, headers = ''): HandshakeRefused {
  const body = `${reason}\n`;
  const answer =
    `HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n${headers}` +
    `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`;
  return { ok: false, answer, reason };
}

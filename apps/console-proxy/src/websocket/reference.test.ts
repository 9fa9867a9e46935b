/**
 * The cases of the Autobahn test suite that concern a server without extensions, put byte by byte to our connection
 * and to `ws`. Where the two differ, the reason stands beside the case.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import { clientFrame, type ClientFrame } from './client-frame.ts';
import { FRAME_BYTES_MAX, TEXT_BYTES_MAX } from './frame-parser.ts';
import { readHandshake } from './handshake.ts';
import { WebSocketConnection } from './web-socket-connection.ts';

/** What a client sees: data that was taken comes back as an echo, control frames, and how it ended. */
interface Outcome {
  readonly data: string;
  readonly pongs: readonly string[];
  /** Null: no close frame, and the connection stays. */
  readonly close: number | null;
}

interface Case {
  readonly name: string;
  readonly frames: readonly (ClientFrame | Buffer)[];
  readonly expect: Partial<Outcome>;
  /** What `ws` does instead, and why that is not what we do. */
  readonly ws?: Partial<Outcome> & { readonly because: string };
}

const DONE: ClientFrame = { opcode: 9, payload: 'done' };
const closeOf = (code: number, reason: string | Uint8Array = ''): ClientFrame => {
  const payload = Buffer.concat([Buffer.alloc(2), Buffer.from(reason)]);
  payload.writeUInt16BE(code, 0);
  return { opcode: 8, payload };
};
const text = (payload: string | Uint8Array, more: Partial<ClientFrame> = {}): ClientFrame => ({ opcode: 1, payload, ...more });
const binary = (payload: string | Uint8Array, more: Partial<ClientFrame> = {}): ClientFrame => ({ opcode: 2, payload, ...more });
const more = (payload: string | Uint8Array, rest: Partial<ClientFrame> = {}): ClientFrame => ({ opcode: 0, payload, ...rest });
const ping = (payload: string | Uint8Array = '', rest: Partial<ClientFrame> = {}): ClientFrame => ({ opcode: 9, payload, ...rest });
const part = { final: false } as const;
const STREAMED = 'a relay hands on binary payload as it comes; ws waits for the whole message';

const SIZES = [0, 1, 125, 126, 127, 128, 65_535, 65_536, 65_537];
const WRONG_CODES = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535];
const RIGHT_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999];
const WRONG_UTF8: readonly (readonly [string, readonly number[]])[] = [
  ['a byte that begins nothing', [0x80]],
  ['an overlong slash', [0xc0, 0xaf]],
  ['an overlong zero of four bytes', [0xf0, 0x80, 0x80, 0x80]],
  ['a surrogate', [0xed, 0xa0, 0x80]],
  ['beyond Unicode', [0xf4, 0x90, 0x80, 0x80]],
  ['a byte that is never used', [0xfe]],
  ['a character that is cut', [0xe2, 0x82]],
  ['a character that another interrupts', [0xce, 0xba, 0xe1, 0xbd, 0x41]],
];

const CASES: readonly Case[] = [
  ...SIZES.map((size): Case => ({ name: `1.2 binary of ${size} bytes`, frames: [binary(Buffer.alloc(size, 'x'))], expect: { data: 'x'.repeat(size), close: null } })),
  ...SIZES.filter((size) => size <= TEXT_BYTES_MAX).map((size): Case => ({ name: `1.1 text of ${size} bytes`, frames: [text('x'.repeat(size))], expect: { data: 'x'.repeat(size), close: null } })),
  { name: '2.1 an empty ping', frames: [ping()], expect: { pongs: [''], close: null } },
  { name: '2.2 a ping with words', frames: [ping('hello')], expect: { pongs: ['hello'] } },
  { name: '2.3 a ping of bytes that are no text', frames: [ping(Uint8Array.of(0, 255, 254))], expect: { pongs: [Buffer.of(0, 255, 254).toString('latin1')] } },
  { name: '2.4 a ping of 125 bytes', frames: [ping('p'.repeat(125))], expect: { pongs: ['p'.repeat(125)] } },
  { name: '2.5 a ping of 126 bytes', frames: [ping('p'.repeat(126))], expect: { close: 1002 } },
  { name: '2.7 a pong that nobody asked for', frames: [{ opcode: 10 }, { opcode: 10, payload: 'x' }], expect: { pongs: [], close: null } },
  { name: '2.10 ten pings', frames: Array.from({ length: 10 }, (_, i) => ping(`p${i}`)), expect: { pongs: Array.from({ length: 10 }, (_, i) => `p${i}`) } },
  ...[0x10, 0x20, 0x40, 0x70].map((reserved): Case => ({ name: `3 reserved bits ${reserved}`, frames: [binary('ok'), binary('x', { reserved })], expect: { data: 'ok', close: 1002 } })),
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode): Case => ({ name: `4 opcode ${opcode}`, frames: [binary('ok'), { opcode, payload: 'x' }], expect: { data: 'ok', close: 1002 } })),
  { name: '5.1 a ping in two fragments', frames: [ping('a', part), more('b')], expect: { close: 1002 } },
  { name: '5.3 a text in two fragments', frames: [text('a', part), more('b')], expect: { data: 'ab', close: null } },
  { name: '5.6 a ping between fragments', frames: [text('a', part), ping('?'), more('b')], expect: { data: 'ab', pongs: ['?'] } },
  { name: '5.8 a ping between fragments of one byte each', frames: [...'abc'].flatMap((letter, i) => [i === 0 ? text(letter, part) : more(letter, { final: i === 2 }), ping(letter)]), expect: { data: 'abc', pongs: ['a', 'b', 'c'] } },
  { name: '5.9 a continuation of nothing', frames: [more('x')], expect: { data: '', close: 1002 } },
  { name: '5.12 a continuation of nothing that goes on', frames: [more('x', part)], expect: { data: '', close: 1002 } },
  { name: '5.15 a continuation after the last', frames: [text('a', part), more('b'), more('c')], expect: { close: 1002 } },
  { name: '5.18 a message within a message', frames: [text('a', part), text('b')], expect: { data: '', close: 1002 } },
  { name: 'binary within binary', frames: [binary('a', part), binary('b')], expect: { data: 'a', close: 1002 }, ws: { data: '', because: STREAMED } },
  { name: '5.20 many fragments with pings', frames: [binary('1', part), more('2', part), ping('a'), more('3', part), ping('b'), more('4')], expect: { data: '1234', pongs: ['a', 'b'] } },
  { name: 'empty fragments', frames: [binary('', part), more('', part), more('')], expect: { data: '', close: null } },
  { name: '6.2 characters cut between fragments', frames: [text(Uint8Array.of(0xce), part), more(Uint8Array.of(0xba, 0xe1), part), more(Uint8Array.of(0xbd, 0xb9))], expect: { data: Buffer.from([0xce, 0xba, 0xe1, 0xbd, 0xb9]).toString(), close: null } },
  ...WRONG_UTF8.map(([what, bytes]): Case => ({ name: `6 text: ${what}`, frames: [text(Uint8Array.from(bytes))], expect: { data: '', close: 1007 } })),
  { name: '7.1 data after a close frame', frames: [closeOf(1000), binary('late')], expect: { data: '', close: 1000 } },
  { name: '7.1 a ping after a close frame', frames: [closeOf(1000), ping('late')], expect: { pongs: [], close: 1000 } },
  { name: '7.1 a close between fragments', frames: [text('a', part), closeOf(1000)], expect: { data: '', close: 1000 } },
  { name: '7.3 a close without a code', frames: [{ opcode: 8 }], expect: { close: 1005 } },
  { name: '7.3 a close of one byte', frames: [{ opcode: 8, payload: 'x' }], expect: { close: 1002 } },
  { name: '7.3 a close with a reason of 123 bytes', frames: [closeOf(1000, 'r'.repeat(123))], expect: { close: 1000 } },
  { name: '7.3 a close with a reason of 124 bytes', frames: [closeOf(1000, 'r'.repeat(124))], expect: { close: 1002 } },
  { name: '7.5 a reason that is no UTF-8', frames: [closeOf(1000, Uint8Array.of(0xce, 0xba, 0xe1, 0xbd, 0xb9, 0xed, 0xa0, 0x80))], expect: { close: 1007 } },
  ...RIGHT_CODES.map((code): Case => ({ name: `7.7 close code ${code}`, frames: [closeOf(code)], expect: { close: code } })),
  ...WRONG_CODES.map((code): Case => ({ name: `7.9 close code ${code}`, frames: [closeOf(code)], expect: { close: 1002 } })),
  { name: 'an unmasked frame', frames: [binary('x', { masked: false })], expect: { data: '', close: 1002 } },
  { name: 'an unmasked ping', frames: [ping('x', { masked: false })], expect: { pongs: [], close: 1002 } },
  { name: 'a frame beyond the limit', frames: [binary('', { announced: FRAME_BYTES_MAX + 1 })], expect: { close: 1009 } },
  { name: 'a length of 63 bits', frames: [binary('', { announced: Number.MAX_SAFE_INTEGER })], expect: { close: 1009 } },
  { name: 'a length with the highest bit', frames: [Buffer.from([0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0])], expect: { close: 1009 } },
  { name: 'text beyond our limit', frames: [text('x'.repeat(TEXT_BYTES_MAX + 1))], expect: { data: '', close: 1009 }, ws: { data: 'x'.repeat(TEXT_BYTES_MAX + 1), close: null, because: 'our control messages are small; ws was not told so' } },
  { name: 'one byte in a length of two', frames: [binary('x', { lengthBytes: 2 })], expect: { data: '', close: 1002 }, ws: { data: 'x', close: null, because: 'RFC 6455 5.2 asks for the fewest bytes; ws does not look' } },
  { name: 'one byte in a length of eight', frames: [binary('x', { lengthBytes: 8 })], expect: { data: '', close: 1002 }, ws: { data: 'x', close: null, because: 'RFC 6455 5.2 asks for the fewest bytes; ws does not look' } },
  { name: 'a binary message whose end does not come', frames: [binary('ab', part)], expect: { data: 'ab', close: null }, ws: { data: '', because: STREAMED } },
];

describe('on the same bytes as ws, our WebSocket', () => {
  const servers: Server[] = [];
  let ours = 0;
  let theirs = 0;

  before(async () => {
    const listen = async (server: Server): Promise<number> => {
      servers.push(server.listen(0, '127.0.0.1'));
      await once(server, 'listening');
      return (server.address() as AddressInfo).port;
    };
    const own = createServer();
    own.on('upgrade', (request, socket, head) => {
      socket.write(readHandshake(request).answer);
      const connection: WebSocketConnection = new WebSocketConnection(
        socket,
        head,
        {
          data: (bytes) => (connection.send(Buffer.from(bytes)), true),
          text: (message) => connection.sendText(message),
          drained() {},
          closed() {},
        },
        { textAllowed: true },
      );
    });
    const reference = createServer();
    new WebSocketServer({ server: reference, maxPayload: FRAME_BYTES_MAX, perMessageDeflate: false }).on('connection', (socket) => {
      socket.on('error', () => {});
      socket.on('message', (bytes, isBinary) => socket.send(bytes as Buffer, { binary: isBinary }));
    });
    ours = await listen(own);
    theirs = await listen(reference);
  });

  after(() => servers.forEach((server) => server.close().closeAllConnections()));

  for (const { name, frames, expect, ws } of CASES) {
    it(`${name}: as expected${ws === undefined ? '' : `; otherwise than ws, for ${ws.because}`}`, async () => {
      const wire = Buffer.concat([...frames, DONE].map((each) => (Buffer.isBuffer(each) ? each : clientFrame(each))));
      const [own, reference] = [await visit(ours, wire), await visit(theirs, wire)];
      const { because: _, ...differs } = ws ?? { because: '' };
      assert.deepEqual(own, { ...own, ...expect });
      assert.deepEqual(reference, { ...own, ...expect, ...differs });
    });
  }

  it('answers of a flood of pings the newest (RFC 6455 5.5.3): it is not an amplifier', async () => {
    const { pongs } = await visit(ours, Buffer.concat([...Array.from({ length: 2_000 }, (_, i) => ping(`p${i}`)), DONE].map(clientFrame)));
    assert.ok(pongs.length < 1_000, `${pongs.length} pongs`);
    assert.equal(pongs.at(-1), 'p1999');
  });

  it('says the same when the bytes come one at a time', async () => {
    const wire = Buffer.concat([text('grüß', part), ping('?'), more('dich'), binary(Buffer.alloc(130, 'x')), DONE].map(clientFrame));
    assert.deepEqual(await visit(ours, wire, 1), await visit(theirs, wire, 1));
    assert.deepEqual(await visit(ours, wire, 1), { data: `grüßdich${'x'.repeat(130)}`, pongs: ['?'], close: null });
  });
});

/** Sends the bytes and hears what comes back, until the last ping is answered or the connection is closed. */
async function visit(port: number, wire: Buffer, pieceBytes = wire.length): Promise<Outcome> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.on('error', () => {});
  socket.write(
    'GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  );
  await once(socket, 'data');
  let heard = Buffer.alloc(0);
  socket.on('data', (bytes: Buffer) => (heard = Buffer.concat([heard, bytes])));
  const isOver = (): boolean => {
    const seen = outcomeOf(heard);
    return seen.close !== null || seen.pongs.includes('done');
  };
  const over = new Promise<void>((resolve) => {
    socket.on('data', () => isOver() && resolve());
    socket.on('close', () => resolve());
  });
  for (let at = 0; at < wire.length; at += pieceBytes) socket.write(wire.subarray(at, at + pieceBytes));
  await over;
  socket.destroy();
  const outcome = outcomeOf(heard);
  return { ...outcome, pongs: outcome.pongs.filter((each) => each !== 'done') };
}

/** Of a server's frames, which are not masked. */
function outcomeOf(bytes: Buffer): Outcome {
  let data = Buffer.alloc(0);
  const pongs: string[] = [];
  let close: number | null = null;
  for (let at = 0; at + 2 <= bytes.length; ) {
    const short = bytes[at + 1]! & 0x7f;
    const head = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (at + head > bytes.length) break;
    const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2));
    if (at + head + length > bytes.length) break;
    const payload = bytes.subarray(at + head, at + head + length);
    const opcode = bytes[at]! & 0x0f;
    if (opcode === 10) pongs.push(payload.toString('latin1'));
    else if (opcode === 8) close ??= length === 0 ? 1005 : payload.readUInt16BE(0);
    else data = Buffer.concat([data, payload]);
    at += head + length;
  }
  return { data: data.toString('utf8'), pongs, close };
}

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '@gatehouse/runtime/clock';
import { TestClock } from '@gatehouse/runtime/test-clock';
import { PALETTE, ink } from './palette.ts';
import type { ColourName } from './palette.ts';
import { RfbTestClient, pixelFormatMessage } from './rfb-test-client.ts';
import type { TestPixelFormat } from './rfb-test-client.ts';
import { CUT_TEXT_BYTES_MAX } from './rfb-parser.ts';
import { serveRfb } from './rfb-session.ts';
import { Screen } from './screen.ts';
import { streamPair } from './stream-pair.ts';

const UUID = '3f2b8c1e-9f4d-4c36-8a57-0d2f6f1a9b77';
const RAW = 0;
const HEXTILE = 5;
/** Where the pad's first letter stands, and the pitch of its rows. */
const PAD = { x: 40, y: 137, pitch: 18 };

const FORMATS: Readonly<Record<string, TestPixelFormat>> = {
  '32 bits, red highest, little endian': { bits: 32, depth: 24, bigEndian: false, maxima: [255, 255, 255], shifts: [16, 8, 0] },
  '32 bits, red lowest as noVNC asks': { bits: 32, depth: 24, bigEndian: false, maxima: [255, 255, 255], shifts: [0, 8, 16] },
  '32 bits, big endian, high byte used': { bits: 32, depth: 24, bigEndian: true, maxima: [255, 255, 255], shifts: [24, 16, 8] },
  '16 bits 5-6-5, little endian': { bits: 16, depth: 16, bigEndian: false, maxima: [31, 63, 31], shifts: [11, 5, 0] },
  '16 bits 5-6-5, big endian': { bits: 16, depth: 16, bigEndian: true, maxima: [31, 63, 31], shifts: [11, 5, 0] },
  '16 bits 5-5-5': { bits: 16, depth: 15, bigEndian: false, maxima: [31, 31, 31], shifts: [10, 5, 0] },
  '8 bits 3-3-2': { bits: 8, depth: 8, bigEndian: false, maxima: [7, 7, 3], shifts: [0, 3, 6] },
  '8 bits 2-2-2': { bits: 8, depth: 6, bigEndian: true, maxima: [3, 3, 3], shifts: [4, 2, 0] },
  '8 bits 1-1-1, the 8 colours of TigerVNC': { bits: 8, depth: 3, bigEndian: false, maxima: [1, 1, 1], shifts: [2, 1, 0] },
};

describe('an RFB client at the simulated screen', () => {
  let screen: Screen;
  let refusals: Error[];
  let clients: RfbTestClient[];

  beforeEach(() => {
    const bootedAt = systemClock.now();
    screen = new Screen({ name: 'demo-1', uuid: UUID, bootedAt: () => bootedAt }, systemClock);
    refusals = [];
    clients = [];
  });

  afterEach(async () => {
    for (const client of clients) client.stream.destroy();
    for (let turns = 0; screen.viewerCount > 0; turns += 1) {
      assert.ok(turns < 1_000, 'a closed client has left the screen');
      await sleep(0);
    }
  });

  function connect(): RfbTestClient {
    const [inside, outside] = streamPair();
    serveRfb(screen, inside, (reason) => refusals.push(reason));
    const client = new RfbTestClient(outside);
    clients.push(client);
    return client;
  }

  async function running(): Promise<RfbTestClient> {
    const client = await connect().handshake();
    client.setEncodings(HEXTILE, RAW);
    client.request(false);
    await client.update();
    return client;
  }

  const colour = (name: ColourName): number => {
    const { red, green, blue } = PALETTE[ink(name)]!;
    return (red << 16) | (green << 8) | blue;
  };
  const padText = (client: RfbTestClient, row: number, length: number): string =>
    client.textAt(PAD.x, PAD.y + row * PAD.pitch, length, colour('ink'));

  describe('is refused', () => {
    const GREETINGS = ['GET / HTTP/1.1\r\n', '\0', 'RFB 004.001\n', 'RFB 003.0x8\n', 'RFB 003.008\r', 'rfb 003.008\n', '\xff'.repeat(5_000)];
    for (const greeting of GREETINGS) {
      it(`when its greeting is ${JSON.stringify(greeting.slice(0, 16))}`, async () => {
        const client = connect();
        client.send(Buffer.from(greeting, 'latin1'));
        assert.equal((await client.readToEnd()).toString(), 'RFB 003.008\n');
        assert.match(refusals[0]!.message, /greeting/);
      });
    }

    it('in words when a 3.8 client chooses a security type that was not offered', async () => {
      const client = connect();
      client.send('RFB 003.008\n', [2]);
      const answer = (await client.readToEnd()).subarray(14);
      assert.equal(answer.readUInt32BE(0), 1);
      assert.equal(answer.readUInt32BE(4), answer.length - 8);
      assert.match(answer.subarray(8).toString(), /security type 2; accepted: 1/);
    });

    it('without words when a 3.7 client does, for 3.7 has none', async () => {
      const client = connect();
      client.send('RFB 003.007\n', [16]);
      assert.deepEqual(await client.readToEnd(), Buffer.concat([Buffer.from('RFB 003.008\n'), Buffer.from([1, 1])]));
    });

    const valid = FORMATS['16 bits 5-6-5, big endian']!;
    const MESSAGES: Readonly<Record<string, readonly [Buffer, RegExp]>> = {
      'an unknown message': [Buffer.from([255, 0, 0, 0]), /message type 255/],
      'a colour map from a client (obsolete)': [Buffer.from([1, 0, 0, 0]), /message type 1/],
      '24 bits per pixel': [pixelFormatMessage({ ...valid, bits: 24 as 16 }), /24 bits per pixel; accepted: 8, 16 or 32/],
      'no bits per pixel': [Buffer.alloc(20), /0 bits per pixel/],
      'a colour map': [pixelFormatMessage({ ...valid, trueColour: false }), /colour map; accepted: true colour/],
      'a channel without values': [pixelFormatMessage({ ...valid, maxima: [0, 63, 31] }), /red maximum of 0/],
      'a maximum that is no 2^n - 1': [pixelFormatMessage({ ...valid, maxima: [31, 62, 31] }), /green maximum of 62/],
      'a channel shifted out of the pixel': [pixelFormatMessage({ ...valid, shifts: [11, 5, 12] }), /blue shifted by 12/],
      'a shift that no integer has': [pixelFormatMessage({ ...valid, shifts: [255, 5, 0] }), /red shifted by 255/],
      'too many encodings': [Buffer.from([2, 0, 0xff, 0xff]), /65535 encodings; accepted: at most 1024/],
      'a clipboard of 4 GiB': [Buffer.from([6, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]), /clipboard of 4294967295 bytes/],
    };
    for (const [what, [bytes, words]] of Object.entries(MESSAGES)) {
      it(`when it sends ${what}`, async () => {
        const client = await connect().handshake();
        client.send(bytes);
        await client.readToEnd();
        assert.equal(refusals.length, 1);
        assert.match(refusals[0]!.message, words);
        assert.equal(screen.viewerCount, 0);
      });
    }

    it('alone: who watches beside it goes on', async () => {
      const good = await running();
      const bad = await connect().handshake();
      bad.send([99]);
      await bad.readToEnd();
      good.type('still here');
      await good.until(() => padText(good, 0, 10) === 'still here');
    });
  });

  describe('shakes hands', () => {
    for (const minor of [3, 7, 8]) {
      it(`as version 3.${minor}`, async () => {
        const client = await connect().handshake(minor);
        assert.deepEqual([client.width, client.height, client.name], [800, 600, 'demo-1']);
      });
    }

    it('as 3.3 when it names a version that has no handshake of its own', async () => {
      for (const version of ['RFB 003.005\n', 'RFB 003.889\n']) {
        const client = connect();
        client.send(version, [0]);
        assert.equal((await client.read(16)).readUInt32BE(12), 1);
        assert.equal((await client.serverInit()).name, 'demo-1');
      }
    });

    it('when its bytes come one by one, and when they all come at once', async () => {
      const slow = connect();
      for (const byte of Buffer.from('RFB 003.008\n\x01\x01')) {
        slow.send([byte]);
        await sleep(0);
      }
      assert.equal((await slow.read(18)).length, 18);
      assert.equal((await slow.serverInit()).name, 'demo-1');
      const fast = connect();
      fast.send('RFB 003.008\n', [1, 1], Buffer.from([3, 0, 0, 0, 0, 0, 0, 16, 0, 16]));
      await fast.read(18);
      await fast.serverInit();
      assert.deepEqual(await fast.update(), [{ x: 0, y: 0, width: 16, height: 16, encoding: RAW }]);
    });
  });

  describe('sees', () => {
    for (const [name, format] of Object.entries(FORMATS)) {
      for (const encoding of [RAW, HEXTILE]) {
        it(`every pixel, ${name}, ${encoding === RAW ? 'raw' : 'hextile'}`, async () => {
          const client = await connect().handshake();
          client.setPixelFormat(format);
          client.setEncodings(encoding);
          client.type('The quick brown fox');
          client.pointer(1, 300, 300);
          await sleep(40);
          const area = { x: 30, y: 20, width: 401, height: 301 };
          client.request(false, area.x, area.y, area.width, area.height);
          await client.update();
          const expected = screen.paint(area).pixels;
          const reduced = PALETTE.map(({ red, green, blue }) => {
            const [r, g, b] = [red, green, blue].map((value, at) => {
              const max = format.maxima[at]!;
              return Math.round((Math.round((value * max) / 255) * 255) / max);
            }) as [number, number, number];
            return (r << 16) | (g << 8) | b;
          });
          let wrong = 0;
          expected.forEach((index, at) => {
            const shown = client.pixel(area.x + (at % area.width), area.y + Math.floor(at / area.width));
            if (shown !== reduced[index]) wrong += 1;
          });
          assert.equal(wrong, 0);
        });
      }
    }

    it('the name, the uuid and more than ten colours', async () => {
      const client = await running();
      assert.equal(client.textAt(84, 43, UUID.length, colour('barDim')), UUID);
      const colours = new Set<number>();
      for (let at = 0; at < client.screen.length; at += 3) colours.add(client.screen.readUIntBE(at, 3));
      assert.ok(colours.size > 10, `${colours.size} colours`);
    });

    it('raw pixels when it names no encoding that the server has', async () => {
      const client = await connect().handshake();
      client.setEncodings(7, 16, -239);
      client.request(false, 0, 0, 20, 20);
      assert.equal((await client.update())[0]!.encoding, RAW);
    });

    it('a picture of some kilobytes in hextile, where raw needs two megabytes', async () => {
      const client = await running();
      assert.ok(client.bytesRead < 60_000, `${client.bytesRead} bytes`);
    });

    it('only what it asked for: an area beyond the edge is cut, an empty one is not answered', async () => {
      const client = await connect().handshake();
      client.request(false, 0, 0, 0, 0);
      client.request(false, 60_000, 60_000, 60_000, 60_000);
      client.request(false, 790, 590, 65_535, 65_535);
      assert.deepEqual(await client.update(), [{ x: 790, y: 590, width: 10, height: 10, encoding: RAW }]);
    });
  });

  describe('types', () => {
    it('text that appears as letters, and only its row is sent', async () => {
      const client = await running();
      client.request(true);
      client.key(true, 'H'.charCodeAt(0));
      const areas = await client.update();
      const pixels = areas.reduce((sum, area) => sum + area.width * area.height, 0);
      assert.ok(pixels < 800 * 600 * 0.1, `${pixels} pixels`);
      client.type('ello, Console_1 {~}');
      await client.until(() => padText(client, 0, 20) === 'Hello, Console_1 {~}');
    });

    it('every character of the font', async () => {
      const client = await running();
      const all = Array.from({ length: 95 }, (_, index) => String.fromCharCode(32 + index)).join('');
      client.type(all);
      await client.until(() => padText(client, 0, 90) + padText(client, 1, 5) === all);
    });

    it('Enter, Backspace, arrows, Home, Delete and Ctrl-L', async () => {
      const client = await running();
      client.type('one\ntwp');
      client.key(true, 0xff08);
      client.type('o');
      client.key(true, 0xff52);
      client.type('!');
      client.key(true, 0xff50);
      client.key(true, 0xffff);
      await client.until(() => padText(client, 0, 4) === 'ne! ' && padText(client, 1, 4) === 'two ');
      client.key(true, 0xffe3);
      client.key(true, 0x6c);
      client.key(false, 0xffe3);
      client.type('new');
      await client.until(() => padText(client, 0, 5) === 'new  ' && padText(client, 1, 4) === '    ');
    });

    it('more than fits: the pad scrolls, and its oldest lines are dropped in the end', async () => {
      const client = await running();
      for (let line = 0; line < 1_000; line += 1) client.type(`line ${line}\n`);
      client.type('the end');
      await client.until(() => padText(client, 15, 7) === 'the end' && padText(client, 14, 8) === 'line 999');
    });

    it('a burst of keys that is answered by a handful of updates', async () => {
      const client = await running();
      client.type('a'.repeat(80));
      let updates = 0;
      while (padText(client, 0, 80) !== 'a'.repeat(80)) {
        client.request(true);
        await client.update();
        updates += 1;
      }
      assert.ok(updates <= 5, `${updates} updates`);
    });

    it('Ctrl-Alt-Del, and the screen says so', async () => {
      const client = await running();
      for (const keysym of [0xffe3, 0xffe9, 0xffff]) client.key(true, keysym);
      for (const keysym of [0xffff, 0xffe9, 0xffe3]) client.key(false, keysym);
      await client.until(() => client.textAt(550, 500, 13, colour('alert')) === 'received once');
    });

    it('nothing with keys it releases or that have no character', async () => {
      const client = await running();
      client.key(false, 0x61);
      for (const keysym of [0, 0xffffffff, 0xffbe, 0x01000000, 0x0100d800, 0x01110000]) client.key(true, keysym);
      client.type('ok');
      await client.until(() => padText(client, 0, 3) === 'ok ');
    });
  });

  describe('points', () => {
    it('and a mark stands where it clicked, until it clicks elsewhere', async () => {
      const client = await running();
      client.pointer(0, 300, 300);
      client.pointer(1, 300, 300);
      client.pointer(0, 300, 300);
      await client.until(() => client.pixel(300, 300) === colour('leftButton'));
      client.pointer(4, 500, 200);
      await client.until(() => client.pixel(500, 200) === colour('rightButton'));
      assert.equal(client.pixel(300, 300), colour('paper'));
      assert.equal(client.textAt(346, 520, 11, colour('tileDim')), 'at 500, 200');
    });

    it('outside the screen, and the mark stays inside', async () => {
      const client = await running();
      client.pointer(1, 65_535, 65_535);
      await client.until(() => client.pixel(799, 599) === colour('leftButton'));
    });

    it('and only moves: nothing is sent', async () => {
      const client = await running();
      client.request(true);
      for (let x = 0; x < 500; x += 1) client.pointer(0, x, 100);
      await sleep(60);
      assert.equal(client.stream.read(), null);
    });
  });

  it('is told of a clipboard it offers, and its text is skipped however long', async () => {
    const client = await running();
    const header = Buffer.from([6, 0, 0, 0, 0, 0, 0, 0]);
    header.writeUInt32BE(CUT_TEXT_BYTES_MAX, 4);
    client.send(header);
    for (let sent = 0; sent < CUT_TEXT_BYTES_MAX; sent += 65_536) client.send(Buffer.alloc(65_536, 0xff));
    client.type('after');
    await client.until(() => padText(client, 0, 5) === 'after');
    assert.equal(client.textAt(24, 570, 18, colour('tileDim')), 'clipboard offered:');
  });

  it('shares the screen with others, and takes its pressed keys along when it leaves', async () => {
    const first = await running();
    const second = await running();
    await first.until(() => first.textAt(776 - 9 * 8, 570, 9, colour('tileDim')) === '2 viewers');
    second.key(true, 0xffe3);
    second.stream.destroy();
    first.type('shared');
    await first.until(() => padText(first, 0, 6) === 'shared');
    const third = await running();
    assert.equal(padText(third, 0, 6), 'shared');
  });

  it('that never reads costs one band, whatever it asks and others type', async () => {
    const greedy = connect();
    const [inside, outside] = streamPair();
    serveRfb(screen, inside);
    outside.pause();
    outside.write(Buffer.concat([Buffer.from('RFB 003.008\n'), Buffer.from([1, 1])]));
    const full = Buffer.from([3, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    for (let asked = 0; asked < 500; asked += 1) outside.write(full);
    await greedy.handshake();
    greedy.type('x'.repeat(200));
    await sleep(100);
    const held = inside.writableLength + outside.readableLength;
    assert.ok(held < 128 * 1024, `${held} bytes held`);
    outside.destroy();
  });

  it('gets the changes of a slow frame later and none is lost', async () => {
    const client = await running();
    client.request(true);
    client.type('a');
    await sleep(50);
    client.type('bc');
    await sleep(50);
    await client.update();
    await client.until(() => padText(client, 0, 3) === 'abc');
  });
});

describe('the screen of a simulated guest', () => {
  it('has a timer only while somebody looks, and then one a minute', async () => {
    const clock = new TestClock();
    const bootedAt = clock.now();
    const screen = new Screen({ name: 'idle', uuid: UUID, bootedAt: () => bootedAt }, clock);
    assert.equal(clock.pending, 0);
    const damages: number[] = [];
    const viewer = { damaged: (areas: readonly unknown[]) => void damages.push(areas.length) };
    screen.join(viewer);
    assert.equal(clock.pending, 1);
    await clock.advance(59_000);
    assert.deepEqual(damages, []);
    await clock.advance(2_000);
    assert.deepEqual(damages, [2], 'the uptime, old and new');
    screen.leave(viewer);
    assert.equal(clock.pending, 0);
    screen.key({ modifiers: new Set(), buttons: 0 }, true, 0x61);
    assert.equal(clock.pending, 0);
  });
});

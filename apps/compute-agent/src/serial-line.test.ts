import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { ConsoleEnded } from '@gatehouse/console-stream/console-ended';
import { ServiceError } from '@gatehouse/errors/service-error';
import { TestClock } from '@gatehouse/runtime/test-clock';
import { runFor } from '../../../test/servers/running-time.ts';
import { STALL_TIMEOUT_MS, SerialLine } from './serial-line.ts';

const SCROLLBACK = 64 * 1024;

describe('a serial line', () => {
  it('ends the user before when a new one comes, and tells why', async () => {
    const { line } = makeLine();
    const first = line.attach(null).stream;
    const ended = errorOf(first);
    const second = line.attach(null).stream;
    const error = await ended;
    assert.ok(error instanceof ConsoleEnded && error.reason === 'superseded');
    assert.equal(second.destroyed, false);
  });

  it('shows a new user what the guest printed before they came', async () => {
    const { line, guest } = makeLine();
    guest.print('boot\nlogin: ');
    await turn();
    assert.equal(await read(line.attach(null).stream, 12), 'boot\nlogin: ');
  });

  it('goes on for a user who was cut off where they were', async () => {
    const { line, guest } = makeLine();
    guest.print('one two ');
    await turn();
    const { stream, offset } = line.attach(null);
    assert.equal(await read(stream, 4), 'one ');
    stream.destroy();
    guest.print('three');
    await turn();
    const again = line.attach(offset + 4);
    assert.equal(again.offset, offset + 4);
    assert.equal(await read(again.stream, 9), 'two three');
  });

  it('begins with the oldest byte kept where the wanted one is gone or never was', async () => {
    const { line, guest } = makeLine();
    guest.print('x'.repeat(SCROLLBACK + 100));
    await isRead(guest);
    const { offset } = line.attach(0);
    assert.equal(line.attach(offset - 1).offset, offset);
    assert.equal(line.attach(offset + 10 * SCROLLBACK).offset, offset);
  });

  it('does not take an offset of an earlier life for one of its own', async () => {
    const clock = new TestClock();
    const before = new SerialLine(makeGuest(), SCROLLBACK, clock).attach(null).offset;
    await clock.advance(1000);
    const after = new SerialLine(makeGuest(), SCROLLBACK, clock).attach(before + 50);
    assert.ok(after.offset > before + 50);
  });

  it('does not ask a new user\'s terminal what an earlier one was asked, but goes on asking the one that resumes', async () => {
    const { line, guest } = makeLine();
    guest.print('\x1b[6n# ');
    await turn();
    const { stream, offset } = line.attach(null);
    guest.print('\x1b[6n');
    assert.equal(await read(stream, 10), '\0\0\0\0# \x1b[6n');
    assert.equal(await read(line.attach(offset).stream, 10), '\x1b[6n# \x1b[6n');
  });

  it('lets a user go who falls behind by more than is kept, and shows nothing wrong', async () => {
    const { line, guest } = makeLine();
    const { stream } = line.attach(null);
    const failed = errorOf(stream);
    guest.print('a'.repeat(20_000));
    await turn();
    guest.print('b'.repeat(2 * SCROLLBACK));
    const error = await failed;
    assert.ok(error instanceof ServiceError && error.code === 'RESOURCE_EXHAUSTED');
  });

  it('passes what is typed to the guest', async () => {
    const { line, guest } = makeLine();
    line.attach(null).stream.write('ls\n');
    await turn();
    assert.equal(guest.typed(), 'ls\n');
  });

  it('keeps reading a guest that nobody watches, and never keeps more than its limit', async () => {
    const { line, guest } = makeLine();
    for (let i = 0; i < 100; i += 1) guest.print('y'.repeat(10_000));
    await isRead(guest);
    const { stream } = line.attach(null);
    await read(stream, SCROLLBACK);
    assert.equal(stream.readableLength, 0);
  });

  it('loses nothing between a fast guest and a slow reader', async () => {
    const { line, guest } = makeLine();
    const { stream } = line.attach(null);
    let expected = '';
    for (let i = 0; i < 200; i += 1) {
      const piece = `${i};`.repeat(500);
      expected += piece;
      guest.print(piece);
    }
    let text = '';
    while (text.length < expected.length) {
      await turn();
      text += (stream.read(3000) ?? stream.read() ?? '') as string;
    }
    assert.equal(text, expected);
  });

  it('stops the guest for a user who does not read, and lets the user go when that lasts', async () => {
    const clock = new TestClock();
    const { line, guest } = makeLine(clock);
    const { stream } = line.attach(null);
    const failed = errorOf(stream);
    for (let i = 0; i < 40; i += 1) guest.print('z'.repeat(10_000));
    await runFor(50);
    assert.ok(guest.readableLength > 0, 'the guest is held back');
    assert.equal(clock.pending, 1, 'the user has some time');
    await clock.advance(STALL_TIMEOUT_MS + 1);
    const error = await failed;
    assert.ok(error instanceof ServiceError && error.code === 'RESOURCE_EXHAUSTED');
    await isRead(guest);
  });

  it('brings what the guest said last before its end', async () => {
    const { line, guest } = makeLine();
    const { stream } = line.attach(null);
    guest.print('power down');
    guest.push(null);
    let text = '';
    for await (const chunk of stream) text += String(chunk);
    assert.equal(text, 'power down');
    assert.equal(line.isOpen, false);
  });

  it('ends its user with the reason for which it is closed', async () => {
    const { line, guest } = makeLine();
    const ended = errorOf(line.attach(null).stream);
    line.close('instance_deleted');
    const error = await ended;
    assert.ok(error instanceof ConsoleEnded && error.reason === 'instance_deleted');
    assert.equal(guest.destroyed, true);
  });
});

/** A guest's end of a serial line in memory. */
function makeGuest() {
  let typed = '';
  const duplex = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      typed += chunk.toString();
      done();
    },
  });
  return Object.assign(duplex, { print: (text: string) => void duplex.push(text), typed: () => typed });
}

function makeLine(clock = new TestClock()) {
  const guest = makeGuest();
  return { guest, line: new SerialLine(guest, SCROLLBACK, clock) };
}

/** Resolves when the line has taken all that the guest printed. */
async function isRead(guest: Duplex): Promise<void> {
  for (let turns = 0; guest.readableLength > 0; turns += 1) {
    assert.ok(turns < 10_000, `${guest.readableLength} bytes are not read`);
    await turn();
  }
  await turn();
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function errorOf(stream: Duplex): Promise<Error> {
  return new Promise((resolve) => stream.once('error', resolve));
}

async function read(stream: Duplex, length: number): Promise<string> {
  let text = '';
  while (text.length < length) {
    const piece = stream.read(Math.min(length - text.length, stream.readableLength || 1)) as Buffer | null;
    if (piece) text += piece.toString();
    else await turn();
  }
  return text;
}

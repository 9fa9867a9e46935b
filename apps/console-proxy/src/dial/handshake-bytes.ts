/**
 * A handshake is read in exact pieces, and what was not asked for stays in the stream: the console's first bytes may come
 * glued to its last ones. Waiting ends with the stream: whoever sets a deadline destroys it.
 */
import type { Readable } from 'node:stream';
import { hostRefusal, WORDS } from './host-refusal.ts';

/** Resolves with the first of these events, or null after `forMs`; leaves no listener behind, so that the stream can flow later. */
export function firstSign(stream: Readable, signs: readonly string[], forMs?: number): Promise<string | null> {
  return new Promise((resolve) => {
    const listeners = signs.map((sign) => [sign, () => done(sign)] as const);
    const timer = forMs === undefined ? undefined : setTimeout(() => done(null), forMs);
    const done = (sign: string | null): void => {
      clearTimeout(timer);
      for (const [name, listener] of listeners) stream.off(name, listener);
      resolve(sign);
    };
    for (const [name, listener] of listeners) stream.on(name, listener);
  });
}

const somethingHappens = (stream: Readable): Promise<unknown> => firstSign(stream, ['readable', 'end', 'close', 'error']);

const isOver = (stream: Readable): boolean => stream.readableEnded || stream.destroyed || stream.errored !== null;

function endedEarly(stream: Readable, what: string, got: string): Error {
  const why = stream.errored === null ? 'the connection was closed' : stream.errored.message;
  return hostRefusal(WORDS.closed, `${why} where ${what} should have come (${got})`);
}

/**
 * The next `count` bytes.
 *
 * @throws ServiceError UNAVAILABLE when the stream ends before; its cause names `what` was read
 */
export async function readExactly(stream: Readable, count: number, what: string): Promise<Buffer> {
  if (count === 0) return Buffer.alloc(0);
  for (;;) {
    const bytes = stream.read(count) as Buffer | null;
    if (bytes?.length === count) return bytes;
    // At its end a stream hands out what it has, though it is less.
    if (bytes !== null || isOver(stream)) throw endedEarly(stream, what, `${bytes?.length ?? 0} of ${count} bytes`);
    await somethingHappens(stream);
  }
}

/**
 * Everything up to and with `ending`, at most `bytesMax`; what came behind it is put back.
 *
 * @throws ServiceError UNAVAILABLE when the stream ends before, or the ending does not come
 */
export async function readThrough(stream: Readable, ending: string, bytesMax: number, what: string): Promise<Buffer> {
  let held: Buffer = Buffer.alloc(0);
  for (;;) {
    const bytes = stream.read() as Buffer | null;
    if (bytes === null) {
      if (isOver(stream)) throw endedEarly(stream, what, `${held.length} bytes`);
      await somethingHappens(stream);
      continue;
    }
    held = Buffer.concat([held, bytes]);
    const at = held.indexOf(ending);
    const end = at + ending.length;
    if (at >= 0 && end <= bytesMax) {
      if (end < held.length) stream.unshift(held.subarray(end));
      return held.subarray(0, end);
    }
    if (held.length >= bytesMax) throw hostRefusal(WORDS.path, `${what} has no end within ${bytesMax} bytes`);
  }
}

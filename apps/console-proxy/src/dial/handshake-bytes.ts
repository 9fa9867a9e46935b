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

/**
 * The beginning of what comes, as long as `lengthOf` says once it can; what came behind it is put back.
 *
 * What has come is taken out of the stream at once: one that still holds something would say `readable` for ever.
 */
async function readStart(stream: Readable, what: string, lengthOf: (held: Buffer) => number | null): Promise<Buffer> {
  let held: Buffer = Buffer.alloc(0);
  for (;;) {
    const length = lengthOf(held);
    if (length !== null) {
      if (length < held.length) stream.unshift(held.subarray(length));
      return held.subarray(0, length);
    }
    const bytes = stream.read() as Buffer | null;
    if (bytes !== null) held = Buffer.concat([held, bytes]);
    else if (isOver(stream)) throw endedEarly(stream, what, held.length);
    else await somethingHappens(stream);
  }
}

function endedEarly(stream: Readable, what: string, gotBytes: number): Error {
  const why = stream.errored === null ? 'the connection was closed' : stream.errored.message;
  return hostRefusal(WORDS.closed, `${why} where ${what} should have come (after ${gotBytes} bytes of it)`);
}

/**
 * The next `count` bytes.
 *
 * @throws ServiceError UNAVAILABLE when the stream ends before; its cause names `what` was read
 */
export function readExactly(stream: Readable, count: number, what: string): Promise<Buffer> {
  return readStart(stream, what, (held) => (held.length >= count ? count : null));
}

/**
 * Everything up to and with `ending`, at most `bytesMax`.
 *
 * @throws ServiceError UNAVAILABLE when the stream ends before, or the ending does not come
 */
export function readThrough(stream: Readable, ending: string, bytesMax: number, what: string): Promise<Buffer> {
  return readStart(stream, what, (held) => {
    const at = held.indexOf(ending);
    const end = at + ending.length;
    if (at >= 0 && end <= bytesMax) return end;
    if (held.length >= bytesMax) throw hostRefusal(WORDS.path, `${what} has no end within ${bytesMax} bytes`);
    return null;
  });
}

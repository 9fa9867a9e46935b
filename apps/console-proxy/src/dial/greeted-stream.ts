/**
 * A host's stream as a browser finds it: first the greeting, then the host's bytes as they are. Nothing of the host is read before
 * the client is through, and a client that does not get through in time, or says what is no RFB, ends it with words.
 */
import { Duplex } from 'node:stream';
import type { EndReason } from '@gatehouse/errors/endings';
import { RfbGreeting } from './rfb-greeting.ts';

/** A browser's handshake is two round trips. */
const GREETING_TIMEOUT_MS = 30_000;
const HELD_BYTES_MAX = 64 * 1024;

/** `ending`: why it ended, where that was neither side's own will. */
export type GreetedStream = Duplex & { readonly ending: { readonly reason: EndReason } | null };

/** `host`: at the point where ClientInit is expected. Ending or destroying either side ends both. */
export function greetedStream(host: Duplex, timeoutMs = GREETING_TIMEOUT_MS): GreetedStream {
  const greeting = new RfbGreeting();
  let ending: { readonly reason: EndReason } | null = null;

  const stream = new Duplex({
    allowHalfOpen: false,
    readableHighWaterMark: HELD_BYTES_MAX,
    read() {
      if (greeting.state === 'done') host.resume();
    },
    write(bytes: Buffer, _encoding, taken) {
      if (greeting.state === 'done') return forward(bytes, taken);
      const { say, rest, state } = greeting.take(bytes);
      if (say.length > 0) stream.push(say);
      if (state === 'failed') refuse();
      if (state === 'done') join();
      if (rest.length > 0) return forward(rest, taken);
      taken();
    },
    final(done) {
      host.end();
      done();
    },
    destroy(error, done) {
      clearTimeout(timer);
      host.destroy();
      done(error);
    },
  });
  const timer = setTimeout(() => {
    stream.push(greeting.giveUp());
    refuse();
  }, timeoutMs).unref();
  stream.push(greeting.first);
  host.on('error', (error) => stream.destroy(error));
  host.on('close', () => {
    // After its end, and after our last words, everything is read first.
    if (!host.readableEnded && ending === null) stream.destroy();
  });
  return Object.defineProperty(stream, 'ending', { get: () => ending, enumerable: true }) as GreetedStream;

  function join(): void {
    clearTimeout(timer);
    host.on('data', (bytes: Buffer) => {
      if (!stream.push(bytes)) host.pause();
    });
    host.on('end', () => stream.push(null));
  }

  /** Taken is what the host's socket holds no longer: the memory is its reader's again then. */
  function forward(bytes: Buffer, taken: () => void): void {
    let isTaken = false;
    const tell = (): void => {
      if (!isTaken) taken();
      isTaken = true;
    };
    host.write(bytes, tell);
    if (host.writableLength === 0) tell();
  }

  function refuse(): void {
    clearTimeout(timer);
    ending = { reason: 'protocol_error' };
    host.destroy();
    stream.push(null);
  }
}

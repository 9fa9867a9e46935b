/**
 * A VNC host that has let us in, at the point where ClientInit is expected, and what its client must say before it may speak to it. The
 * host's own stream is in here and nothing between: once the client is through, it is relayed like any other (guest-connection.ts).
 */
import type { Duplex } from 'node:stream';
import { RfbGreeting } from './rfb-greeting.ts';

/** A browser's handshake is two round trips. */
const GREETING_TIMEOUT_MS = 30_000;

export class GreetedHost {
  readonly stream: Duplex;
  readonly greeting = new RfbGreeting();
  /** What a client may take until it is through. */
  readonly timeoutMs: number;

  constructor(stream: Duplex, timeoutMs = GREETING_TIMEOUT_MS) {
    this.stream = stream;
    this.timeoutMs = timeoutMs;
  }
}

/**
 * The server's part of the RFB handshake, spoken to the browser on behalf of a host that has let us in already: version 3.8, and
 * one security type, None, for the token has said who this is. A client may answer with 3.7 or 3.3, which only greet differently.
 */
import { NONE, VERSION_BYTES, VERSION_LINE, reasonBytes } from './rfb-words.ts';

/** `version`, `security`: what is waited for. */
export type GreetingState = 'version' | 'security' | 'done' | 'failed';

export interface Heard {
  /** For the client. */
  readonly say: Buffer;
  /** What came behind the handshake: the host's. */
  readonly rest: Buffer;
  readonly state: GreetingState;
}

const EMPTY = Buffer.alloc(0);
const OK = Buffer.alloc(4);
const FAILED = Buffer.of(0, 0, 0, 1);

export class RfbGreeting {
  /** What the client hears first. */
  readonly first = Buffer.from(VERSION_LINE['3.8']);
  #state: GreetingState = 'version';
  #held: Buffer = EMPTY;
  /** Whether the client's version hears how the security check went, and why it failed. */
  #tellsResult = true;

  get state(): GreetingState {
    return this.#state;
  }

  /** The client's next bytes, however they are cut. */
  take(bytes: Buffer): Heard {
    this.#held = Buffer.concat([this.#held, bytes]);
    const said: Buffer[] = [];
    if (this.#state === 'version' && this.#held.length >= VERSION_BYTES) said.push(this.#version(this.#next(VERSION_BYTES)));
    if (this.#state === 'security' && this.#held.length > 0) said.push(this.#security(this.#next(1)[0]!));
    const rest = this.#state === 'done' ? this.#next(this.#held.length) : EMPTY;
    return { say: Buffer.concat(said), rest, state: this.#state };
  }

  /** What a client is told that took too long. */
  giveUp(): Buffer {
    return this.#state === 'version' ? this.#noTypes('The RFB version did not come in time') : this.#fail('The security type did not come in time');
  }

  #next(count: number): Buffer {
    const bytes = this.#held.subarray(0, count);
    this.#held = this.#held.subarray(count);
    return bytes;
  }

  #version(line: Buffer): Buffer {
    const version = line.toString('latin1');
    if (version === VERSION_LINE['3.8'] || version === VERSION_LINE['3.7']) {
      this.#state = 'security';
      this.#tellsResult = version === VERSION_LINE['3.8'];
      return Buffer.of(1, NONE);
    }
    // RFC 6143 7.1.1: some clients say 3.5 and mean 3.3.
    if (version === VERSION_LINE['3.3'] || version === 'RFB 003.005\n') {
      this.#state = 'done';
      return Buffer.of(0, 0, 0, NONE);
    }
    return this.#noTypes('Only the RFB versions 3.3, 3.7 and 3.8 are supported');
  }

  #security(type: number): Buffer {
    if (type !== NONE) return this.#fail('Only the security type 1 (None) is supported');
    this.#state = 'done';
    return this.#tellsResult ? OK : EMPTY;
  }

  #noTypes(reason: string): Buffer {
    this.#state = 'failed';
    return Buffer.concat([Buffer.of(0), reasonBytes(reason)]);
  }

  #fail(reason: string): Buffer {
    this.#state = 'failed';
    return this.#tellsResult ? Buffer.concat([FAILED, reasonBytes(reason)]) : FAILED;
  }
}

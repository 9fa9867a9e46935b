/**
 * One client and its console: the splice. Before the console is open it holds at most one read of what the client
 * already sent; afterwards it holds nothing, for each side is read only while the other takes it. It ends once,
 * with a reason, whichever side began.
 */
import type { Duplex } from 'node:stream';
import { endingOf } from '@gatehouse/errors/endings';
import { ERRORS } from '@gatehouse/errors/error-table';
import type { ServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleGrant } from '@gatehouse/objects/console-grant';
import type { Subprotocol } from './websocket/handshake.ts';
import { isTaken, WebSocketConnection, type WebSocketEnd, type WebSocketEvents } from './websocket/web-socket-connection.ts';

export interface ClientSocket {
  readonly socket: Duplex;
  /** What came after the handshake request in the same read. */
  readonly head: Buffer;
  readonly protocol: Subprotocol | null;
}

/** How long a guest may take for the last input of a client that has left. */
const LAST_INPUT_TIMEOUT_MS = 1_000;

export class ProxiedSession implements WebSocketEvents {
  /** From the client to the guest. */
  bytesIn = 0;
  /** From the guest to the client. */
  bytesOut = 0;
  #connection: WebSocketConnection;
  #controlled: boolean;
  #early: Buffer[] = [];
  #stream: Duplex | null = null;
  #endReason: string | null = null;
  #onEnded: ((reason: string) => void) | null = null;

  constructor({ socket, head, protocol }: ClientSocket) {
    this.#controlled = protocol === 'gatehouse.v1';
    this.#connection = new WebSocketConnection(socket, head, this, { textAllowed: this.#controlled });
  }

  /** Why it has ended; null while it lives. */
  get endReason(): string | null {
    return this.#endReason;
  }

  /** Turn the client away with the error's close code and words. */
  refuse(error: ServiceError): void {
    this.#finish('refused', ERRORS[error.code].close, error.message);
  }

  /** Join the client to the console it was granted. `onEnded` is called once, when either side or `end` ends it. */
  begin(grant: ConsoleGrant, stream: Duplex, onEnded: (reason: string) => void): void {
    this.#stream = stream;
    this.#onEnded = onEnded;
    this.#tell(sessionMessage(grant));
    stream.on('data', (bytes: Buffer) => {
      this.bytesOut += bytes.length;
      if (!this.#connection.send(bytes)) stream.pause();
    });
    stream.on('drain', () => this.#connection.resume());
    stream.on('end', () => this.end(endingNamedBy(stream) ?? 'guest_closed'));
    stream.on('error', () => this.end('host_unreachable'));
    stream.on('close', () => this.end(endingNamedBy(stream) ?? 'host_unreachable'));
    for (const bytes of this.#early.splice(0)) this.data(bytes);
    if (isTaken(stream)) this.#connection.resume();
  }

  /** End the session; the client reads the reason's words. */
  end(reason: string): void {
    const { close, words } = endingOf(reason);
    this.#finish(reason, close, words);
  }

  /** Tell the client that the proxy is about to stop. */
  warnOfDrain(seconds: number): void {
    this.#tell({ type: 'drain', seconds });
  }

  /** About once a second, see WebSocketConnection. */
  beat(): void {
    this.#connection.beat();
  }

  data(bytes: Buffer): void {
    if (this.#stream === null) {
      this.#early.push(bytes);
      this.#connection.pause();
      return;
    }
    this.bytesIn += bytes.length;
    this.#stream.write(bytes);
    if (!isTaken(this.#stream)) this.#connection.pause();
  }

  /** Nothing that a client says is known yet; a newer page's words are passed over. */
  text(): void {}

  drained(): void {
    this.#stream?.resume();
  }

  closed(end: WebSocketEnd): void {
    // Our own goodbye comes here too, when a violation made the connection say it.
    this.#finish(end.by === 'us' ? 'protocol_error' : 'client_closed', end.code, end.reason);
  }

  #finish(reason: string, code: number, words: string): void {
    if (this.#endReason !== null) return;
    this.#endReason = reason;
    this.#early = [];
    this.#tell({ type: 'end', code, reason: words });
    this.#connection.close(code, words);
    if (reason === 'client_closed') this.#letGo();
    else this.#stream?.destroy();
    this.#onEnded?.(reason);
  }

  /** What the client sent last before it left is on its way to the guest: it gets a moment to arrive. */
  #letGo(): void {
    const stream = this.#stream;
    if (stream === null || stream.destroyed) return;
    const timer = setTimeout(() => stream.destroy(), LAST_INPUT_TIMEOUT_MS).unref();
    stream.once('close', () => clearTimeout(timer));
    stream.end();
    // Its output has no reader any more, and must not hold up the end.
    stream.resume();
  }

  /** A control message, where the client agreed to hear them. */
  #tell(message: object): void {
    if (this.#controlled) this.#connection.sendText(JSON.stringify(message));
  }
}

function sessionMessage({ session, instanceName }: ConsoleGrant): object {
  return {
    type: 'session',
    id: session.id,
    instance: { uuid: session.instanceUuid, name: instanceName },
    console_type: session.consoleType,
    access: session.access,
  };
}

/** An attached console knows why its host ended it. */
function endingNamedBy(stream: Duplex): string | null {
  const ending = 'ending' in stream ? (stream.ending as { readonly reason: string } | null) : null;
  return ending?.reason ?? null;
}

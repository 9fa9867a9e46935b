/**
 * One end of an open Attach as a Duplex: what is written leaves as Data messages, what arrives can be read. Both
 * ends are the same machine; only the wire under them differs.
 *
 * Memory is bounded by windows, not by hope. A sender never has more than the peer's window on the way without an
 * acknowledgement; a byte is acknowledged when the reader here has taken it. So a stream that nobody reads
 * holds one window and stops its source, and no other stream notices, because messages are always taken
 * off the shared connection at once.
 */
import { Duplex } from 'node:stream';
import { ServiceError, toServiceError } from '@gatehouse/errors/service-error';
import { ConsoleEnded, streamEnding } from './console-ended.ts';
import type { StreamEnding } from './console-ended.ts';
import { PAYLOAD_BYTES_MAX } from './attach-messages.ts';
import type { Data } from './attach-messages.ts';

/** What a channel asks of the connection under it. `sendEnd` and `abort` may come twice; the first one counts. */
export interface Wire {
  sendData(data: Data): void;
  /** The last message: this side has ended for that reason. */
  sendEnd(ending: StreamEnding): void;
  /** The stream failed, or its user threw it away (null). */
  abort(error: ServiceError | null): void;
}

export interface ChannelOptions {
  readonly wire: Wire;
  /** Of the first byte that is sent, and of the first that must arrive. */
  readonly sendOffset: number;
  readonly receiveOffset: number;
  /** What the peer takes without acknowledging, and what this side promised to take. */
  readonly sendWindowBytes: number;
  readonly receiveWindowBytes: number;
  /** Said to the peer when the stream's user ends it (`duplex.end()`). */
  readonly ownEnding: StreamEnding;
}

export interface Channel {
  readonly duplex: Duplex;
  /** Set once the peer has said why it ended. */
  readonly ending: StreamEnding | null;
  /** These three: what the wire reports. Each may be called after the stream is gone. */
  receiveData(data: Data): void;
  receiveEnd(ending: StreamEnding): void;
  fail(error: ServiceError): void;
}

interface PendingWrite {
  rest: Buffer;
  readonly done: (error?: Error | null) => void;
}

export function createChannel(options: ChannelOptions): Channel {
  const { wire } = options;
  let sent = options.sendOffset;
  let ackedByPeer = options.sendOffset;
  let pending: PendingWrite | null = null;

  const arrived: Buffer[] = [];
  let received = options.receiveOffset;
  let consumed = options.receiveOffset;
  let ackSent = options.receiveOffset;
  let ending: StreamEnding | null = null;
  let wanted = false;

  const duplex = new Duplex({
    // The reader's end also ends the writer: a console with one direction is of no use to anybody.
    allowHalfOpen: false,
    readableHighWaterMark: PAYLOAD_BYTES_MAX,
    writableHighWaterMark: PAYLOAD_BYTES_MAX,
    read() {
      wanted = true;
      deliver();
    },
    write(chunk: Buffer, _encoding, done) {
      // Nobody is left to read it, and the reader here may still be busy with what came before the end.
      if (ending) return done();
      pending = { rest: chunk, done };
      pump();
    },
    final(done) {
      wire.sendEnd(options.ownEnding);
      done();
    },
    destroy(error, done) {
      pending = null;
      arrived.length = 0;
      finishWire(error);
      // A reason is not a failure: the peer has been told, and the local user asked for it.
      done(error instanceof ConsoleEnded ? null : error);
    },
  });

  function finishWire(error: Error | null): void {
    if (error instanceof ConsoleEnded) wire.sendEnd(streamEnding(error.reason));
    else if (error) wire.abort(toServiceError(error));
    else if (!(duplex.writableFinished && duplex.readableEnded)) wire.abort(null);
  }

  function pump(): void {
    while (pending) {
      const room = options.sendWindowBytes - (sent - ackedByPeer);
      if (room <= 0) return;
      const { rest, done } = pending;
      const payload = rest.subarray(0, Math.min(room, PAYLOAD_BYTES_MAX));
      wire.sendData({ offset: sent, ack: takeAck(), payload });
      sent += payload.length;
      if (payload.length < rest.length) {
        pending.rest = rest.subarray(payload.length);
      } else {
        pending = null;
        done();
      }
    }
  }

  function deliver(): void {
    while (wanted && arrived.length > 0) {
      const payload = arrived.shift()!;
      consumed += payload.length;
      wanted = duplex.push(payload);
    }
    if (arrived.length === 0 && ending) duplex.push(null);
    else if (consumed - ackSent >= options.receiveWindowBytes / 4) sendAckAlone();
  }

  function takeAck(): number {
    ackSent = consumed;
    return consumed;
  }

  function sendAckAlone(): void {
    wire.sendData({ offset: sent, ack: takeAck(), payload: EMPTY });
  }

  function receiveData(data: Data): void {
    if (duplex.destroyed || ending) return;
    const fault = faultOf(data);
    if (fault) {
      duplex.destroy(new ServiceError('INVALID_ARGUMENT', fault));
      return;
    }
    ackedByPeer = data.ack;
    if (data.payload.length > 0) {
      received += data.payload.length;
      arrived.push(data.payload);
      deliver();
    }
    pump();
  }

  function faultOf(data: Data): string | null {
    if (data.offset !== received) return `console data at offset ${data.offset} where ${received} was next`;
    if (data.ack < ackedByPeer || data.ack > sent) return `an acknowledgement of ${data.ack}, outside ${ackedByPeer} to ${sent}`;
    const unread = received + data.payload.length - consumed;
    // Before the ack has reached the peer it may only count what it knows of, so this can only be too kind.
    if (unread > options.receiveWindowBytes) return `more than the ${options.receiveWindowBytes} bytes that may be unacknowledged`;
    return null;
  }

  return {
    duplex,
    get ending() {
      return ending;
    },
    receiveData,
    receiveEnd(peerEnding) {
      if (duplex.destroyed || ending) return;
      ending = peerEnding;
      pending?.done();
      pending = null;
      deliver();
    },
    fail(error) {
      if (!ending) duplex.destroy(error);
    },
  };
}

const EMPTY = Buffer.alloc(0);

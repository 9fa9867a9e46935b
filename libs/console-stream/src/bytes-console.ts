/**
 * A console whose bytes go over a connection of their own, which the proxy opens with the ticket that Opened brings.
 *
 * The call stays open beside it: it says why the console ended, and its connection's keep-alive notices a peer that is gone.
 * Since the two are not ordered with each other, the call speaks first: only when the proxy has heard the end is the byte
 * connection ended, behind the last of the output. One that ends before its end was said is one that was lost.
 */
import type { Socket } from 'node:net';
import { ServiceError, toServiceError } from '@gatehouse/errors/service-error';
import type { ByteConnections } from './byte-connections.ts';
import { carryBytes } from './carry-bytes.ts';
import { ConsoleEnded, streamEnding } from './console-ended.ts';
import type { HostCall } from './host-call.ts';
import { guestFault, letGo } from './open-console.ts';
import type { GuestConsole, OpenConsole } from './open-console.ts';

export interface BytesConsoleOptions {
  readonly call: HostCall;
  readonly guest: GuestConsole;
  readonly connections: ByteConnections;
  readonly limits: {
    /** From Opened until the connection is there. */
    readonly attachTimeoutMs: number;
    readonly lastOutputTimeoutMs: number;
  };
  closed(): void;
}

/** Sends Opened and lets the bytes flow both ways until one side ends. */
export function openByBytes({ call, guest: { stream: guest, offset }, connections, limits, closed }: BytesConsoleOptions): OpenConsole {
  let socket: Socket | null = null;
  /** Its end is said, or the proxy has left. */
  let over = false;
  /** The call is over; what is left of the output may still be on its way. */
  let settled = false;
  /** The proxy knows why it ended. */
  let heard = false;
  const late = (): void => {
    expected.withdraw();
    fail(new ServiceError('DEADLINE_EXCEEDED', `the proxy did not open the console's byte connection within ${limits.attachTimeoutMs} ms`));
  };
  let timer = setTimeout(late, limits.attachTimeoutMs);
  const expected = connections.expect(join);

  /** Also when the console is over meanwhile: then it is for the proxy to hear that in the call, and to close it. */
  function join(arrived: Socket): void {
    socket = arrived;
    socket.on('end', left);
    socket.on('close', () => {
      if (over) clearTimeout(timer);
      else fail(new ServiceError('CANCELLED', 'the console\'s byte connection was lost'));
    });
    if (heard) socket.end();
    if (over) return void socket.resume();
    clearTimeout(timer);
    carryBytes(guest, socket);
  }

  /** The first who ends it says how. */
  function finish(last: () => void): void {
    if (over) return;
    over = true;
    clearTimeout(timer);
    timer = setTimeout(giveUp, limits.lastOutputTimeoutMs).unref();
    last();
    letGo(guest);
  }

  function drop(): void {
    clearTimeout(timer);
    expected.withdraw();
    socket?.destroy();
  }

  /** The proxy has not taken the last output, or not even said that it heard of the end. */
  function giveUp(): void {
    drop();
    if (settled) return;
    call.end();
    settle();
  }

  function settle(): void {
    settled = true;
    closed();
  }

  function end(reason: ConsoleEnded['reason']): void {
    finish(() => {
      if (!call.cancelled) call.write({ end: streamEnding(reason) });
    });
  }

  function fail(error: ServiceError): void {
    finish(() => {
      if (!call.cancelled) call.fail(error);
      settle();
    });
  }

  /** The proxy has ended the connection or its call, and so the session: the guest gets the last input. */
  function left(): void {
    finish(() => {
      guest.end();
      call.end();
      socket?.end();
      settle();
    });
    if (socket === null) drop(); // nobody who may come is waited for
  }

  function destroy(why?: Error): void {
    if (why instanceof ConsoleEnded) return end(why.reason);
    if (why !== undefined) return fail(toServiceError(why));
    if (settled) return; // gRPC says of every call that is over that it was cancelled
    finish(() => guest.destroy());
    drop();
    settle();
  }

  guest.on('end', () => end('guest_closed'));
  guest.on('error', (error) => destroy(guestFault(error)));
  guest.on('close', () => end('guest_closed'));
  call.write({ opened: { outputOffset: offset, inputOffset: 0, windowBytes: 0, ticket: expected.ticket } });
  return {
    receive(message) {
      if (!('end' in message)) throw new ServiceError('INVALID_ARGUMENT', 'this console\'s bytes go over a connection of their own');
    },
    receiveEnd() {
      if (!over) return left();
      heard = true;
      socket?.end();
      call.end();
      settle();
    },
    destroy,
  };
}

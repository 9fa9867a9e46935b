/** A console whose bytes go as Data messages of its call: for proxies that know no other way, those before 3.2. */
import type { Duplex } from 'node:stream';
import { ServiceError } from '@gatehouse/errors/service-error';
import { createChannel } from './attach-channel.ts';
import type { Open } from './attach-messages.ts';
import { ConsoleEnded, streamEnding } from './console-ended.ts';
import type { HostCall } from './host-call.ts';
import { guestFault, letGo } from './open-console.ts';
import type { GuestConsole, OpenConsole } from './open-console.ts';

const WINDOW_BYTES_MAX = 4 * 1024 * 1024;

export interface MessagesConsoleOptions {
  readonly call: HostCall;
  readonly open: Open;
  readonly guest: GuestConsole;
  readonly inputWindowBytes: number;
  closed(): void;
}

/** Sends Opened and lets the bytes flow both ways until one side ends. */
export function openByMessages({ call, open, guest, inputWindowBytes, closed }: MessagesConsoleOptions): OpenConsole {
  let over = false;
  const finish = (last: () => void): void => {
    if (over) return;
    over = true;
    if (!call.cancelled) last();
  };
  call.write({ opened: { outputOffset: guest.offset, inputOffset: 0, windowBytes: inputWindowBytes, ticket: null } });
  const channel = createChannel({
    wire: {
      sendData(data) {
        if (!over && !call.cancelled) call.write({ data });
      },
      sendEnd: (end) => finish(() => { call.write({ end }); call.end(); }),
      abort: (error) => finish(() => call.fail(error ?? new ServiceError('CANCELLED', 'the console was closed'))),
    },
    sendOffset: guest.offset,
    receiveOffset: 0,
    sendWindowBytes: Math.min(open.windowBytes, WINDOW_BYTES_MAX),
    receiveWindowBytes: inputWindowBytes,
    ownEnding: streamEnding('guest_closed'),
  });
  pipeBothWays(guest.stream, channel.duplex);
  channel.duplex.once('close', closed);
  return {
    receive(message) {
      if ('data' in message) channel.receiveData(message.data);
      else if ('end' in message) channel.receiveEnd(message.end);
      else throw new ServiceError('INVALID_ARGUMENT', 'a second Open message');
    },
    receiveEnd: () => channel.receiveEnd(streamEnding('client_closed')),
    destroy: (why) => void channel.duplex.destroy(why),
  };
}

/** Not node's pipeline: the ways a guest ends (closed, reset, ended with a reason) must stay apart. */
function pipeBothWays(guest: Duplex, channel: Duplex): void {
  guest.on('error', (error) => channel.destroy(guestFault(error)));
  guest.on('close', () => {
    if (!guest.readableEnded && !channel.destroyed) channel.destroy(new ConsoleEnded('guest_closed'));
  });
  channel.on('error', () => {}); // the wire has been told
  channel.on('end', () => guest.unpipe(channel));
  channel.on('close', () => letGo(guest));
  guest.pipe(channel);
  channel.pipe(guest);
}

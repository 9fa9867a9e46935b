/** A console that is open at its host, as its Attach call sees it, whichever way its bytes go. */
import type { Duplex } from 'node:stream';
import { isServiceError } from '@gatehouse/errors/service-error';
import type { AttachRequest } from './attach-messages.ts';
import { ConsoleEnded } from './console-ended.ts';

/** A guest's console, opened. Destroy the stream with a ConsoleEnded to end the session with a reason. */
export interface GuestConsole {
  readonly stream: Duplex;
  /** Of the first byte that the stream gives. */
  readonly offset: number;
}

/** Each of these may be called after the console is over. */
export interface OpenConsole {
  receive(message: AttachRequest): void;
  /** The proxy says no more in this call. */
  receiveEnd(): void;
  /** End it: for a reason (ConsoleEnded) or because something failed; without either, because the proxy is gone. */
  destroy(why?: Error): void;
}

/** How long a guest may take for the last input of a session that has ended. */
const LAST_INPUT_TIMEOUT_MS = 1_000;

/** A guest's socket that breaks is a guest that is gone; only errors with a meaning of their own pass. */
export function guestFault(error: Error): Error {
  return isServiceError(error) || error instanceof ConsoleEnded ? error : new ConsoleEnded('guest_closed');
}

/** Closes the guest's stream once it has taken the session's last input, or soon after. */
export function letGo(guest: Duplex): void {
  if (guest.destroyed) return;
  if (!guest.writableEnded || guest.writableFinished) {
    guest.destroy();
    return;
  }
  const timer = setTimeout(() => guest.destroy(), LAST_INPUT_TIMEOUT_MS);
  guest.once('finish', () => guest.destroy());
  guest.once('close', () => clearTimeout(timer));
}

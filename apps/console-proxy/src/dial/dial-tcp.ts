/**
 * TCP to a name or an address. Every address of a name gets its chance, IPv6 and IPv4 as the resolver orders them: the next
 * is tried when one fails, or is silent for a moment, and whichever answers first is taken (RFC 8305 in its simplest form).
 */
import { lookup } from 'node:dns/promises';
import { connect, type Socket } from 'node:net';
import { hostRefusal, WORDS } from './host-refusal.ts';

const NEXT_ADDRESS_AFTER_MS = 250;
const ADDRESSES_MAX = 8;
const KEEP_ALIVE_AFTER_MS = 30_000;

/**
 * An open connection, small writes sent at once; nothing is left behind when `signal` gives it up.
 *
 * @throws ServiceError UNAVAILABLE; its cause names each address and why it failed
 */
export async function dialTcp(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  if (port < 1 || port > 65_535) throw hostRefusal(WORDS.noPort, `its port is ${port}`);
  return dialFirst(await addressesOf(host, signal), port, signal);
}

async function addressesOf(host: string, signal: AbortSignal): Promise<readonly string[]> {
  const gaveUp = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(hostRefusal(WORDS.unreachable, 'its name was still being looked up')), { once: true });
  });
  // Nobody may be waiting for it any more when it comes.
  gaveUp.catch(() => {});
  try {
    const found = await Promise.race([lookup(host, { all: true, verbatim: true }), gaveUp]);
    return found.slice(0, ADDRESSES_MAX).map(({ address }) => address);
  } catch (error) {
    if (signal.aborted) throw error;
    throw hostRefusal(WORDS.unreachable, `its name cannot be looked up (${codeOf(error)})`);
  }
}

/** The connection of whichever of these addresses answers first. */
export function dialFirst(addresses: readonly string[], port: number, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const trying = new Map<Socket, string>();
    const failed: string[] = [];
    let next = 0;
    let isSettled = false;
    let timer: NodeJS.Timeout | undefined;

    const settle = (chosen: Socket | null): void => {
      isSettled = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', giveUp);
      for (const [socket, address] of trying) {
        if (socket === chosen) continue;
        failed.push(`${address} (no answer)`);
        socket.destroy();
      }
      if (chosen === null) reject(hostRefusal(WORDS.unreachable, `no connection to ${failed.join(', ')}`));
      else resolve(chosen);
    };
    const giveUp = (): void => settle(null);
    const tryNext = (): void => {
      clearTimeout(timer);
      const address = addresses[next++];
      if (address === undefined) {
        if (trying.size === 0) settle(null);
        return;
      }
      const socket = connect({ host: address, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_AFTER_MS });
      trying.set(socket, address);
      // Stays: an error between two steps of a handshake is found where the next one reads.
      socket.on('error', (error) => {
        if (isSettled) return;
        trying.delete(socket);
        failed.push(`${address} (${codeOf(error)})`);
        tryNext();
      });
      socket.once('connect', () => settle(socket));
      timer = setTimeout(tryNext, NEXT_ADDRESS_AFTER_MS);
    };

    // An address needs no looking up, so that it may be given up between two steps.
    if (signal.aborted) return giveUp();
    signal.addEventListener('abort', giveUp, { once: true });
    tryNext();
  });
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
}

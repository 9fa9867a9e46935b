/**
 * Which port of an instance the next user gets. A port is free, reserved (a URL was issued, nobody has come yet)
 * or in use. An exclusive console type (serial, and what the policy names) admits one client a port; a shared one has
 * nothing to choose. Bug 1425640 of the seed specification is this file.
 *
 * A reservation is of the token that was issued with it. Who asks again gets another port while there is one, and else
 * his own unused reservation anew: then it is of the newer token, and the older one waits like everybody. It is not void:
 * when the reservation was not used it opens the port until it expires, if the port is free.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleType } from '@gatehouse/objects/console-connection';

/** Console types of one client a port. A serial line has one reader, whatever the policy. */
export function isExclusive(consoleType: ConsoleType, policy: readonly ConsoleType[]): boolean {
  return consoleType === 'serial' || policy.includes(consoleType);
}

export interface Port {
  readonly port: number;
  /** Null with a time: for somebody whom no request named, and who supersedes nobody. */
  readonly reservedBy: string | null;
  readonly reservedUntil: Date | null;
  readonly reservedTokenHash: string | null;
  /** When the session that holds it began; null while nobody is connected. */
  readonly inUseSince: Date | null;
}

/**
 * The first port that nobody uses or was promised; where there is none, the one of which this user's own promise is the oldest.
 * @throws ServiceError NO_PORT_FREE when there is none; its words count what stands in the way
 */
export function chooseExclusivePort<P extends Port>(ports: readonly P[], userId: string | null, now: Date): P {
  const unused = ports.filter((port) => port.inUseSince === null);
  const free = unused.find((port) => !isReserved(port, now));
  const own = unused.filter((port) => userId !== null && port.reservedBy === userId);
  const chosen = free ?? [...own].sort((a, b) => Number(a.reservedUntil) - Number(b.reservedUntil))[0];
  if (chosen !== undefined) return chosen;
  const [used, reserved] = [ports.length - unused.length, unused.length];
  throw new ServiceError(
    'NO_PORT_FREE',
    `no port of this console is free: ${used} of ${ports.length} in use, ${reserved} reserved for a short while; try again in a minute or end a session`,
    { details: { ports: ports.length, used, reserved } },
  );
}

/** @throws ServiceError PORT_IN_USE when the client that shows this token may not take the port now */
export function refusePortInUse(port: Port, token: { readonly tokenHash: string; readonly userId: string | null }, now: Date): void {
  if (port.inUseSince !== null) {
    const inUseSince = port.inUseSince.toISOString();
    throw new ServiceError('PORT_IN_USE', `this port is in use since ${inUseSince.slice(11, 19)} UTC; one client at a time`, { details: { inUseSince } });
  }
  if (!isReserved(port, now) || isPromisedTo(port, token)) return;
  const isOwn = token.userId !== null && port.reservedBy === token.userId;
  throw new ServiceError('PORT_IN_USE', isOwn
    ? 'this port waits for a newer link of yours; open that one, or try again in a minute'
    : 'this port was just promised to another user; try again in a minute');
}

/** A consoleauth before 3.2 promises to a user, whichever of his tokens comes; to '' where the request named none. */
function isPromisedTo({ reservedBy, reservedTokenHash }: Port, { tokenHash, userId }: { readonly tokenHash: string; readonly userId: string | null }): boolean {
  return reservedTokenHash === null ? reservedBy === (userId ?? '') : reservedTokenHash === tokenHash;
}

function isReserved(port: Port, now: Date): boolean {
  return port.reservedUntil !== null && port.reservedUntil > now;
}

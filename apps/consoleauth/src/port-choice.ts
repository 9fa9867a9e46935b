/**
 * Which port of an instance the next user gets. A port is free, reserved (a URL was issued, nobody has come yet)
 * or in use. An exclusive console type (serial) admits one client a port; a shared one has nothing to choose.
 * Bug 1425640 of the seed specification is this file.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleType } from '@gatehouse/objects/console-connection';

const EXCLUSIVE: ReadonlySet<ConsoleType> = new Set(['serial']);

export function isExclusive(consoleType: ConsoleType): boolean {
  return EXCLUSIVE.has(consoleType);
}

export interface Port {
  readonly port: number;
  readonly reservedBy: string | null;
  readonly reservedUntil: Date | null;
  /** When the session that holds it began; null while nobody is connected. */
  readonly inUseSince: Date | null;
}

/** Whether another user's unused reservation holds the port. A user's own is superseded by the next request. */
export function isReservedForAnother(port: Port, userId: string | null, now: Date): boolean {
  if (port.reservedUntil === null || port.reservedUntil <= now) return false;
  return port.reservedBy === null || port.reservedBy !== userId;
}

/**
 * The first port that is neither in use nor reserved for another user.
 * @throws ServiceError PORT_IN_USE when there is none; its words count what stands in the way
 */
export function chooseExclusivePort<P extends Port>(ports: readonly P[], userId: string | null, now: Date): P {
  const free = ports.find((port) => port.inUseSince === null && !isReservedForAnother(port, userId, now));
  if (free !== undefined) return free;
  const used = ports.filter((port) => port.inUseSince !== null).length;
  const reserved = ports.length - used;
  throw new ServiceError(
    'PORT_IN_USE',
    `no port of this console is free: ${used} of ${ports.length} in use, ${reserved} reserved for a short while; try again in a minute or end a session`,
    { details: { ports: ports.length, used, reserved } },
  );
}

/** @throws ServiceError PORT_IN_USE when a client may not take this port now */
export function refusePortInUse(port: Port, userId: string | null, now: Date): void {
  if (port.inUseSince !== null) {
    throw new ServiceError('PORT_IN_USE', `this port is in use since ${clock(port.inUseSince)}; one client at a time`);
  }
  if (isReservedForAnother(port, userId, now)) {
    throw new ServiceError('PORT_IN_USE', 'this port was just promised to another user; try again in a minute');
  }
}

function clock(date: Date): string {
  return `${date.toISOString().slice(11, 19)} UTC`;
}

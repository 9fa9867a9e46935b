/**
 * A place between events as it travels: opaque to whoever holds it. It says when everything before it had happened, so that
 * one that is older than what is kept is told by itself, though nothing is left of what came behind it.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { EventPosition } from '@gatehouse/cell-db/console-session-events-store';
import { EVENTS_KEPT_MS } from './sweeps.ts';

const CURSOR = /^(\d{1,18})-(\d{1,18})-(\d{1,11})$/;
const HOUR_MS = 3_600_000;

export function cursorOf({ xact, id }: EventPosition, upTo: Date): string {
  return `${xact}-${id}-${Math.floor(upTo.getTime() / 1_000)}`;
}

/** @throws ServiceError INVALID_ARGUMENT: it is none, or older than what is kept */
export function positionOf(cursor: string, now: Date): EventPosition {
  const [, xact = '', id = '', seconds = ''] = CURSOR.exec(cursor) ?? [];
  if (xact === '') throw new ServiceError('INVALID_ARGUMENT', 'cursor: expected one that an earlier answer gave, or none');
  if (Number(seconds) * 1_000 < now.getTime() - EVENTS_KEPT_MS) {
    throw new ServiceError('INVALID_ARGUMENT', `cursor: what happened behind it is kept for ${EVENTS_KEPT_MS / HOUR_MS} hours, and it is older; list the sessions, and watch from now on`);
  }
  return { xact: BigInt(xact), id: BigInt(id) };
}

/** Whether `place` comes after `other`. */
export function isBehind(place: EventPosition, other: EventPosition): boolean {
  return place.xact > other.xact || (place.xact === other.xact && place.id > other.id);
}

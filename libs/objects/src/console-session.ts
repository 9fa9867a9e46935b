/** One use of a console by one client: listed, watched, ended. Open while `endedAt` is null and the lease lasts. */
import { CONSOLE_TYPES } from './console-connection.ts';
import { datetime, enumeration, integer, since, string, uuid } from './fields.ts';
import { defineObject } from './define-object.ts';
import type { ObjectOf } from './define-object.ts';

export const ACCESS_LEVELS = ['full', 'view'] as const;
export type Access = (typeof ACCESS_LEVELS)[number];

const name = () => string({ maxLength: 255 });

export const ConsoleSession = defineObject('ConsoleSession', '1.2', {
  id: uuid(),
  instanceUuid: uuid(),
  host: name(),
  port: integer({ min: -1, max: 65_535 }),
  consoleType: enumeration(CONSOLE_TYPES),
  /** The console proxy that carries it. */
  proxy: name(),
  clientAddress: name(),
  userId: name().nullable(),
  projectId: name().nullable(),
  access: enumeration(ACCESS_LEVELS),
  startedAt: datetime(),
  leaseExpires: datetime(),
  endedAt: datetime().nullable(),
  endReason: name().nullable(),
  /** From the client to the guest, as its proxy last reported. */
  bytesIn: since('1.1', integer({ min: 0 }), 0),
  /** From the guest to the client. */
  bytesOut: since('1.1', integer({ min: 0 }), 0),
  /** Somebody asked for its end, for this reason; it has ended when its proxy says so or its lease has run out. */
  endingAt: since('1.2', datetime().nullable(), null),
  endingReason: since('1.2', name().nullable(), null),
});
export type ConsoleSession = ObjectOf<typeof ConsoleSession>;

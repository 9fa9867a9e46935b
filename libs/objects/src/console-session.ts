/** One use of a console by one client: listed, watched, ended. Open while `endedAt` is null and the lease lasts. */
import { CONSOLE_TYPES } from './console-connection.ts';
import { datetime, enumeration, integer, string, uuid } from './fields.ts';
import { defineObject } from './define-object.ts';
import type { ObjectOf } from './define-object.ts';

export const ACCESS_LEVELS = ['full', 'view'] as const;
export type Access = (typeof ACCESS_LEVELS)[number];

const name = () => string({ maxLength: 255 });

export const ConsoleSession = defineObject('ConsoleSession', '1.0', {
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
});
export type ConsoleSession = ObjectOf<typeof ConsoleSession>;

/** Something that happened to a console session, with the session as it was when the event was read. */
import { ConsoleSession } from './console-session.ts';
import { datetime, enumeration, object, string } from './fields.ts';
import { defineObject } from './define-object.ts';
import type { ObjectOf } from './define-object.ts';

export const SESSION_EVENT_KINDS = ['connected', 'resumed', 'ending', 'ended'] as const;
export type SessionEventKind = (typeof SESSION_EVENT_KINDS)[number];

const fields = {
  /** The place behind this event, where a watcher goes on that has seen it and nothing later. */
  cursor: string({ minLength: 1, maxLength: 64 }),
  kind: enumeration(SESSION_EVENT_KINDS),
  at: datetime(),
  /** Why it ends or has ended; null for the other kinds. */
  reason: string({ maxLength: 255 }).nullable(),
  session: object(ConsoleSession),
};

export const ConsoleSessionEvent = defineObject('ConsoleSessionEvent', '1.0', fields, { relations: { session: [['1.0', '1.2']] } });
export type ConsoleSessionEvent = ObjectOf<typeof ConsoleSessionEvent>;

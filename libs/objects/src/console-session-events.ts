/** What happened to console sessions since some moment, in order, and where to go on from. */
import { ConsoleSessionEvent } from './console-session-event.ts';
import { listOf, object, string } from './fields.ts';
import { defineObject } from './define-object.ts';
import type { ObjectOf } from './define-object.ts';

const fields = {
  events: listOf(object(ConsoleSessionEvent)),
  /** The place behind the last event: opaque, and never empty. */
  cursor: string({ minLength: 1, maxLength: 64 }),
};

export const ConsoleSessionEvents = defineObject('ConsoleSessionEvents', '1.0', fields, { relations: { events: [['1.0', '1.0']] } });
export type ConsoleSessionEvents = ObjectOf<typeof ConsoleSessionEvents>;

/** How much a session has carried so far, as its proxy reports it at every renewal. */
import { integer, uuid } from './fields.ts';
import { defineObject } from './define-object.ts';
import type { ObjectOf } from './define-object.ts';

export const ConsoleSessionUse = defineObject('ConsoleSessionUse', '1.0', {
  /** The session's id. */
  id: uuid(),
  /** From the client to the guest. */
  bytesIn: integer({ min: 0 }),
  /** From the guest to the client. */
  bytesOut: integer({ min: 0 }),
});
export type ConsoleSessionUse = ObjectOf<typeof ConsoleSessionUse>;

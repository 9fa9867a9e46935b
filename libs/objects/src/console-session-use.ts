/** How much a session has carried so far, as its proxy reports it at every renewal. */
import { integer, since, uuid } from './fields.ts';
import { defineObject } from './define-object.ts';
import type { ObjectOf } from './define-object.ts';

export const ConsoleSessionUse = defineObject('ConsoleSessionUse', '1.1', {
  /** The session's id. */
  id: uuid(),
  /** From the client to the guest. */
  bytesIn: integer({ min: 0 }),
  /** From the guest to the client. */
  bytesOut: integer({ min: 0 }),
  /**
   * Which of the session's connects is meant, by the id that the proxy chose for it: what is told late of one that has
   * been taken over does not touch its successor. Unset: the one that the naming proxy carries.
   */
  claim: since('1.1', uuid().optional(), undefined),
});
export type ConsoleSessionUse = ObjectOf<typeof ConsoleSessionUse>;

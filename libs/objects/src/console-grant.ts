/** consoleauth's answer to a proxy's `connect`: the claimed session and how to reach its console, once. */
import { ConsoleConnection } from './console-connection.ts';
import { ConsoleSession } from './console-session.ts';
import { integer, object, since, string } from './fields.ts';
import { defineObject } from './define-object.ts';
import type { ObjectOf } from './define-object.ts';

const fields = {
  session: object(ConsoleSession),
  connection: object(ConsoleConnection),
  instanceName: string({ maxLength: 255 }),
  /** host:port of the agent's console stream; null where the connection is dialled by TCP. */
  endpoint: string({ maxLength: 300 }).nullable(),
  /** Shown to the agent once; a secret. */
  attachSecret: string({ maxLength: 128 }).nullable(),
  leaseSeconds: integer({ min: 1, max: 86_400 }),
  /** Opens this session again while it is not over; a secret. Null where the client has it already. */
  resumeGrant: since('1.2', string({ maxLength: 128 }).nullable(), null),
};

export const ConsoleGrant = defineObject('ConsoleGrant', '1.2', fields, {
  relations: {
    session: [['1.0', '1.0'], ['1.1', '1.1'], ['1.2', '1.2']],
    connection: [['1.0', '1.0']],
  },
});
export type ConsoleGrant = ObjectOf<typeof ConsoleGrant>;

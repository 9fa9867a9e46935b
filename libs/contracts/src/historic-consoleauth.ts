/**
 * Nova's own consoleauth, as its services of Essex to Stein call it: plain arguments, no objects. It stands on the
 * topic of ours, whose version 3.0 continues it.
 *
 *   1.0  authorize_console, check_token            (Essex, Folsom)
 *   1.2  + instance_uuid, delete_tokens_for_instance (Grizzly, Havana)
 *   2.0  instance_uuid is mandatory                 (Icehouse, Juno)
 *   2.1  + access_url                               (Kilo to Stein)
 *
 * Source: nova/consoleauth/rpcapi.py and manager.py of those releases.
 */
import { CONSOLE_TYPES } from '@gatehouse/objects/console-connection';
import { scalar } from '@gatehouse/objects/field';
import { enumeration, integer, json, string, uuid } from '@gatehouse/objects/fields';
import type { Field } from '@gatehouse/objects/field';
import { defineContract, method } from '@gatehouse/rpc/contract';

/** Nova's libvirt driver read ports from XML and sent them as text. */
const tcpPort = (): Field<number> => {
  const port = integer({ min: 1, max: 65_535 });
  return scalar('Integer', (value, path) => port.fromWire(typeof value === 'string' && /^\d{1,5}$/.test(value) ? Number(value) : value, path));
};

const token = () => string({ minLength: 1, maxLength: 512 });

const console = {
  token: token(),
  consoleType: enumeration(CONSOLE_TYPES),
  /** Where a proxy dials the console. */
  host: string({ minLength: 1, maxLength: 255 }),
  port: tcpPort(),
  internalAccessPath: string({ maxLength: 1_024 }).nullable().default(null),
};

/** What was authorized (see the application), or null: unknown, expired, or not to be opened any more. */
const checkToken = method({ since: '1.0', idempotent: true, args: { token: token() }, result: json().nullable() });

export const consoleauth1 = defineContract({
  topic: 'consoleauth',
  version: '1.2',
  methods: {
    authorizeConsole: method({ since: '1.0', idempotent: true, args: { ...console, instanceUuid: uuid().nullable().default(null) } }),
    checkToken,
    deleteTokensForInstance: method({ since: '1.2', kind: 'cast', idempotent: true, args: { instanceUuid: uuid() } }),
  },
});

export const consoleauth2 = defineContract({
  topic: 'consoleauth',
  version: '2.1',
  methods: {
    authorizeConsole: method({
      since: '2.0',
      idempotent: true,
      args: { ...console, instanceUuid: uuid(), accessUrl: string({ maxLength: 2_048 }).nullable().default(null) },
    }),
    checkToken: { ...checkToken, since: '2.0' },
    deleteTokensForInstance: method({ since: '2.0', kind: 'cast', idempotent: true, args: { instanceUuid: uuid() } }),
  },
});

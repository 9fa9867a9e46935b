/**
 * How one console of an instance is reached, as the seed spec names it: what a driver returns, what travels
 * in RPC, what is stored. The clear token stands in `accessUrl`, and there only in the reply that issues it.
 */
import { datetime, enumeration, integer, mapOf, string, uuid } from './fields.ts';
import { defineObject } from './define-object.ts';
import type { ObjectOf } from './define-object.ts';

export const CONSOLE_TYPES = ['novnc', 'serial', 'spice-html5', 'rdp-html5', 'xvpvnc', 'webmks'] as const;
export type ConsoleType = (typeof CONSOLE_TYPES)[number];

export const ConsoleConnection = defineObject('ConsoleConnection', '1.0', {
  instanceUuid: uuid(),
  /** The compute host the instance runs on. */
  host: string({ minLength: 1, maxLength: 255 }),
  /** A TCP port where options.transport is `tcp`; else the ordinal of the device, from 0. */
  port: integer({ min: -1, max: 65_535 }),
  consoleType: enumeration(CONSOLE_TYPES),
  tokenHash: string({ maxLength: 255 }).nullable(),
  accessUrl: string({ maxLength: 2_048 }).nullable(),
  /** `transport`: attach (the host's stream, default) or tcp (dial `address` and port); `internal_access_path`. */
  options: mapOf(string({ maxLength: 1_024 })),
  expires: datetime().nullable(),
});
export type ConsoleConnection = ObjectOf<typeof ConsoleConnection>;

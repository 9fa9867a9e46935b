import { ConsoleConnection } from './console-connection.ts';
import { ConsoleGrant } from './console-grant.ts';
import { ConsoleSession } from './console-session.ts';
import { ConsoleSessionEvent } from './console-session-event.ts';
import { ConsoleSessionEvents } from './console-session-events.ts';
import { ConsoleSessionUse } from './console-session-use.ts';
import type { AnyDefinition } from './define-object.ts';
import { Instance } from './instance.ts';
import { KeyPair } from './key-pair.ts';
import { KeyPairList } from './key-pair-list.ts';

const ALL = [ConsoleConnection, ConsoleGrant, ConsoleSession, ConsoleSessionEvent, ConsoleSessionEvents, ConsoleSessionUse, Instance, KeyPair, KeyPairList];

/** Every object that travels, by name: what a peer may ask us to convert. */
export const OBJECTS: Readonly<Record<string, AnyDefinition>> = Object.freeze(
  Object.fromEntries(ALL.map((each) => [each.name, each as AnyDefinition])),
);

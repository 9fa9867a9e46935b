/** Tells a person's input from what a client sends by itself. */
import type { ConsoleType } from '@gatehouse/objects/console-connection';
import { RfbInput } from './rfb-input.ts';
import { SpiceInput } from './spice-input.ts';

export interface PersonInput {
  /** The client's next bytes, however they are cut. True when a person's input is among them. */
  sees(bytes: Buffer): boolean;
}

/** A console without messages of its own: whatever is sent was typed. */
const EVERYTHING: PersonInput = { sees: () => true };

/** For one stream of a session; each stream needs its own. */
export function personInputOf(consoleType: ConsoleType): PersonInput {
  switch (consoleType) {
    case 'novnc':
    case 'xvpvnc': return new RfbInput();
    case 'spice-html5': return new SpiceInput();
    default: return EVERYTHING;
  }
}

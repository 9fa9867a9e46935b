/** What a client may send into a console that it may only look at; null where it may send everything. */
import type { ConsoleSession } from '@gatehouse/objects/console-session';
import { RfbViewOnly } from './rfb-view-only.ts';
import { SpiceViewOnly } from './spice-view-only.ts';

export interface InputFilter {
  /**
   * What of the client's next bytes goes to the guest: nothing, some or all of them, and never what was not understood.
   * @throws ServiceError, INVALID_ARGUMENT when the client cannot be followed any more
   */
  pass(bytes: Buffer): Buffer;
}

const NOTHING = Buffer.alloc(0);
/** A console without messages of its own: whatever comes from the client would be typed. */
const SILENT: InputFilter = { pass: () => NOTHING };

/** A filter for one stream of a session; each stream needs its own. */
export function inputFilterOf({ access, consoleType }: Pick<ConsoleSession, 'access' | 'consoleType'>): InputFilter | null {
  if (access === 'full') return null;
  switch (consoleType) {
    case 'novnc':
    case 'xvpvnc': return new RfbViewOnly();
    case 'spice-html5': return new SpiceViewOnly();
    default: return SILENT;
  }
}

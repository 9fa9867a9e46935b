/**
 * A VNC client that may only look: what it needs to be shown the screen goes through, and nothing else. A list of what is
 * allowed, so that an extension which nobody thought of changes nothing in the guest.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import { RfbClientMessages, type RfbKind } from '../rfb-client-messages.ts';
import type { InputFilter } from './input-filter.ts';

const ALLOWED: readonly RfbKind[] = ['greeting', 'display', 'audio'];
/** ClientInit: without it a server would disconnect everybody else. */
const SHARED = Buffer.from([1]);

export class RfbViewOnly implements InputFilter {
  readonly #messages = new RfbClientMessages();

  pass(bytes: Buffer): Buffer {
    const passed: Buffer[] = [];
    this.#messages.read(bytes, (kind, piece) => {
      if (kind === 'unreadable') throw new ServiceError('INVALID_ARGUMENT', 'a message of this VNC client is not known, and a view-only console passes known ones only');
      if (kind === 'shared') passed.push(SHARED);
      // The head of a message is the reader's own memory, which the next message takes.
      else if (ALLOWED.includes(kind)) passed.push(Buffer.from(piece));
    });
    return Buffer.concat(passed);
  }
}

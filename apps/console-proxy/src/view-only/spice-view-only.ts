/**
 * One channel of a SPICE client that may only look. Of each kind of channel a list of what is allowed: what a client must say
 * to be shown the screen and to hear the sound, and acknowledgements. Channels that carry something into the guest (a
 * microphone, USB, smart cards, ports, files) are refused as soon as they are named.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import { SpiceClientMessages, type SpiceKind } from '../spice-client-messages.ts';
import { SPICE_CURSOR, SPICE_DISPLAY, SPICE_INPUTS, SPICE_MAIN, SPICE_PLAYBACK } from '../spice-link.ts';
import type { InputFilter } from './input-filter.ts';

const CHANNELS: readonly (number | null)[] = [SPICE_MAIN, SPICE_DISPLAY, SPICE_INPUTS, SPICE_CURSOR, SPICE_PLAYBACK];
const ALLOWED: readonly SpiceKind[] = ['greeting', 'upkeep', 'display'];

export class SpiceViewOnly implements InputFilter {
  readonly #messages = new SpiceClientMessages();

  pass(bytes: Buffer): Buffer {
    const passed: Buffer[] = [];
    this.#messages.read(bytes, (kind, piece) => {
      if (kind === 'unreadable') throw new ServiceError('INVALID_ARGUMENT', 'this SPICE client cannot be followed, and a view-only console passes only what is understood');
      if (!CHANNELS.includes(this.#messages.channelType)) {
        throw new ServiceError('INVALID_ARGUMENT', `a view-only console has no SPICE channel of type ${this.#messages.channelType}: main, display, inputs, cursor and playback it has`);
      }
      // The head of a message is the reader's own memory, which the next message takes.
      if (ALLOWED.includes(kind)) passed.push(Buffer.from(piece));
    });
    return Buffer.concat(passed);
  }
}

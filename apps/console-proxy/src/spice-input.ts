/**
 * Tells a person's input from what a SPICE client sends by itself: it acknowledges all the time, also when nobody is there.
 * What cannot be read counts as input, as in rfb-input.ts.
 */
import { SpiceClientMessages } from './spice-client-messages.ts';

export class SpiceInput {
  readonly #messages = new SpiceClientMessages();

  /** The client's next bytes on its channel, however they are cut. True when a person's input is among them. */
  sees(bytes: Buffer): boolean {
    let seen = false;
    this.#messages.read(bytes, (kind) => {
      seen ||= kind === 'input' || kind === 'unreadable';
    });
    return seen;
  }
}

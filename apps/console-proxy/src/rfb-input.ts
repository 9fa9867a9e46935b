/**
 * Tells a person's input from what a VNC client sends by itself: it asks for pictures all the time, also when nobody
 * is there. What cannot be read counts as input: rather a console that stays open too long than a person who is cut
 * off while typing.
 */
import { RfbClientMessages } from './rfb-client-messages.ts';

export class RfbInput {
  readonly #messages = new RfbClientMessages();

  /** The client's next bytes, however they are cut. True when a person's input is among them. */
  sees(bytes: Buffer): boolean {
    let seen = false;
    this.#messages.read(bytes, (kind) => {
      seen ||= kind === 'input' || kind === 'unreadable';
    });
    return seen;
  }
}

/**
 * How a console stream says that it ended, and why. Not a failure: the session was open and is over. A guest's
 * stream destroyed with a ConsoleEnded gives its reason to the other side of the Attach.
 */
import { ENDINGS, endingOf } from '@gatehouse/errors/endings';
import type { EndReason } from '@gatehouse/errors/endings';

export class ConsoleEnded extends Error {
  override readonly name = 'ConsoleEnded';
  readonly reason: EndReason;

  constructor(reason: EndReason) {
    super(ENDINGS[reason].words);
    this.reason = reason;
  }
}

/** The reason and words with which a console stream was ended by its other side. */
export interface StreamEnding {
  /** One of END_REASONS, or a word of a newer version. */
  readonly reason: string;
  readonly words: string;
}

export function streamEnding(reason: string): StreamEnding {
  return { reason, words: endingOf(reason).words };
}

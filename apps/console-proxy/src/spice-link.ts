/**
 * The first message on every SPICE channel, with which a client says what the channel is for. A client's first channel names
 * no connection (0); the server answers it with a number, which the client's further channels name.
 */

export interface SpiceLink {
  /** 0: this channel begins a connection; else it belongs to one. */
  readonly connectionId: number;
  readonly channelType: number;
  readonly channelId: number;
}

export const SPICE_MAIN = 1;
export const SPICE_DISPLAY = 2;
export const SPICE_INPUTS = 3;
export const SPICE_CURSOR = 4;
export const SPICE_PLAYBACK = 5;

const MAGIC = Buffer.from('REDQ');
/** Magic, two version numbers, the size of what follows. */
export const LINK_HEADER_BYTES = 16;
/** As far as the channel is named. */
const LINK_HEAD_BYTES = LINK_HEADER_BYTES + 6;

/** What these first bytes of a channel say; `more`: not yet anything; null: this is no SPICE client. */
export function readSpiceLink(bytes: Buffer): SpiceLink | 'more' | null {
  if (!MAGIC.subarray(0, bytes.length).equals(bytes.subarray(0, MAGIC.length))) return null;
  if (bytes.length < LINK_HEAD_BYTES) return 'more';
  return { connectionId: bytes.readUInt32LE(LINK_HEADER_BYTES), channelType: bytes[LINK_HEADER_BYTES + 4]!, channelId: bytes[LINK_HEADER_BYTES + 5]! };
}

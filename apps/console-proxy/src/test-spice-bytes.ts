/** What SPICE clients say, as bytes. */
import { SPICE_DISPLAY, SPICE_INPUTS, SPICE_MAIN } from './spice-link.ts';

export interface LinkParts {
  readonly magic?: string;
  readonly major?: number;
  readonly size?: number;
  readonly connectionId?: number;
  readonly channelType?: number;
  /** The first word of those that all channels have. */
  readonly capabilities?: number;
  readonly commonCount?: number;
  readonly ownCount?: number;
  readonly start?: number;
}

/** As spice-html5 begins a channel. */
export function spiceLink(parts: LinkParts = {}): Buffer {
  const { magic = 'REDQ', major = 2, size = 26, connectionId = 0, channelType = SPICE_MAIN, capabilities = 0b1001, commonCount = 1, ownCount = 1, start = 18 } = parts;
  const bytes = Buffer.alloc(16 + 26);
  bytes.write(magic, 'latin1');
  bytes.writeUInt32LE(major, 4);
  bytes.writeUInt32LE(2, 8);
  bytes.writeUInt32LE(size, 12);
  bytes.writeUInt32LE(connectionId, 16);
  bytes.set([channelType, 0], 20);
  bytes.writeUInt32LE(commonCount, 22);
  bytes.writeUInt32LE(ownCount, 26);
  bytes.writeUInt32LE(start, 30);
  bytes.writeUInt32LE(capabilities, 34);
  bytes.writeUInt32LE(4, 38);
  return bytes;
}

/** The named way to authenticate, and an encrypted empty password. */
export function spiceTicket(mechanism = 1): Buffer {
  const bytes = Buffer.alloc(4 + 128, 7);
  bytes.writeUInt32LE(mechanism, 0);
  return bytes;
}

export function spiceMessage(type: number, payload: Buffer | number = 0): Buffer {
  const data = typeof payload === 'number' ? Buffer.alloc(payload, 9) : payload;
  const head = Buffer.alloc(6);
  head.writeUInt16LE(type, 0);
  head.writeUInt32LE(data.length, 2);
  return Buffer.concat([head, data]);
}

export const ack = spiceMessage(2);
export const attachChannels = spiceMessage(104);
export const displayInit = spiceMessage(101, 14);
export const keyDown = spiceMessage(101, 4);

/** All that a client says before its first message on the channel of that type. */
export function greetingOf(channelType: number, connectionId = channelType === SPICE_MAIN ? 0 : 7): Buffer {
  return Buffer.concat([spiceLink({ channelType, connectionId }), spiceTicket()]);
}

export { SPICE_DISPLAY, SPICE_INPUTS, SPICE_MAIN };

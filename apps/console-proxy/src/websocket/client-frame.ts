/** What a client would send, byte by byte, so that tests can also send what no client library would. */
export interface ClientFrame {
  readonly opcode: number;
  readonly payload?: string | Uint8Array;
  readonly final?: boolean;
  readonly masked?: boolean;
  readonly reserved?: number;
  /** Write the length in 2 or 8 bytes though fewer would do. */
  readonly lengthBytes?: 2 | 8;
  /** Announce this length instead of the payload's. */
  readonly announced?: number;
}

/** The frame's bytes, masked with a fixed key unless told otherwise. */
export function clientFrame(spec: ClientFrame): Buffer {
  const payload = Buffer.from(spec.payload ?? '');
  const length = spec.announced ?? payload.length;
  const masked = spec.masked ?? true;
  const size = spec.lengthBytes ?? (length < 126 ? 0 : length < 65_536 ? 2 : 8);
  const header = Buffer.alloc(2 + size);
  header[0] = ((spec.final ?? true) ? 0x80 : 0) | (spec.reserved ?? 0) | spec.opcode;
  header[1] = (masked ? 0x80 : 0) | (size === 0 ? length : size === 2 ? 126 : 127);
  if (size === 2) header.writeUInt16BE(length, 2);
  if (size === 8) header.writeBigUInt64BE(BigInt(length), 2);
  if (!masked) return Buffer.concat([header, payload]);
  const key = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);
  const body = Buffer.from(payload.map((byte, i) => byte ^ key[i & 3]!));
  return Buffer.concat([header, key, body]);
}

/** The fields of an SSH wire blob (RFC 4251 5), as they are written; ssh-reader.ts reads them. */

/** A length-prefixed string of bytes. */
export function sshBytes(bytes: Buffer | string): Buffer {
  const content = Buffer.from(bytes);
  return Buffer.concat([uint32(content.length), content]);
}

/** An mpint above zero. */
export function sshPositive(magnitude: Buffer): Buffer {
  return sshBytes((magnitude[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.alloc(1), magnitude]) : magnitude);
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

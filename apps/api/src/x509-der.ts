/**
 * As much of DER (ITU-T X.690) as it takes to write a certificate and a PKCS#12 file. It only writes: nothing that
 * somebody sent is read here.
 */

/** Any value: its tag, its length, its content. */
export function der(tag: number, ...content: readonly Buffer[]): Buffer {
  const bytes = Buffer.concat(content);
  return Buffer.concat([Buffer.from([tag]), lengthOf(bytes.length), bytes]);
}

export const sequence = (...parts: readonly Buffer[]): Buffer => der(0x30, ...parts);
export const set = (...parts: readonly Buffer[]): Buffer => der(0x31, ...parts);
export const octets = (...parts: readonly Buffer[]): Buffer => der(0x04, ...parts);
export const bits = (bytes: Buffer): Buffer => der(0x03, Buffer.from([0]), bytes);
export const utf8 = (text: string): Buffer => der(0x0c, Buffer.from(text));
export const NULL = der(0x05);

/** `[n]` around whole values. */
export const tagged = (n: number, ...parts: readonly Buffer[]): Buffer => der(0xa0 + n, ...parts);
/** `[n]` in place of the tag that a value of one piece has. */
export const retagged = (n: number, bytes: Buffer): Buffer => der(0x80 + n, bytes);

/** Above zero, big-endian. */
export function unsigned(magnitude: Buffer): Buffer {
  return (magnitude[0] ?? 0) >= 0x80 ? der(0x02, Buffer.from([0]), magnitude) : der(0x02, magnitude);
}

export const small = (value: number): Buffer => unsigned(Buffer.from([value]));

/** `1.2.840.113549`. */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return der(0x06, Buffer.from([40 * first + second, ...rest.flatMap(base128)]));
}

/** To the second, UTC; RFC 5280 4.1.2.5 wants years from 2050 on in four digits. */
export function time(at: Date): Buffer {
  const digits = at.toISOString().replace(/\.\d+Z$/, 'Z').replace(/[-:T]/g, '');
  return at.getUTCFullYear() < 2050 ? der(0x17, Buffer.from(digits.slice(2))) : der(0x18, Buffer.from(digits));
}

function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  const bytes = base256(length);
  return Buffer.from([0x80 + bytes.length, ...bytes]);
}

function base256(value: number): number[] {
  return value < 0x100 ? [value] : [...base256(Math.floor(value / 0x100)), value % 0x100];
}

function base128(value: number): number[] {
  const digits = [value % 0x80];
  for (let rest = Math.floor(value / 0x80); rest > 0; rest = Math.floor(rest / 0x80)) digits.unshift(0x80 + (rest % 0x80));
  return digits;
}

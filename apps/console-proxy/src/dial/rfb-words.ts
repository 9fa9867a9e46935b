/** The few numbers of the RFB handshake that both of its sides need (RFC 6143 7.1, and VeNCrypt as its servers speak it). */

/** The versions that differ in how they greet. */
export type RfbVersion = '3.3' | '3.7' | '3.8';

export const VERSION_BYTES = 12;
export const VERSION_LINE = { '3.3': 'RFB 003.003\n', '3.7': 'RFB 003.007\n', '3.8': 'RFB 003.008\n' } as const;
export const NONE = 1;
export const VNC = 2;
export const VENCRYPT = 19;
/** A server's words about why it refuses; longer ones are not read. Nova's limit. */
export const REASON_BYTES_MAX = 256;

const NAMES: Readonly<Record<number, string>> = {
  0: 'invalid', 1: 'None', 2: 'VNC', 5: 'RA2', 6: 'RA2ne', 16: 'Tight', 17: 'Ultra', 18: 'TLS', 19: 'VeNCrypt', 20: 'SASL', 30: 'ARD',
  256: 'Plain', 257: 'TLSNone', 258: 'TLSVnc', 259: 'TLSPlain', 260: 'X509None', 261: 'X509Vnc', 262: 'X509Plain', 263: 'X509SASL', 264: 'TLSSASL',
};

/** `1 (None), 129`: types as a log names them. */
export function namesOf(types: readonly number[]): string {
  if (types.length === 0) return 'none at all';
  return types.map((type) => (NAMES[type] === undefined ? String(type) : `${type} (${NAMES[type]})`)).join(', ');
}

/** A length and the words, as RFB tells reasons. */
export function reasonBytes(words: string): Buffer {
  const text = Buffer.from(words, 'latin1');
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  return Buffer.concat([length, text]);
}

/**
 * A whole refusal for a client that has heard nothing yet: our version, no security types, and the reason. A client shows the
 * reason once it has read so far; what it sends meanwhile does not matter.
 */
export function rfbRefusal(words: string): Buffer {
  return Buffer.concat([Buffer.from(VERSION_LINE['3.8']), Buffer.of(0), reasonBytes(words)]);
}

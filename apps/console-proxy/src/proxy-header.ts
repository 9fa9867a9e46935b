/**
 * What a balancer of TCP says first on a connection: whose it is (the PROXY protocol of haproxy, versions 1 and 2). Read strictly: the peer is trusted,
 * but a header that is wrong in anything is a sign that something else speaks. Its TLVs are passed over.
 */
import { isIP } from 'node:net';
import { canonicalIp } from '@gatehouse/objects/ip-text';
import { readAddress } from '@gatehouse/runtime/trusted-proxies';

export type ProxyHeader =
  /** `address`: the client's; null: the connection is the balancer's own, or of nobody it can name. `length`: of the header, bytes. */
  | { readonly state: 'read'; readonly address: string | null; readonly length: number }
  | { readonly state: 'more' }
  | { readonly state: 'wrong' };

/** "PROXY UNKNOWN" with the longest addresses, and its line's end. */
const V1_BYTES_MAX = 107;
/** Of its addresses and TLVs: a unix socket's take 216, the rest is room for what balancers tell of their clients' TLS. */
const V2_BODY_BYTES_MAX = 4_096;
export const HEADER_BYTES_MAX = 16 + V2_BODY_BYTES_MAX;

const V1_WORD = Buffer.from('PROXY ');
const V2_WORD = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const V2_HEAD_BYTES = 16;

const MORE: ProxyHeader = { state: 'more' };
const WRONG: ProxyHeader = { state: 'wrong' };

/** What the beginning of a connection says, as far as it is there. */
export function readProxyHeader(held: Buffer): ProxyHeader {
  if (mayBe(V1_WORD, held)) return readV1(held);
  return mayBe(V2_WORD, held) ? readV2(held) : WRONG;
}

function mayBe(word: Buffer, held: Buffer): boolean {
  const known = Math.min(word.length, held.length);
  return held.subarray(0, known).equals(word.subarray(0, known));
}

const PORT = '(0|[1-9]\\d{0,4})';
const V1_LINE = new RegExp(`^PROXY (TCP[46]) ([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+) ${PORT} ${PORT}$`);

function readV1(held: Buffer): ProxyHeader {
  const end = held.indexOf('\r\n');
  if (end < 0) return held.length < V1_BYTES_MAX ? MORE : WRONG;
  const length = end + 2;
  if (length > V1_BYTES_MAX) return WRONG;
  const line = held.toString('latin1', 0, end);
  // What follows the word is to be passed over.
  if (/^PROXY UNKNOWN( |$)/.test(line)) return { state: 'read', address: null, length };
  const [, kind, source = '', destination = '', ...ports] = V1_LINE.exec(line) ?? [];
  const family = kind === 'TCP6' ? 6 : 4;
  const isRight = isIP(source) === family && isIP(destination) === family && ports.every((port) => Number(port) <= 65_535);
  return isRight ? { state: 'read', address: readAddress(source), length } : WRONG;
}

const LOCAL = 0x20;
const PROXY = 0x21;
const TCP4 = 0x11;
const TCP6 = 0x21;
/** Of families whose addresses are no client's: none, and unix sockets. */
const UNNAMED: readonly number[] = [0x00, 0x31];
const BYTES_OF: Readonly<Record<number, number>> = { 0x00: 0, 0x11: 12, 0x21: 36, 0x31: 216 };

function readV2(held: Buffer): ProxyHeader {
  if (held.length < V2_HEAD_BYTES) return MORE;
  const [command, family, bodyBytes] = [held[12]!, held[13]!, held.readUInt16BE(14)];
  if ((command !== LOCAL && command !== PROXY) || bodyBytes > V2_BODY_BYTES_MAX) return WRONG;
  const length = V2_HEAD_BYTES + bodyBytes;
  const isNamed = command === PROXY && !UNNAMED.includes(family);
  if (command === PROXY && !(bodyBytes >= (BYTES_OF[family] ?? Number.POSITIVE_INFINITY))) return WRONG;
  if (held.length < length) return MORE;
  return { state: 'read', address: isNamed ? addressAt(held, family) : null, length };
}

function addressAt(held: Buffer, family: number): string | null {
  if (family === TCP4) return [...held.subarray(V2_HEAD_BYTES, V2_HEAD_BYTES + 4)].join('.');
  if (family !== TCP6) return null;
  const groups = Array.from({ length: 8 }, (_, group) => held.readUInt16BE(V2_HEAD_BYTES + 2 * group).toString(16));
  return readAddress(canonicalIp(groups.join(':'))?.text ?? '');
}

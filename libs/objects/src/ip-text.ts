/**
 * IP addresses in the one form in which oslo (netaddr, over the C library) writes them: lower case, the longest run
 * of zeros shortened, and the last two words of ::/96 and ::ffff:0:0/96 as IPv4.
 */
import { isIPv4, isIPv6 } from 'node:net';

export interface IpText {
  readonly version: 4 | 6;
  readonly text: string;
}

const WORDS = 8;
/** No text of an address is longer: eight words of four digits, or six with IPv4. */
const LENGTH_MAX = 45;

/** Null when the text is no address; short forms (`1.2`) and scopes (`%eth0`) are none. */
export function canonicalIp(text: string): IpText | null {
  if (text.length > LENGTH_MAX) return null;
  if (isIPv4(text)) return { version: 4, text };
  return isIPv6(text) && !text.includes('%') ? { version: 6, text: ipv6Text(wordsOf(text)) } : null;
}

function wordsOf(text: string): readonly number[] {
  const [before = '', after] = text.split('::');
  const [head, tail] = [words(before), words(after ?? '')];
  return [...head, ...new Array<number>(WORDS - head.length - tail.length).fill(0), ...tail];
}

function words(text: string): readonly number[] {
  if (text === '') return [];
  return text.split(':').flatMap((word) => {
    if (!word.includes('.')) return [parseInt(word, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = word.split('.').map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}

function ipv6Text(all: readonly number[]): string {
  const { start, length } = longestZeros(all);
  if (start === 0 && (length === 6 || (length === 5 && all[5] === 0xffff))) {
    const bytes = all.slice(6).flatMap((word) => [word >> 8, word & 255]);
    return `${length === 6 ? '::' : '::ffff:'}${bytes.join('.')}`;
  }
  const hex = (some: readonly number[]): string => some.map((word) => word.toString(16)).join(':');
  return length < 2 ? hex(all) : `${hex(all.slice(0, start))}::${hex(all.slice(start + length))}`;
}

function longestZeros(all: readonly number[]): { readonly start: number; readonly length: number } {
  let best = { start: -1, length: 0 };
  let start = 0;
  for (let i = 0; i <= all.length; i++) {
    if (all[i] === 0) continue;
    if (i - start > best.length) best = { start, length: i - start };
    start = i + 1;
  }
  return best;
}

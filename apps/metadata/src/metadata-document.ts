/**
 * A document as it is sent, with the tag that says which it is. The one with a seed is kept as the text before and after that:
 * each request gets another seed and the same tag, since nothing that is known of the instance differs.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { Answer } from '@gatehouse/instance-metadata/metadata-tree';

export interface MetadataDocument {
  readonly type: string;
  /** As HTTP has it, quoted; weak where the bytes differ at each request. The same at every service. */
  readonly etag: string;
  readonly bytes: number;
  /** What is sent this time. */
  readonly content: () => string | Buffer;
}

/** 132 bits: none will be found that is another's by chance. */
const TAG_LENGTH = 22;

/** Made once from what the tree answered. */
export function documentOf({ type, content, stable }: Answer): MetadataDocument {
  const bytes = Buffer.byteLength(content);
  const tag = createHash('sha256').update(type).update('\n').update(stable ?? content).digest('base64url').slice(0, TAG_LENGTH);
  if (stable === undefined) return { type, etag: `"${tag}"`, bytes, content: () => content };
  return { type, etag: `W/"${tag}"`, bytes, content: seededContent(content.toString()) };
}

function seededContent(whole: string): () => string {
  const { random_seed: seed } = JSON.parse(whole) as { readonly random_seed: string };
  // Too random to stand there twice.
  const at = whole.indexOf(seed);
  const seedBytes = Buffer.byteLength(seed, 'base64');
  const [before, after] = [whole.slice(0, at), whole.slice(at + seed.length)];
  return () => before + drawn(seedBytes).toString('base64') + after;
}

/** Drawn for many seeds at once: the system's generator costs more to call than to read. */
let reserve = Buffer.alloc(0);
const RESERVE_BYTES = 32_768;

/** Random bytes that nobody else gets, nor got. */
function drawn(bytes: number): Buffer {
  if (bytes > RESERVE_BYTES) return randomBytes(bytes);
  if (reserve.length < bytes) reserve = randomBytes(RESERVE_BYTES);
  const some = reserve.subarray(0, bytes);
  reserve = reserve.subarray(bytes);
  return some;
}

/** Whether one of the tags of an If-None-Match is this one; weak or not makes no difference there (RFC 9110, 13.1.2). */
export function namesTag(ifNoneMatch: string, etag: string): boolean {
  return ifNoneMatch.split(',').some((each) => each.trim() === '*' || opaque(each) === opaque(etag));
}

/** What stands between the quotes. */
export function opaque(etag: string): string {
  const text = etag.trim();
  const tag = text.startsWith('W/') ? text.slice(2) : text;
  return tag.length >= 2 && tag.startsWith('"') && tag.endsWith('"') ? tag.slice(1, -1) : tag;
}

/**
 * A document as it is sent, with the tag that says which it is. The one with a seed is kept as the text before and after that:
 * each request gets another seed and the same tag, since nothing that is known of the instance differs.
 */
import { createHash } from 'node:crypto';
import type { Answer } from '@gatehouse/instance-metadata/metadata-tree';
import { bytesOfSeeded, readSeeded } from '@gatehouse/instance-metadata/seeded-text';

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
export function documentOf({ type, content, seeded }: Answer): MetadataDocument {
  if (seeded === undefined) return { type, etag: tagOf(type, content), bytes: Buffer.byteLength(content), content: () => content };
  return { type, etag: `W/${tagOf(type, seeded.before + seeded.after)}`, bytes: bytesOfSeeded(seeded), content: () => readSeeded(seeded) };
}

function tagOf(type: string, content: string | Buffer): string {
  return `"${createHash('sha256').update(type).update('\n').update(content).digest('base64url').slice(0, TAG_LENGTH)}"`;
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

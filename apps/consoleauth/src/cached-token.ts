/**
 * A token as it stands in a cache: JSON, by its hash. Other programs can write there, so nothing of it is believed
 * before it was read as what it should be.
 */
import { ACCESS_LEVELS } from '@gatehouse/objects/console-session';
import { CONSOLE_TYPES } from '@gatehouse/objects/console-connection';
import type { StoredToken } from '@gatehouse/cell-db/console-tokens-store';
import { z } from 'zod';

export interface CachedToken {
  readonly token: StoredToken;
  /** That of its instance when it was issued; it counts while the instance still has this one. */
  readonly generation: string;
}

const FORMAT = 1;

const moment = z.number().int().min(0).max(8_640_000_000_000_000).transform((ms) => new Date(ms));
const name = z.string().max(255).nullable();

const shape = z.strictObject({
  format: z.literal(FORMAT),
  generation: z.string().regex(/^[\w-]{22}$/),
  tokenHash: z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/),
  connectionId: z.number().int().min(1).nullable(),
  instanceUuid: z.uuid(),
  consoleType: z.enum(CONSOLE_TYPES),
  host: z.string().min(1).max(255),
  port: z.number().int().min(-1).max(65_535),
  internalAccessPath: z.string().max(1_024).nullable(),
  accessUrlBase: z.string().max(4_096).nullable(),
  access: z.enum(ACCESS_LEVELS),
  singleUse: z.boolean(),
  usedAt: moment.nullable(),
  expires: moment,
  createdAt: moment,
  userId: name,
  projectId: name,
});

export function cachedTokenText({ token, generation }: CachedToken): string {
  const { tokenHash, connectionId, instanceUuid, consoleType, host, port, internalAccessPath, accessUrlBase, access, singleUse, userId, projectId } = token;
  return JSON.stringify({
    ...{ format: FORMAT, generation, tokenHash, connectionId, instanceUuid, consoleType, host, port },
    ...{ internalAccessPath, accessUrlBase, access, singleUse, userId, projectId },
    ...{ usedAt: token.usedAt?.getTime() ?? null, expires: token.expires.getTime(), createdAt: token.createdAt.getTime() },
  });
}

/** @returns null for what is not a token, or not that of this hash */
export function cachedTokenOf(text: string, tokenHash: string): CachedToken | null {
  const read = shape.safeParse(jsonOf(text));
  if (!read.success || read.data.tokenHash !== tokenHash) return null;
  const { generation, format: _, ...token } = read.data;
  return { token, generation };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

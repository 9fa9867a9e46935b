/**
 * Versions of objects and contracts as oslo compares them: `major.minor`, perhaps with a third part for a stable
 * branch, number by number (1.10 is newer than 1.9, and 1.2.0 newer than 1.2).
 */
import { refuse } from './refusal.ts';

const VERSION = /^(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?$/;

/** Versions by name of object: the newest that a reader knows of each (oslo's obj_tree_get_versions). */
export type Manifest = Readonly<Record<string, string>>;

export interface ObjectVersion {
  readonly major: number;
  readonly minor: number;
  /** Grows with the version: what the numbers are compared by. */
  readonly rank: number;
}

/** @throws ServiceError INVALID_ARGUMENT: no version */
export function parseVersion(version: unknown, path: string): ObjectVersion {
  const parts = typeof version === 'string' ? VERSION.exec(version) : null;
  if (parts === null) refuse(path, 'expected a version like 1.0');
  const [major, minor] = [Number(parts[1]), Number(parts[2])];
  const revision = parts[3] === undefined ? 0 : Number(parts[3]) + 1;
  return { major, minor, rank: (major * 10_000 + minor) * 10_002 + revision };
}

/** Below 0 when `a` is older than `b`, 0 when they are equal. */
export function compareVersions(a: string, b: string): number {
  return parseVersion(a, 'version').rank - parseVersion(b, 'version').rank;
}

/**
 * Files that a request puts into its instance (Nova's personality, before 2.57): what it may say of them. The limits are
 * Nova's quotas as they are by default, and so are the words; as there, a content counts as the base64 that was sent.
 */
import type { InjectedFile } from '@gatehouse/cell-db/instance-facts-store';
import { ServiceError } from '@gatehouse/errors/service-error';

export const INJECTED_FILES_MAX = 5;
export const INJECTED_FILE_CHARS_MAX = 10_240;
export const INJECTED_PATH_CHARS_MAX = 255;

/** Throws PERMISSION_DENIED (too many, too long). */
export function checkInjectedFiles(files: readonly InjectedFile[]): void {
  if (files.length > INJECTED_FILES_MAX) throw overQuota('Personality file limit exceeded');
  if (files.some(({ path }) => [...path].length > INJECTED_PATH_CHARS_MAX)) throw overQuota(`Personality file path exceeds maximum ${INJECTED_PATH_CHARS_MAX}`);
  if (files.some(({ contents }) => contents.length > INJECTED_FILE_CHARS_MAX)) throw overQuota(`Personality file content exceeds maximum ${INJECTED_FILE_CHARS_MAX}`);
}

function overQuota(words: string): ServiceError {
  return new ServiceError('PERMISSION_DENIED', words);
}

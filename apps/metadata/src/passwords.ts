/**
 * The password that a guest makes for its owner, encrypted with the owner's key: the guest posts it once, and whoever may
 * read the instance's metadata reads it back as it came. The database decides which post was the first. It is never held
 * here, and stands in no log.
 */
import type { InstancePasswordsStore } from '@gatehouse/cell-db/instance-passwords-store';
import { ServiceError } from '@gatehouse/errors/service-error';
import { notFound } from '@gatehouse/instance-metadata/metadata-tree';
import type { Clock } from '@gatehouse/runtime/clock';

/** Nova's: four pieces of 255. */
export const PASSWORD_BYTES_MAX = 1_020;

export class Passwords {
  readonly #store: InstancePasswordsStore;
  readonly #clock: Clock;

  constructor(store: InstancePasswordsStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Empty where none was posted. */
  async read(instanceUuid: string): Promise<string> {
    return (await this.#store.find(instanceUuid)) ?? '';
  }

  /**
   * Keeps the first; an empty one is none, as with Nova.
   * @throws ServiceError ALREADY_EXISTS: another is there; NOT_FOUND: the instance is deleted; INVALID_ARGUMENT: too long, or no text
   */
  async post(instanceUuid: string, body: Buffer): Promise<void> {
    if (body.length > PASSWORD_BYTES_MAX) throw tooLarge();
    const password = textOf(body);
    if (password === '') {
      if ((await this.read(instanceUuid)) !== '') throw taken();
      return;
    }
    const end = await this.#store.save(instanceUuid, password, this.#clock.now());
    if (end === 'set') throw taken();
    if (end === 'gone') throw notFound();
  }

  /** Forgets it, so that the guest may post another; nothing where there is none. */
  async clear(instanceUuid: string): Promise<void> {
    await this.#store.deleteOf(instanceUuid);
  }
}

export function isPasswordPath(steps: readonly string[]): boolean {
  return steps.length === 3 && steps[0] === 'openstack' && steps[2] === 'password';
}

export function tooLarge(): ServiceError {
  return new ServiceError('INVALID_ARGUMENT', 'Request is too large.');
}

function textOf(body: Buffer): string {
  const text = decode(body);
  if (text === null || text.includes('\0')) throw new ServiceError('INVALID_ARGUMENT', 'A password is text in UTF-8 without NUL characters.');
  return text;
}

function decode(body: Buffer): string | null {
  try {
    // Given back as it came, its byte order mark too.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    return null;
  }
}

function taken(): ServiceError {
  return new ServiceError('ALREADY_EXISTS', 'There was a conflict when trying to complete your request.');
}

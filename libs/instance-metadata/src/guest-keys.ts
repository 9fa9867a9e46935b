/**
 * The public keys that a guest is told: those that the instance carries; the one of its row where it was never migrated
 * (Nova's own trees disagree about that one: OpenStack's leaves it out, EC2's has it). A key without its text installs nothing and is left out.
 */
import type { InstanceFacts } from '@gatehouse/cell-db/instance-facts-store';
import { publicKeyType } from '@gatehouse/objects/public-key-text';

export interface GuestKey {
  readonly name: string;
  /** ssh or x509 */
  readonly type: string;
  /** A line of authorized_keys, or a certificate in PEM. */
  readonly text: string;
}

export function guestKeys({ keyName, keyData, keyPairs }: InstanceFacts): readonly GuestKey[] {
  if (keyPairs !== null) {
    return keyPairs.flatMap(({ name, type, publicKey: text }) => (typeof text === 'string' && text !== '' ? [{ name, type, text }] : []));
  }
  if (keyName === null || keyData === null || keyData === '') return [];
  return [{ name: keyName, type: publicKeyType(keyData), text: keyData }];
}

/**
 * By name. Two keys of one name (of two users, or ssh and x509) stand in one text, a line each: every guest's agent takes a text of several
 * lines, and not every one takes a list.
 */
export function keyTextsByName(keys: readonly GuestKey[]): Readonly<Record<string, string>> {
  const texts = new Map<string, string>();
  for (const { name, text } of keys) {
    const before = texts.get(name);
    texts.set(name, before === undefined ? text : `${before.trimEnd()}\n${text}`);
  }
  return Object.fromEntries(texts);
}

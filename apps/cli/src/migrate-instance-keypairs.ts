/**
 * One cell's instances, each with its key pair as a KeyPairList in instance_extra. What the instance was started with, its own key_data, is
 * the truth; the key pair of that name says when it was made and of which type it is only where it is the same key.
 */
import { isServiceError } from '@gatehouse/errors/service-error';
import type { ApiDb } from '@gatehouse/api-db/api-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { InstanceKeyPairs, NamedKeyPair, SetAsideInstance, UnmigratedInstance } from '@gatehouse/cell-db/instance-key-pair-moves-store';
import { KeyPair } from '@gatehouse/objects/key-pair';
import type { KeyPairList } from '@gatehouse/objects/key-pair-list';
import { PUBLIC_KEY_CHARS_MAX, publicKeyType } from '@gatehouse/objects/public-key-text';
import { byUserAndName, userAndName } from './legacy-key-pair.ts';
import { fingerprintOf, isSameMaterial } from './key-material.ts';
import { NOTHING } from './migration.ts';
import type { Batch, CellMigration } from './migration.ts';
import { Walk } from './walk.ts';

export const MIGRATE_INSTANCE_KEYPAIRS = 'migrate_instance_keypairs';

export interface Judged {
  readonly ready: readonly InstanceKeyPairs[];
  readonly setAside: readonly SetAsideInstance[];
}

export class MigrateInstanceKeypairs implements CellMigration {
  readonly name = MIGRATE_INSTANCE_KEYPAIRS;
  readonly hasLanes = true;
  readonly #cellDb: CellDb;
  readonly #apiDb: ApiDb;
  readonly #clock: () => Date;
  readonly #retries: boolean;
  #prepared: Promise<unknown> | undefined;
  readonly #walk = new Walk(false);

  constructor(cellDb: CellDb, apiDb: ApiDb, clock: () => Date, retries: boolean) {
    this.#cellDb = cellDb;
    this.#apiDb = apiDb;
    this.#clock = clock;
    this.#retries = retries;
  }

  async batch(limit: number): Promise<Batch> {
    if (this.#retries) await (this.#prepared ??= this.#cellDb.instanceKeyPairMoves.retrySetAside());
    return this.#walk.next(limit, async ({ page, locked, found }) => {
      let batch = NOTHING;
      await this.#cellDb.moveTransaction(
        async ({ instanceKeyPairMoves }) => {
          const instances = await instanceKeyPairMoves.take(page, locked);
          found(instances);
          return judgeInstances(instances, this.#apiDb);
        },
        async ({ instanceKeyPairMoves }, { ready, setAside }) => {
          const [done, marked] = await Promise.all([
            ready.length === 0 ? 0 : instanceKeyPairMoves.save(ready, this.#clock()),
            setAside.length === 0 ? 0 : instanceKeyPairMoves.setAside(setAside, this.#clock()),
          ]);
          batch = { found: done + marked, done, setAside: marked };
        },
      );
      return batch;
    });
  }
}

/** What each gets, or why it gets nothing. The cell's key pairs are asked first: where a row is in both, it is being moved. */
export async function judgeInstances(instances: readonly UnmigratedInstance[], apiDb: ApiDb): Promise<Judged> {
  const open = instances.flatMap((instance) => (instance.keyName === null || instance.keyName === '' || isAnswered(instance) ? [] : [{ userId: instance.userId, name: instance.keyName }]));
  const moved = byUserAndName(await apiDb.keyPairAdoptions.findMany(open));
  const ready: InstanceKeyPairs[] = [];
  const setAside: SetAsideInstance[] = [];
  for (const instance of instances) {
    const list = keyPairsOf(instance, moved.get(userAndName(instance.userId, instance.keyName ?? '')));
    if (typeof list === 'string') setAside.push({ uuid: instance.uuid, reason: list });
    else ready.push({ uuid: instance.uuid, keyPairs: list });
  }
  return { ready, setAside };
}

function isAnswered({ keyData, named }: UnmigratedInstance): boolean {
  return named !== null && (keyData === null || keyData === '' || isSameMaterial(keyData, named.publicKey));
}

function keyPairsOf({ keyName, keyData, keyDataChars, userId, named }: UnmigratedInstance, moved: NamedKeyPair | undefined): KeyPairList | string {
  if (keyName === null || keyName === '') return { objects: [] };
  if (keyData === null && keyDataChars > 0) return `its key_data has ${keyDataChars} characters; at most ${PUBLIC_KEY_CHARS_MAX} are accepted`;
  const hasData = keyData !== null && keyData.trim() !== '';
  const match = [named, moved].find((known) => known?.publicKey.trim() && (!hasData || isSameMaterial(keyData, known.publicKey))) ?? undefined;
  const publicKey = hasData ? keyData : match?.publicKey;
  if (publicKey === undefined) return 'it has no key_data, and its user has no key pair of its key_name any more';
  try {
    return { objects: [keyPairOf({ userId, name: keyName, publicKey }, match)] };
  } catch (error) {
    if (!isServiceError(error)) throw error;
    return `its key pair cannot be written: ${error.message}`;
  }
}

function keyPairOf({ userId, name, publicKey }: { readonly userId: string; readonly name: string; readonly publicKey: string }, match: NamedKeyPair | undefined): KeyPair {
  const own = { name, userId, publicKey, deletedAt: null, deleted: false };
  if (match === undefined) return KeyPair.make({ ...own, type: publicKeyType(publicKey), fingerprint: fingerprintOf(publicKey), createdAt: null, updatedAt: null });
  return KeyPair.make({
    ...own,
    id: match.id,
    type: match.type === 'ssh' || match.type === 'x509' ? match.type : publicKeyType(publicKey),
    fingerprint: match.fingerprint ?? fingerprintOf(publicKey),
    createdAt: momentOf(match.createdAt),
    updatedAt: momentOf(match.updatedAt),
  });
}

/** Null also for what no object can say. */
function momentOf(text: string | null): Date | null {
  const moment = text === null ? null : new Date(`${text.replace(' ', 'T')}Z`);
  return moment === null || Number.isNaN(moment.getTime()) || moment.getUTCFullYear() < 1 || moment.getUTCFullYear() > 9999 ? null : moment;
}

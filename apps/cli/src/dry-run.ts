/** What the migrations of one cell would do, and whom they would set aside, without a lock and without a write. */
import type { ApiDb } from '@gatehouse/api-db/api-db';
import type { AdoptedKeyPair } from '@gatehouse/api-db/key-pair-adoptions-store';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { SetAside } from '@gatehouse/cell-db/key-pair-moves-store';
import { PUBLIC_KEY_CHARS_MAX } from '@gatehouse/objects/public-key-text';
import { adoptable, byUserAndName, otherMaterial, userAndName } from './legacy-key-pair.ts';
import { fingerprintOf, isSameMaterial } from './key-material.ts';
import { MIGRATE_INSTANCE_KEYPAIRS, judgeInstances } from './migrate-instance-keypairs.ts';
import { MIGRATE_KEYPAIRS_TO_API_DB } from './migrate-keypairs-to-api-db.ts';
import type { CellMigration } from './migration.ts';
import type { SetAsideRow } from './set-aside-rows.ts';
import { Walk } from './walk.ts';

export interface DryRun {
  readonly cell: string;
  readonly cellDb: CellDb;
  readonly apiDb: ApiDb;
  /** Cells whose rows of the same user and name would be moved before. */
  readonly before: readonly CellDb[];
  /** Also what is set aside already. */
  readonly retries: boolean;
  readonly clock: () => Date;
  found(row: SetAsideRow): void;
}

export function dryInstanceKeypairs({ cell, cellDb, apiDb, retries, found }: DryRun): CellMigration {
  const walk = new Walk(true, retries);
  return {
    name: MIGRATE_INSTANCE_KEYPAIRS,
    hasLanes: false,
    batch: (limit) => walk.next(limit, async (step) => {
      const instances = await cellDb.instanceKeyPairMoves.look(step.page);
      step.found(instances);
      const { ready, setAside } = await judgeInstances(instances, apiDb);
      const known = new Map(instances.map((instance) => [instance.uuid, instance]));
      for (const { uuid, reason } of setAside) {
        found({ cell, table: 'instances', id: uuid, user: known.get(uuid)?.userId ?? null, name: known.get(uuid)?.keyName ?? null, reason });
      }
      return { found: instances.length, done: ready.length, setAside: setAside.length };
    }),
  };
}

export function dryKeypairsToApiDb({ cell, cellDb, apiDb, before, retries, clock, found }: DryRun): CellMigration {
  const walk = new Walk(true, retries);
  return {
    name: MIGRATE_KEYPAIRS_TO_API_DB,
    hasLanes: false,
    batch: (limit) => walk.next(limit, async (step) => {
      const rows = await cellDb.keyPairMoves.look(step.page);
      step.found(rows);
      const judged = rows.map((row) => ({ row, judgement: adoptable(row, clock()) }));
      const arriving = judged.flatMap(({ judgement }) => (typeof judgement === 'string' ? [] : [judgement]));
      const refused = new Map(judged.flatMap(({ row, judgement }) => (typeof judgement === 'string' ? [[row.id, judgement] as const] : [])));
      for (const { id, reason } of await duplicates(arriving, apiDb, before)) refused.set(id, reason);
      for (const { id, userId, name } of rows) {
        const reason = refused.get(id);
        if (reason !== undefined) found({ cell, table: 'key_pairs', id: String(id), user: userId, name, reason });
      }
      return { found: rows.length, done: rows.length - refused.size, setAside: refused.size };
    }),
  };
}

/** Those that the API database has with another key, or would have by then. */
async function duplicates(arriving: readonly AdoptedKeyPair[], apiDb: ApiDb, before: readonly CellDb[]): Promise<readonly SetAside[]> {
  const moved = byUserAndName(await apiDb.keyPairAdoptions.findMany(arriving));
  const earlier = await Promise.all(before.map((cell) => cell.keyPairMoves.findMany(arriving, PUBLIC_KEY_CHARS_MAX)));
  const moving = byUserAndName(earlier.toReversed().flat());
  return arriving.flatMap(({ id, userId, name, publicKey, fingerprint }) => {
    const kept = moved.get(userAndName(userId, name)) ?? moving.get(userAndName(userId, name));
    if (kept === undefined || kept.publicKey === null || isSameMaterial(kept.publicKey, publicKey)) return [];
    return [{ id, reason: otherMaterial(kept.fingerprint ?? fingerprintOf(kept.publicKey) ?? 'unknown', fingerprint) }];
  });
}

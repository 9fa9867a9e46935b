/** The rows that could not move, of all cells, for whoever mends them. */
import { isServiceError } from '@gatehouse/errors/service-error';
import type { CellDb } from '@gatehouse/cell-db/cell-db';

export interface SetAsideRow {
  readonly cell: string;
  readonly table: 'instances' | 'key_pairs';
  /** An instance's uuid, a key pair's number. */
  readonly id: string;
  readonly user: string | null;
  /** Of the key pair. */
  readonly name: string | null;
  readonly reason: string;
}

export interface SetAsideRows {
  /** The first SHOWN_MAX of each table of each cell. */
  readonly rows: readonly SetAsideRow[];
  readonly total: number;
}

const SHOWN_MAX = 1_000;

/** Of the cells that answer; the others have been told of. */
export async function listSetAside(cells: readonly { readonly name: string; readonly db: CellDb }[]): Promise<SetAsideRows> {
  const lists = await Promise.all(cells.map(({ name, db }) => listOfCell(name, db).catch((error: unknown) => {
    if (!isServiceError(error)) throw error;
    return { rows: [], total: 0 };
  })));
  return { rows: lists.flatMap(({ rows }) => rows), total: lists.reduce((total, list) => total + list.total, 0) };
}

async function listOfCell(cell: string, db: CellDb): Promise<SetAsideRows> {
  const [instances, keyPairs] = [await db.instanceKeyPairMoves.listSetAside(SHOWN_MAX), await db.keyPairMoves.listSetAside(SHOWN_MAX)];
  const rows: readonly SetAsideRow[] = [
    ...instances.map(({ uuid, userId, keyName, reason }) => ({ cell, table: 'instances' as const, id: uuid, user: userId, name: keyName, reason })),
    ...keyPairs.map(({ id, userId, name, reason }) => ({ cell, table: 'key_pairs' as const, id: String(id), user: userId, name, reason })),
  ];
  if (instances.length < SHOWN_MAX && keyPairs.length < SHOWN_MAX) return { rows, total: rows.length };
  return { rows, total: (await db.instanceKeyPairMoves.count()).setAside + (await db.keyPairMoves.count()).setAside };
}

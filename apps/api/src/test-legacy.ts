/**
 * The API over two cells with legacy key pairs, for tests: its own cell and a further one, rows to plant in them and to move out
 * of them with the statements of `gatehouse db online-data-migrations`, and a clock that can be put forward.
 */
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import pg from 'pg';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import type { ApiConfig } from './config.ts';
import { startTestApi, unhurriedClock } from './test-api.ts';
import type { TestApi } from './test-api.ts';

export type CellNumber = 0 | 1;

export interface LegacyHouse {
  readonly api: TestApi;
  readonly cells: readonly [CellDb, CellDb];
  /** A live row; `more` by column. Each cell has one from the start, of somebody, which is set aside. */
  plant(cell: CellNumber, userId: string | null, name: string, more?: Readonly<Record<string, unknown>>): Promise<void>;
  /** The row of the lowest id that has not moved or been set aside, if any. `dies`: after the API database has it, before the cell lets go. */
  moveOne(cell: CellNumber, how?: 'whole' | 'dies'): Promise<void>;
  /** Straight to a cell's database. */
  query(cell: CellNumber, text: string, values?: readonly unknown[]): Promise<readonly Record<string, unknown>[]>;
  /** Until it is called back, nobody reaches the cell's database. */
  hide(cell: CellNumber): Promise<() => Promise<void>>;
  /** Puts the clock forward. */
  pass(ms: number): void;
  stop(): Promise<void>;
}

export async function startLegacyHouse(publicKey: string, changes: Partial<ApiConfig> = {}): Promise<LegacyHouse> {
  const postgresql = await startPostgresql();
  const [apiUrl, ...cellUrls] = [await postgresql.createDatabase(), await postgresql.createDatabase(), await postgresql.createDatabase()] as const;
  const given = [apiUrl, cellUrls[0]];
  const further = await openCellDb({ url: cellUrls[1] });
  await further.migrate();
  let passedMs = 0;
  const clock = { ...unhurriedClock, now: () => new Date(Date.now() + passedMs) };
  const server = { createDatabase: async () => given.shift() ?? '', stop: () => postgresql.stop() };
  const api = await startTestApi(server, changes, true, { clock, legacyCells: [further] });
  const cells = [api.cellDb, further] as const;
  const pools = cellUrls.map((connectionString) => new pg.Pool({ connectionString, max: 2 }));
  for (const pool of pools) pool.on('error', () => {});
  const query: LegacyHouse['query'] = async (cell, text, values = []) => ((await pools[cell]?.query(text, [...values]))?.rows ?? []) as Record<string, unknown>[];
  // Or the cells would be seen empty, and left alone.
  for (const cell of [0, 1] as const) await query(cell, "INSERT INTO key_pairs (user_id, name, set_aside) VALUES ('somebody', 'last', 'a reason')");
  return {
    api,
    cells,
    query,
    async plant(cell, userId, name, more = {}) {
      const row = { user_id: userId, name, fingerprint: 'aa:bb', public_key: publicKey, created_at: '2016-03-01 12:00:00.5', ...more };
      const places = Object.keys(row).map((_, index) => `$${index + 1}`);
      await query(cell, `INSERT INTO key_pairs (${Object.keys(row).join(', ')}) VALUES (${places.join(', ')})`, Object.values(row));
    },
    async moveOne(cell, how = 'whole') {
      const moved = cells[cell].moveTransaction(async ({ keyPairMoves }) => {
        const [row] = await keyPairMoves.take({ after: 0, limit: 1, publicKeyMax: 98_304 }, 'wait');
        if (row === undefined) return;
        const { userId, fingerprint, publicKey: key, createdAt, ...rest } = row;
        if (userId === null || fingerprint === null || key === null || createdAt === null) {
          await keyPairMoves.setAside([{ id: row.id, reason: 'something is missing' }]);
          return;
        }
        await api.apiDb.keyPairAdoptions.adopt([{ ...rest, userId, fingerprint, publicKey: key, createdAt, type: 'ssh' }]);
        if (how === 'dies') throw new Error('killed');
        await keyPairMoves.softDelete([row.id], clock.now());
      });
      await moved.catch((error: Error) => {
        if (error.message !== 'killed') throw error;
      });
    },
    async hide(cell) {
      const name = new URL(cellUrls[cell] ?? '').pathname.slice(1);
      const administrator = new pg.Client({ connectionString: postgresql.url });
      await administrator.connect();
      const rename = async (from: string, to: string): Promise<void> => {
        // Whoever was connected may come back before the name is gone.
        for (let attempt = 1; ; attempt += 1) {
          await administrator.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [from]);
          try {
            await administrator.query(`ALTER DATABASE "${from}" RENAME TO "${to}"`);
            return;
          } catch (error) {
            if (attempt === 100) throw error;
          }
        }
      };
      await rename(name, `${name}_hidden`);
      return async () => {
        await rename(`${name}_hidden`, name);
        await administrator.end();
      };
    },
    pass(ms) {
      passedMs += ms;
    },
    async stop() {
      await Promise.all([...pools.map((pool) => pool.end()), further.close()]);
      await api.stop();
    },
  };
}

/** The API database: its stores, and transactions over them. */
import type { Database, DatabaseSource } from '@gatehouse/database/database';
import { openDatabase } from '@gatehouse/database/database';
import { openClient } from '@gatehouse/database/client';
import type { ApiClient } from './api-client.ts';
import { CellMappingsStore } from './cell-mappings-store.ts';
import { PrismaClient } from './generated/client.ts';
import { MIGRATIONS } from './generated/migrations.ts';
import { InstanceMappingsStore } from './instance-mappings-store.ts';
import { KeyPairAdoptionsStore } from './key-pair-adoptions-store.ts';
import type { KeyPairAdoptions } from './key-pair-adoptions-store.ts';
import { KeyPairsStore } from './key-pairs-store.ts';
import { sqlClientOf } from './sql-client.ts';
import type { Together } from './sql-client.ts';

export interface ApiStores {
  readonly keyPairs: KeyPairsStore;
  readonly cellMappings: CellMappingsStore;
  readonly instanceMappings: InstanceMappingsStore;
}

/** Every method rejects with a ServiceError: UNAVAILABLE while the database is not there or has no tables yet. */
export interface ApiDb extends ApiStores {
  /** Each statement a transaction of its own. */
  readonly keyPairAdoptions: KeyPairAdoptions;
  /**
   * All of `work` or nothing, at READ COMMITTED; nothing, with the statement's error, when one statement failed, even if
   * `work` caught that. Use only the stores it is given, do nothing slow in it (ten
   * seconds at most, no RPC): it may be done again, at most twice, when another transaction was in its way.
   */
  transaction<T>(work: (stores: ApiStores) => Promise<T>): Promise<T>;
  /** Applies what is missing of prisma/api/migrations; safe while others do the same. @returns the names it applied */
  migrate(): Promise<{ readonly applied: readonly string[] }>;
  /** Resolves when the database answers a query and has every migration known here. */
  check(): Promise<void>;
  close(): Promise<void>;
}

/** Connects at the first use; an unreachable database is each call's UNAVAILABLE, never this one's. */
export async function openApiDb(source: DatabaseSource): Promise<ApiDb> {
  const database = await openDatabase(source, { schema: 'api', migrations: MIGRATIONS });
  return apiDbOf(database);
}

function apiDbOf(database: Database): ApiDb {
  const client = openClient<ApiClient>((options) => new PrismaClient(options), database);
  return {
    ...storesOf(client.root, new KeyPairsStore(sqlClientOf(database.sql.run), async (statements) => (await database.sql.together(statements)).map(({ rows }) => rows))),
    keyPairAdoptions: new KeyPairAdoptionsStore(sqlClientOf(database.sql.run), (work) => database.sql.transaction((run) => work(sqlClientOf(run)))),
    transaction: (work) => client.transaction((tx) => work(storesOf(tx, new KeyPairsStore(tx, oneByOne(tx))))),
    migrate: () => database.migrate(),
    check: () => database.check(),
    close: () => client.close(),
  };
}

/** Inside a transaction of Prisma's, whose engine takes one at a time. */
function oneByOne(tx: ApiClient): Together {
  return async (statements) => {
    const rows: (readonly unknown[])[] = [];
    for (const statement of statements) rows.push(await tx.$queryRaw<readonly unknown[]>(statement));
    return rows;
  };
}

function storesOf(client: ApiClient, keyPairs: KeyPairsStore): ApiStores {
  return {
    keyPairs,
    cellMappings: new CellMappingsStore(client),
    instanceMappings: new InstanceMappingsStore(client),
  };
}

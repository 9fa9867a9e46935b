/** A cell's database: its stores, and transactions over them. */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Database, DatabaseSource } from '@gatehouse/database/database';
import { openDatabase } from '@gatehouse/database/database';
import { openClient } from '@gatehouse/database/client';
import type { CellClient } from './cell-client.ts';
import { ConsoleConnectionsStore } from './console-connections-store.ts';
import { ConsoleOpeningsStore } from './console-openings-store.ts';
import { ConsoleSessionClaimsStore } from './console-session-claims-store.ts';
import { ConsoleSessionEndsStore } from './console-session-ends-store.ts';
import { ConsoleSessionEventsStore } from './console-session-events-store.ts';
import { ConsoleSessionsStore } from './console-sessions-store.ts';
import { ConsoleTokensStore } from './console-tokens-store.ts';
import { PrismaClient } from './generated/client.ts';
import { MIGRATIONS } from './generated/migrations.ts';
import { InstanceExtraStore } from './instance-extra-store.ts';
import { InstanceFactsStore } from './instance-facts-store.ts';
import { InstanceHeadsStore } from './instance-heads-store.ts';
import { InstanceKeyPairMovesStore } from './instance-key-pair-moves-store.ts';
import { InstancePasswordsStore } from './instance-passwords-store.ts';
import { InstanceNetworksStore } from './instance-networks-store.ts';
import { InstancesStore } from './instances-store.ts';
import { LegacyKeyPairsStore } from './legacy-key-pairs-store.ts';
import { KeyPairMovesStore } from './key-pair-moves-store.ts';
import { ServicesStore } from './services-store.ts';
import { sqlClientOf } from './sql-client.ts';
import type { SqlClient } from './sql-client.ts';

export interface CellStores {
  readonly instances: InstancesStore;
  readonly instanceExtra: InstanceExtraStore;
  readonly instanceFacts: InstanceFactsStore;
  readonly instancePasswords: InstancePasswordsStore;
  readonly instanceNetworks: InstanceNetworksStore;
  readonly legacyKeyPairs: LegacyKeyPairsStore;
  readonly consoleConnections: ConsoleConnectionsStore;
  readonly consoleOpenings: ConsoleOpeningsStore;
  readonly consoleTokens: ConsoleTokensStore;
  readonly consoleSessions: ConsoleSessionsStore;
  readonly consoleSessionClaims: ConsoleSessionClaimsStore;
  readonly consoleSessionEnds: ConsoleSessionEndsStore;
  readonly consoleSessionEvents: ConsoleSessionEventsStore;
  readonly services: ServicesStore;
}

/** What a transaction about consoles has. The same statements as those of CellStores, at a fraction of the price. */
export interface ConsoleStores extends Omit<CellStores, 'instances' | 'instanceExtra' | 'instanceFacts' | 'instancePasswords' | 'instanceNetworks' | 'legacyKeyPairs'> {
  readonly instances: Pick<InstanceHeadsStore, 'find' | 'lock' | 'isDeleted'>;
}

/** What the move of key pairs has. */
export interface MoveStores {
  readonly keyPairMoves: KeyPairMovesStore;
  readonly instanceKeyPairMoves: InstanceKeyPairMovesStore;
}

/** Every method rejects with a ServiceError: UNAVAILABLE while the database is not there or has no tables yet. */
export interface CellDb extends CellStores, MoveStores {
  /**
   * All of `work` or nothing, at READ COMMITTED; nothing, with the statement's error, when one statement failed, even if
   * `work` caught that. Use only the stores it is given, do nothing slow in it (ten
   * seconds at most, no RPC): it may be done again, at most twice, when another transaction was in its way.
   */
  transaction<T>(work: (stores: CellStores) => Promise<T>): Promise<T>;
  /**
   * The same for what is done about consoles. Statements that are asked for together travel together, in their order; those of
   * `last`, which are to be asked for at once, with the COMMIT, so that their answers come too late to refuse anything.
   */
  consoleTransaction<T>(work: (stores: ConsoleStores) => Promise<T>, last?: (stores: ConsoleStores, result: T) => Promise<unknown>): Promise<T>;
  /** The same for the move of key pairs, of which the API database is told in the middle. */
  moveTransaction<T>(work: (stores: MoveStores) => Promise<T>, last?: (stores: MoveStores, result: T) => Promise<unknown>): Promise<T>;
  /** The database's own time: the one by which all who share it judge what has expired. */
  now(): Promise<Date>;
  /** Applies what is missing of prisma/cell/migrations; safe while others do the same. @returns the names it applied */
  migrate(): Promise<{ readonly applied: readonly string[] }>;
  /** Resolves when the database answers a query and has every migration known here. */
  check(): Promise<void>;
  close(): Promise<void>;
}

const BY_INDEX = { text: "SELECT set_config('enable_seqscan', 'off', true)", values: [] };

/** Connects at the first use; an unreachable database is each call's UNAVAILABLE, never this one's. */
export async function openCellDb(source: DatabaseSource): Promise<CellDb> {
  const database = await openDatabase(source, { schema: 'cell', migrations: MIGRATIONS });
  return cellDbOf(database);
}

function cellDbOf(database: Database): CellDb {
  const client = openClient<CellClient>((options) => new PrismaClient(options), database);
  return {
    ...storesOf(client.root, sqlClientOf(database.sql.run)),
    ...moveStoresOf(sqlClientOf(database.sql.run)),
    transaction: (work) => client.transaction((tx) => work(storesOf(tx, tx))),
    consoleTransaction: (work, last) => database.sql.transaction(
      (run) => work(consoleStoresOf(sqlClientOf(run))),
      last && ((run, result) => last(consoleStoresOf(sqlClientOf(run)), result)),
    ),
    moveTransaction: (work, last) => database.sql.transaction(
      (run) => {
        // Travels with the first statement. Tables grow and shrink by a million rows while plans that were made at the beginning live on.
        run(BY_INDEX).catch(() => {});
        return work(moveStoresOf(sqlClientOf(run)));
      },
      last && ((run, result) => last(moveStoresOf(sqlClientOf(run)), result)),
    ),
    async now() {
      const [row] = await sqlClientOf(database.sql.run).$queryRaw<readonly { readonly now: Date }[]>`SELECT (clock_timestamp() AT TIME ZONE 'UTC')::timestamp(3) AS now`;
      if (row === undefined) throw new ServiceError('INTERNAL', 'the database did not say the time');
      return row.now;
    },
    migrate: () => database.migrate(),
    check: () => database.check(),
    close: () => client.close(),
  };
}

function storesOf(client: CellClient, sql: SqlClient): CellStores {
  return {
    ...consoleStoresOf(sql),
    instances: new InstancesStore(client, sql),
    instanceExtra: new InstanceExtraStore(client),
    instanceFacts: new InstanceFactsStore(sql),
    instancePasswords: new InstancePasswordsStore(sql),
    instanceNetworks: new InstanceNetworksStore(sql),
    legacyKeyPairs: new LegacyKeyPairsStore(sql),
  };
}

function moveStoresOf(sql: SqlClient): MoveStores {
  return { keyPairMoves: new KeyPairMovesStore(sql), instanceKeyPairMoves: new InstanceKeyPairMovesStore(sql) };
}

function consoleStoresOf(sql: SqlClient): ConsoleStores {
  return {
    instances: new InstanceHeadsStore(sql),
    consoleConnections: new ConsoleConnectionsStore(sql),
    consoleOpenings: new ConsoleOpeningsStore(sql),
    consoleTokens: new ConsoleTokensStore(sql),
    consoleSessions: new ConsoleSessionsStore(sql),
    consoleSessionClaims: new ConsoleSessionClaimsStore(sql),
    consoleSessionEnds: new ConsoleSessionEndsStore(sql),
    consoleSessionEvents: new ConsoleSessionEventsStore(sql),
    services: new ServicesStore(sql),
  };
}

/** console_connections: the consoles that instances have on their hosts, one row a port. Written by consoleauth. */
import type { ConsoleConnection, ConsoleType } from '@gatehouse/objects/console-connection';
import { ServiceError } from '@gatehouse/errors/service-error';
import { Prisma } from './generated/client.ts';
import type { ConsoleConnectionRow } from './generated/client.ts';
import type { SqlClient } from './sql-client.ts';

/** A console as it is stored: the object's own fields, its row's id, and who holds it for the moment. */
export interface StoredConnection {
  readonly id: number;
  readonly instanceUuid: string;
  /** The compute host. */
  readonly host: string;
  /** Where a proxy dials it by TCP; null when it is reached through the host's agent. */
  readonly address: string | null;
  readonly port: number;
  readonly consoleType: ConsoleType;
  readonly options: Readonly<Record<string, string>>;
  /** One writer at a time. */
  readonly exclusive: boolean;
  /** Null where nobody holds it, and where somebody does whom no request named. */
  readonly reservedBy: string | null;
  readonly reservedUntil: Date | null;
  /** The newest token of the reservation; those before it wait until it is over. Null where a consoleauth before 3.2 reserved it. */
  readonly reservedTokenHash: string | null;
  readonly createdAt: Date;
}

export interface Reservation {
  readonly by: string | null;
  readonly tokenHash: string;
  readonly until: Date;
}

/** What a statement of ours selects so that `connectionOfRow` can read it. */
export const CONNECTION_COLUMNS = Prisma.raw(`
  c.id, c.instance_uuid::text AS "instanceUuid", c.host, c.address, c.port, c.console_type AS "consoleType", c.options, c.exclusive,
  c.reserved_by AS "reservedBy", c.reserved_until AS "reservedUntil", c.reserved_token_hash AS "reservedTokenHash",
  c.reserved_token_until AS "reservedTokenUntil", c.created_at AS "createdAt"`);

/** More ports than an instance can have; a longer list is refused. */
const CONNECTIONS_MAX = 256;

export class ConsoleConnectionsStore {
  readonly #client: SqlClient;

  constructor(client: SqlClient) {
    this.#client = client;
  }

  /**
   * The rows of these connections, in their order: made, brought up to date, or as they were. Reservations stay. `known`: what there is
   * of them, as the caller holds it; unset, it is looked up.
   * @throws ServiceError INVALID_ARGUMENT: more than 256, one named twice, or one that is dialled and has no port
   * @throws ServiceError ALREADY_EXISTS: an address and port that another instance's console has (see listInPlaceOf)
   * @throws ServiceError FAILED_PRECONDITION: no such instance
   */
  async upsertAll(
    connections: readonly ConsoleConnection[],
    options: { readonly exclusive: boolean; readonly at: Date; readonly known?: readonly StoredConnection[] },
  ): Promise<readonly StoredConnection[]> {
    if (connections.length > CONNECTIONS_MAX) {
      throw new ServiceError('INVALID_ARGUMENT', `${connections.length} console connections at once; at most ${CONNECTIONS_MAX} are accepted`);
    }
    const wanted = connections.map((connection) => columnsOf(connection, options.exclusive));
    const keys = new Set(wanted.map(keyOf));
    if (keys.size < wanted.length) throw new ServiceError('INVALID_ARGUMENT', 'a console connection is named twice');
    if (wanted.some(({ address, port }) => address !== null && port < 0)) throw new ServiceError('INVALID_ARGUMENT', 'a console that is dialled needs a port to dial');
    if (wanted.length === 0) return [];

    // The common case, a console opened again, writes nothing.
    const known = new Map((options.known ?? (await this.#rowsOf(wanted))).map((row) => [keyOf(row), row]));
    const changed = wanted.filter((each) => !isSame(each, known.get(keyOf(each))));
    for (const row of changed.length > 0 ? await this.#write(changed, options.at) : []) known.set(keyOf(row), row);
    return wanted.map((each) => {
      const row = known.get(keyOf(each));
      if (row === undefined) throw new ServiceError('INTERNAL', 'a console connection was not stored');
      return row;
    });
  }

  async find(id: number): Promise<StoredConnection | null> {
    const [found] = await this.#select(Prisma.sql`WHERE c.id = ${id}::bigint`);
    return found ?? null;
  }

  /** Whose console is dialled there, if that of an instance known here is. */
  async findByAddress(address: string, port: number): Promise<StoredConnection | null> {
    const [found] = await this.#select(Prisma.sql`WHERE c.address = ${address}::text AND c.port = ${port}::integer`);
    return found ?? null;
  }

  /** @throws ServiceError NOT_FOUND */
  async get(id: number): Promise<StoredConnection> {
    const found = await this.find(id);
    if (found === null) throw new ServiceError('NOT_FOUND', 'this console connection is gone; ask for the console again');
    return found;
  }

  listByInstance(instanceUuid: string): Promise<readonly StoredConnection[]> {
    return this.#select(Prisma.sql`WHERE c.instance_uuid = ${instanceUuid}::uuid ORDER BY c.id LIMIT ${CONNECTIONS_MAX * 4}::integer`);
  }

  /**
   * find, with the row locked until the transaction ends: who revokes the console waits, and then sees what this
   * transaction did. Only inside CellDb.transaction.
   */
  async lock(id: number): Promise<StoredConnection | null> {
    const [locked] = await this.#select(Prisma.sql`WHERE c.id = ${id}::bigint FOR NO KEY UPDATE OF c`);
    return locked ?? null;
  }

  /** The same for all of one type that an instance has, in the order of their ids. */
  lockForInstance(instanceUuid: string, consoleType: ConsoleType): Promise<readonly StoredConnection[]> {
    return this.#select(Prisma.sql`
      WHERE c.instance_uuid = ${instanceUuid}::uuid AND c.console_type = ${consoleType}::text ORDER BY c.id FOR NO KEY UPDATE OF c`);
  }

  /**
   * Holds the connection for somebody and one token of his, unless another holds it after `now`.
   * @returns false when it is held by another, or gone
   */
  async reserve(id: number, { by, tokenHash, until }: Reservation, now: Date): Promise<boolean> {
    const count = await this.#client.$executeRaw`
      UPDATE console_connections
      SET reserved_by = ${by}::text, reserved_token_hash = ${tokenHash}::text, reserved_token_until = ${until}::timestamp(3), reserved_until = ${until}::timestamp(3)
      WHERE id = ${id}::bigint AND (reserved_until IS NULL OR reserved_until <= ${now}::timestamp(3) OR reserved_by = ${by}::text)`;
    return count === 1;
  }

  /** @returns 1, or 0 when nobody held it */
  deleteReservation(id: number): Promise<number> {
    return this.#client.$executeRaw`
      UPDATE console_connections SET reserved_by = NULL, reserved_token_hash = NULL, reserved_until = NULL
      WHERE id = ${id}::bigint AND reserved_until IS NOT NULL`;
  }

  /** Consoles of other instances that are dialled where one of these is, on whichever host. */
  async listInPlaceOf(connections: readonly ConsoleConnection[]): Promise<readonly StoredConnection[]> {
    const places = connections.flatMap((connection) => {
      const { instanceUuid, address, port } = columnsOf(connection, false);
      return address === null ? [] : [{ address, port, instanceUuid }];
    });
    if (places.length === 0) return [];
    return this.#select(Prisma.sql`
      JOIN jsonb_to_recordset(${JSON.stringify(places)}::jsonb) AS p (address text, port integer, "instanceUuid" uuid)
        ON p.address = c.address AND p.port = c.port AND p."instanceUuid" <> c.instance_uuid
      ORDER BY c.id`);
  }

  /** Their tokens must be gone before: whoever connects locks a token first, then its connection. @returns how many rows went */
  async deleteAll(ids: readonly number[]): Promise<number> {
    if (ids.length === 0) return 0;
    return this.#delete(Prisma.sql`id = ANY(${[...ids]}::bigint[])`);
  }

  /** Their tokens go with them. `exceptIds`: what still is. @returns how many rows went */
  deleteForInstance(instanceUuid: string, exceptIds: readonly number[] = []): Promise<number> {
    return this.#delete(Prisma.sql`instance_uuid = ${instanceUuid}::uuid AND id <> ALL(${[...exceptIds]}::bigint[])`);
  }

  /** Removes at most `limit` of a host's connections that were made before `createdBefore`; their tokens go with them. */
  async deleteForHost(host: string, createdBefore: Date, limit: number): Promise<number> {
    return this.#client.$executeRaw`
      DELETE FROM console_connections WHERE id IN (
        SELECT id FROM console_connections WHERE host = ${host}::text AND created_at < ${createdBefore}::timestamp(3)
        LIMIT ${limit}::integer FOR UPDATE SKIP LOCKED)`;
  }

  /** In the order of their ids, in which others lock them. */
  #delete(which: Prisma.Sql): Promise<number> {
    return this.#client.$executeRaw`
      DELETE FROM console_connections WHERE id IN (SELECT id FROM console_connections WHERE ${which} ORDER BY id FOR UPDATE)`;
  }

  #rowsOf(wanted: readonly Columns[]): Promise<readonly StoredConnection[]> {
    return this.#select(Prisma.sql`WHERE c.instance_uuid = ANY(${[...new Set(wanted.map((each) => each.instanceUuid))]}::uuid[])`);
  }

  async #select(which: Prisma.Sql): Promise<readonly StoredConnection[]> {
    const rows = await this.#client.$queryRaw<readonly ConsoleConnectionRow[]>`SELECT ${CONNECTION_COLUMNS} FROM console_connections AS c ${which}`;
    return rows.map(connectionOfRow);
  }

  /** One statement, in the order of the unique key, so that two writers of the same rows never wait for each other in a ring. */
  async #write(changed: readonly Columns[], at: Date): Promise<readonly StoredConnection[]> {
    const rows = [...changed].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    const written = await this.#client.$queryRaw<readonly ConsoleConnectionRow[]>`
      INSERT INTO console_connections AS c (instance_uuid, host, address, port, console_type, options, exclusive, created_at)
      SELECT w."instanceUuid", w.host, w.address, w.port, w."consoleType", w.options, w.exclusive, ${at}::timestamp(3)
      FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) AS w
        ("instanceUuid" uuid, host text, address text, port integer, "consoleType" text, options jsonb, exclusive boolean)
      ON CONFLICT (instance_uuid, host, console_type, port) DO UPDATE
        SET address = excluded.address, options = excluded.options, exclusive = excluded.exclusive
      RETURNING ${CONNECTION_COLUMNS}`;
    return written.map(connectionOfRow);
  }
}

type Columns = Pick<StoredConnection, 'instanceUuid' | 'host' | 'address' | 'port' | 'consoleType' | 'options' | 'exclusive'>;

function columnsOf(connection: ConsoleConnection, exclusive: boolean): Columns {
  const { instanceUuid, host, port, consoleType, options } = connection;
  const address = options['transport'] === 'tcp' ? (options['address'] ?? host) : null;
  return { instanceUuid, host, address, port, consoleType, options, exclusive };
}

function keyOf(row: Pick<StoredConnection, 'instanceUuid' | 'host' | 'consoleType' | 'port'>): string {
  return JSON.stringify([row.instanceUuid.toLowerCase(), row.host, row.consoleType, row.port]);
}

function isSame(wanted: Columns, row: StoredConnection | undefined): boolean {
  if (row === undefined || row.exclusive !== wanted.exclusive || row.address !== wanted.address) return false;
  const names = Object.keys(wanted.options);
  return names.length === Object.keys(row.options).length && names.every((name) => row.options[name] === wanted.options[name]);
}

/** The object that travels: what is stored, with the token's fields filled in by who issues it. */
export function consoleConnectionOf(
  stored: Pick<StoredConnection, 'instanceUuid' | 'host' | 'port' | 'consoleType' | 'options'>,
  token: Pick<ConsoleConnection, 'tokenHash' | 'accessUrl' | 'expires'> = { tokenHash: null, accessUrl: null, expires: null },
): ConsoleConnection {
  const { instanceUuid, host, port, consoleType, options } = stored;
  return Object.freeze({ instanceUuid, host, port, consoleType, options, ...token });
}

/** Of what stands beside it in a joined row nothing is taken. */
export function connectionOfRow(row: ConsoleConnectionRow): StoredConnection {
  const { id, instanceUuid, host, address, port, consoleType, options, exclusive, reservedBy, reservedUntil, reservedTokenHash, reservedTokenUntil, createdAt } = row;
  return Object.freeze({
    ...{ id: Number(id), instanceUuid, host, address, port, exclusive, reservedBy, reservedUntil, createdAt },
    // The hash of another reservation is what an older consoleauth leaves behind when it reserves.
    reservedTokenHash: reservedTokenUntil?.getTime() === reservedUntil?.getTime() ? reservedTokenHash : null,
    consoleType: consoleType as ConsoleType,
    options: Object.freeze(options as Record<string, string>),
  });
}

/** console_connections: the consoles that instances have on their hosts, one row a port. Written by consoleauth. */
import type { ConsoleConnection, ConsoleType } from '@gatehouse/objects/console-connection';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { CellClient } from './cell-client.ts';
import type { ConsoleConnectionRow } from './generated/client.ts';

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

/** More ports than an instance can have; a longer list is refused. */
const CONNECTIONS_MAX = 256;

export class ConsoleConnectionsStore {
  readonly #client: CellClient;

  constructor(client: CellClient) {
    this.#client = client;
  }

  /**
   * The rows of these connections, in their order: made, brought up to date, or as they were. Reservations stay.
   * @throws ServiceError INVALID_ARGUMENT: more than 256, one named twice, or one that is dialled and has no port
   * @throws ServiceError ALREADY_EXISTS: an address and port that another instance's console has (see listInPlaceOf)
   * @throws ServiceError FAILED_PRECONDITION: no such instance
   */
  async upsertAll(
    connections: readonly ConsoleConnection[],
    options: { readonly exclusive: boolean; readonly at: Date },
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
    const known = new Map((await this.#rowsOf(wanted)).map((row) => [keyOf(row), row]));
    const changed = wanted.filter((each) => !isSame(each, known.get(keyOf(each))));
    for (const row of changed.length > 0 ? await this.#write(changed, options.at) : []) known.set(keyOf(row), row);
    return wanted.map((each) => {
      const row = known.get(keyOf(each));
      if (row === undefined) throw new ServiceError('INTERNAL', 'a console connection was not stored');
      return row;
    });
  }

  async find(id: number): Promise<StoredConnection | null> {
    const row = await this.#client.consoleConnectionRow.findUnique({ where: { id } });
    return row && connectionOfRow(row);
  }

  /** Whose console is dialled there, if that of an instance known here is. */
  async findByAddress(address: string, port: number): Promise<StoredConnection | null> {
    const row = await this.#client.consoleConnectionRow.findFirst({ where: { address, port } });
    return row && connectionOfRow(row);
  }

  /** @throws ServiceError NOT_FOUND */
  async get(id: number): Promise<StoredConnection> {
    const found = await this.find(id);
    if (found === null) throw new ServiceError('NOT_FOUND', 'this console connection is gone; ask for the console again');
    return found;
  }

  async listByInstance(instanceUuid: string): Promise<readonly StoredConnection[]> {
    const rows = await this.#client.consoleConnectionRow.findMany({
      where: { instanceUuid },
      orderBy: { id: 'asc' },
      take: CONNECTIONS_MAX * 4,
    });
    return rows.map(connectionOfRow);
  }

  /**
   * find, with the row locked until the transaction ends: who revokes the console waits, and then sees what this
   * transaction did. Only inside CellDb.transaction.
   */
  async lock(id: number): Promise<StoredConnection | null> {
    const [locked] = await this.lockAll([id]);
    return locked ?? null;
  }

  /** The same for several, in the order of their ids; those that are gone are left out. */
  async lockAll(ids: readonly number[]): Promise<readonly StoredConnection[]> {
    const wanted = [...ids];
    await this.#client.$queryRaw`SELECT 1 AS locked FROM console_connections WHERE id = ANY(${wanted}::bigint[]) ORDER BY id FOR NO KEY UPDATE`;
    const rows = await this.#client.consoleConnectionRow.findMany({ where: { id: { in: wanted } }, orderBy: { id: 'asc' } });
    return rows.map(connectionOfRow);
  }

  /**
   * Holds the connection for somebody and one token of his, unless another holds it after `now`.
   * @returns false when it is held by another, or gone
   */
  async reserve(id: number, { by, tokenHash, until }: Reservation, now: Date): Promise<boolean> {
    const { count } = await this.#client.consoleConnectionRow.updateMany({
      where: { id, OR: [{ reservedUntil: null }, { reservedUntil: { lte: now } }, ...(by === null ? [] : [{ reservedBy: by }])] },
      data: { reservedBy: by, reservedTokenHash: tokenHash, reservedTokenUntil: until, reservedUntil: until },
    });
    return count === 1;
  }

  /** @returns 1, or 0 when nobody held it */
  async deleteReservation(id: number): Promise<number> {
    const { count } = await this.#client.consoleConnectionRow.updateMany({
      where: { id, reservedUntil: { not: null } },
      data: { reservedBy: null, reservedTokenHash: null, reservedUntil: null },
    });
    return count;
  }

  /** Consoles of other instances that are dialled where one of these is, on whichever host. */
  async listInPlaceOf(connections: readonly ConsoleConnection[]): Promise<readonly StoredConnection[]> {
    const places = connections.flatMap((connection) => {
      const { instanceUuid, address, port } = columnsOf(connection, false);
      return address === null ? [] : [{ address, port, instanceUuid: { not: instanceUuid } }];
    });
    if (places.length === 0) return [];
    const rows = await this.#client.consoleConnectionRow.findMany({ where: { OR: places }, orderBy: { id: 'asc' } });
    return rows.map(connectionOfRow);
  }

  /** Their tokens must be gone before: whoever connects locks a token first, then its connection. @returns how many rows went */
  async deleteAll(ids: readonly number[]): Promise<number> {
    if (ids.length === 0) return 0;
    return (await this.#client.consoleConnectionRow.deleteMany({ where: { id: { in: [...ids] } } })).count;
  }

  /** Their tokens go with them. `exceptIds`: what still is. @returns how many rows went */
  async deleteForInstance(instanceUuid: string, exceptIds: readonly number[] = []): Promise<number> {
    const { count } = await this.#client.consoleConnectionRow.deleteMany({
      where: { instanceUuid, ...(exceptIds.length > 0 ? { id: { notIn: [...exceptIds] } } : {}) },
    });
    return count;
  }

  /** Removes at most `limit` of a host's connections that were made before `createdBefore`; their tokens go with them. */
  async deleteForHost(host: string, createdBefore: Date, limit: number): Promise<number> {
    return this.#client.$executeRaw`
      DELETE FROM console_connections WHERE id IN (
        SELECT id FROM console_connections WHERE host = ${host}::text AND created_at < ${createdBefore}::timestamp(3)
        LIMIT ${limit}::integer FOR UPDATE SKIP LOCKED)`;
  }

  async #rowsOf(wanted: readonly Columns[]): Promise<readonly StoredConnection[]> {
    const rows = await this.#client.consoleConnectionRow.findMany({
      where: { instanceUuid: { in: [...new Set(wanted.map((each) => each.instanceUuid))] } },
    });
    return rows.map(connectionOfRow);
  }

  /** One statement, in the order of the unique key, so that two writers of the same rows never wait for each other in a ring. */
  async #write(changed: readonly Columns[], at: Date): Promise<readonly StoredConnection[]> {
    const rows = [...changed].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    const written = await this.#client.$queryRaw<readonly { id: bigint }[]>`
      INSERT INTO console_connections (instance_uuid, host, address, port, console_type, options, exclusive, created_at)
      SELECT c."instanceUuid", c.host, c.address, c.port, c."consoleType", c.options, c.exclusive, ${at}::timestamp(3)
      FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) AS c
        ("instanceUuid" uuid, host text, address text, port integer, "consoleType" text, options jsonb, exclusive boolean)
      ON CONFLICT (instance_uuid, host, console_type, port) DO UPDATE
        SET address = excluded.address, options = excluded.options, exclusive = excluded.exclusive
      RETURNING id`;
    const stored = await this.#client.consoleConnectionRow.findMany({ where: { id: { in: written.map(({ id }) => id) } } });
    return stored.map(connectionOfRow);
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

export function connectionOfRow(row: ConsoleConnectionRow): StoredConnection {
  const { id, options, consoleType, reservedTokenHash, reservedTokenUntil, ...rest } = row;
  return Object.freeze({
    ...rest,
    id: Number(id),
    // The hash of another reservation is what an older consoleauth leaves behind when it reserves.
    reservedTokenHash: reservedTokenUntil?.getTime() === rest.reservedUntil?.getTime() ? reservedTokenHash : null,
    consoleType: consoleType as ConsoleType,
    options: Object.freeze(options as Record<string, string>),
  });
}

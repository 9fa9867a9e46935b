/**
 * console_sessions: each use of a console by a client. Open while endedAt is null. How sessions begin and end stands in
 * console-session-claims-store.ts and console-session-ends-store.ts. Written by consoleauth.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import { CONNECTION_COLUMNS, connectionOfRow } from './console-connections-store.ts';
import type { StoredConnection } from './console-connections-store.ts';
import { IS_OPEN, SESSION_COLUMNS, sessionOfRow, whereOf } from './console-session-row.ts';
import type { SessionFilter, SessionViewer, StoredSession } from './console-session-row.ts';
import { Prisma } from './generated/client.ts';
import type { ConsoleConnectionRow, ConsoleSessionRow } from './generated/client.ts';
import type { SqlClient } from './sql-client.ts';

export interface SessionUse {
  readonly id: string;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Which connect of it is meant; unset: the one that the renewing proxy carries. */
  readonly claim?: string | undefined;
}

/** What a proxy must know of a session it asked to renew. */
export interface Renewal {
  readonly id: string;
  /** False: it has ended, for `reason`, or another connect carries it on; a session that is not known is not listed. */
  readonly isOpen: boolean;
  /** Why it ended, or why it must end now; null: carry on. */
  readonly reason: string | null;
}

export interface WatchedSession {
  readonly session: StoredSession;
  /** Null where the instance is not known here. */
  readonly instanceProjectId: string | null;
}

export type SessionState = 'open' | 'ended' | 'all';

export interface SessionsPage {
  readonly state: SessionState;
  readonly limit: number;
  /** The last session of the page before. */
  readonly marker?: string | undefined;
}

const STATE_CONDITIONS: Readonly<Record<SessionState, Prisma.Sql>> = {
  open: Prisma.sql`AND ended_at IS NULL`,
  ended: Prisma.sql`AND ended_at IS NOT NULL`,
  all: Prisma.empty,
};

/** Sessions in one renewal or one list, unless a smaller limit is given. */
const SESSIONS_MAX = 10_000;

export class ConsoleSessionsStore {
  readonly #client: SqlClient;

  constructor(client: SqlClient) {
    this.#client = client;
  }

  async find(id: string, viewer: SessionViewer = {}): Promise<StoredSession | null> {
    const { viewerUserId, viewerProjectId } = viewer;
    const [row] = await this.#client.$queryRaw<readonly ConsoleSessionRow[]>`
      SELECT ${SESSION_COLUMNS} FROM console_sessions WHERE ${whereOf({ ids: [id], viewerUserId, viewerProjectId })}`;
    return row === undefined ? null : sessionOfRow(row);
  }

  /** @throws ServiceError NOT_FOUND */
  async get(id: string, viewer: SessionViewer = {}): Promise<StoredSession> {
    const found = await this.find(id, viewer);
    if (found === null) throw new ServiceError('NOT_FOUND', `there is no console session ${id}`);
    return found;
  }

  /** The open exclusive session of a connection, or else its oldest open one. */
  async findOpenForConnection({ id, instanceUuid }: Pick<StoredConnection, 'id' | 'instanceUuid'>): Promise<StoredSession | null> {
    // Of those of its instance, which have an index; BETWEEN and the first order leave the planner no other: see console-openings-store.ts.
    const [row] = await this.#client.$queryRaw<readonly ConsoleSessionRow[]>`
      SELECT ${SESSION_COLUMNS} FROM (
        SELECT * FROM console_sessions
        WHERE ended_at IS NULL AND instance_uuid BETWEEN ${instanceUuid}::uuid AND ${instanceUuid}::uuid ORDER BY instance_uuid) AS open
      WHERE connection_id = ${id}::bigint ORDER BY exclusive DESC, started_at LIMIT 1`;
    return row === undefined ? null : sessionOfRow(row);
  }

  /** The same for a console that has no connection here, only an address. */
  async findOpenForAddress(host: string, port: number): Promise<StoredSession | null> {
    const [row] = await this.#client.$queryRaw<readonly ConsoleSessionRow[]>`
      SELECT ${SESSION_COLUMNS} FROM console_sessions
      WHERE connection_id IS NULL AND host = ${host}::text AND port = ${port}::integer AND ended_at IS NULL ORDER BY exclusive DESC, started_at LIMIT 1`;
    return row === undefined ? null : sessionOfRow(row);
  }

  /** Oldest first; at most `limit` (10,000 unless given). */
  async listOpen(filter: SessionFilter, limit = SESSIONS_MAX): Promise<readonly StoredSession[]> {
    const rows = await this.#client.$queryRaw<readonly ConsoleSessionRow[]>`
      SELECT ${SESSION_COLUMNS} FROM console_sessions WHERE ${whereOf(filter)} AND ended_at IS NULL
      ORDER BY started_at, id LIMIT ${limit}::integer`;
    return rows.map(sessionOfRow);
  }

  async listOpenByInstance(instanceUuid: string): Promise<readonly StoredSession[]> {
    return this.listOpen({ instanceUuid });
  }

  /** Those of these that are open. */
  async listOpenIds(ids: readonly string[]): Promise<readonly string[]> {
    const rows = await this.#client.$queryRaw<readonly { readonly id: string }[]>`
      SELECT id::text AS id FROM console_sessions WHERE ${whereOf({ ids })} AND ${IS_OPEN}`;
    return rows.map(({ id }) => id);
  }

  /** Each of these that is known, with the project of its instance. */
  async listWatched(ids: readonly string[]): Promise<readonly WatchedSession[]> {
    const rows = await this.#client.$queryRaw<readonly (ConsoleSessionRow & { readonly instanceProjectId: string | null })[]>`
      SELECT ${SESSION_COLUMNS}, (SELECT i.project_id FROM instances AS i WHERE i.uuid = console_sessions.instance_uuid) AS "instanceProjectId"
      FROM console_sessions WHERE ${whereOf({ ids })}`;
    return rows.map(({ instanceProjectId, ...row }) => ({ session: sessionOfRow(row), instanceProjectId }));
  }

  async countOpen(filter: SessionFilter): Promise<number> {
    const [row] = await this.#client.$queryRaw<readonly { readonly count: number }[]>`
      SELECT count(*)::integer AS count FROM console_sessions WHERE ${whereOf(filter)} AND ended_at IS NULL`;
    return row?.count ?? 0;
  }

  /**
   * At most `limit`, the newest first, those that began before the session `marker` where one is given.
   * @throws ServiceError INVALID_ARGUMENT: the marker is not among those that the viewer sees
   */
  async list(filter: SessionFilter, page: SessionsPage): Promise<readonly StoredSession[]> {
    const { state, limit, marker } = page;
    const from = marker === undefined ? null : await this.find(marker, filter);
    if (marker !== undefined && from === null) {
      throw new ServiceError('INVALID_ARGUMENT', `marker: there is no console session ${marker} (any more); begin again without a marker`);
    }
    const before = from === null ? Prisma.empty : Prisma.sql`AND (started_at, id) < (${from.startedAt}::timestamp(3), ${from.id}::uuid)`;
    const rows = await this.#client.$queryRaw<readonly ConsoleSessionRow[]>`
      SELECT ${SESSION_COLUMNS} FROM console_sessions WHERE ${whereOf(filter)} ${STATE_CONDITIONS[state]} ${before}
      ORDER BY started_at DESC, id DESC LIMIT ${limit}::integer`;
    return rows.map(sessionOfRow);
  }

  /**
   * Moves the leases of the open sessions that `proxy` carries, and their byte counts, which only grow. Those that are to
   * end keep the lease that they have: whoever does not end them by then has been told often enough.
   *
   * Planned anew each time, inside CellDb.transaction: a plan that was made while few sessions were known would compare each that is asked
   * for with each that is known. They are locked one after another by their ids, in an order that all share.
   * @throws ServiceError INVALID_ARGUMENT: more than 10,000 at once
   */
  async renew(proxy: string, uses: readonly SessionUse[], leaseExpires: Date): Promise<readonly Renewal[]> {
    if (uses.length > SESSIONS_MAX) throw new ServiceError('INVALID_ARGUMENT', `at most ${SESSIONS_MAX} sessions are renewed at once`);
    if (uses.length === 0) return [];
    const valuesOf = (name: keyof SessionUse): readonly unknown[] => uses.map((use) => use[name] ?? null);
    const isPlanned = this.#client.$queryRaw`SELECT set_config('plan_cache_mode', 'force_custom_plan', true)`;
    const carried = this.#client.$queryRaw<readonly { id: string; reason: string | null }[]>`
      WITH carried AS (
        SELECT s.id, r."bytesIn", r."bytesOut"
        FROM (
          SELECT * FROM unnest(${valuesOf('id')}::uuid[], ${valuesOf('claim')}::uuid[], ${valuesOf('bytesIn')}::bigint[], ${valuesOf('bytesOut')}::bigint[])
            AS r (id, claim, "bytesIn", "bytesOut") ORDER BY id
        ) AS r CROSS JOIN LATERAL (
          SELECT id FROM console_sessions WHERE id = r.id AND coalesce(r.claim = claim, true) AND proxy = ${proxy} AND ${IS_OPEN} FOR UPDATE
        ) AS s
      )
      UPDATE console_sessions AS s
      SET lease_expires = CASE WHEN s.ending_at IS NULL THEN ${leaseExpires}::timestamp(3) ELSE s.lease_expires END,
        bytes_in = greatest(s.bytes_in, c."bytesIn"), bytes_out = greatest(s.bytes_out, c."bytesOut")
      FROM carried AS c WHERE s.id = c.id
      RETURNING s.id::text AS id, s.ending_reason AS reason`;
    const [, renewed] = await Promise.all([isPlanned, carried]);
    const open = new Set(renewed.map(({ id }) => id));
    const missing = uses.map(({ id }) => id.toLowerCase()).filter((id) => !open.has(id));
    const others = missing.length === 0 ? [] : await this.#client.$queryRaw<readonly Pick<ConsoleSessionRow, 'id' | 'endedAt' | 'endReason'>[]>`
      SELECT id::text AS id, ended_at AS "endedAt", end_reason AS "endReason" FROM console_sessions WHERE ${whereOf({ ids: missing })}`;
    return [
      ...renewed.map(({ id, reason }) => ({ id, isOpen: true, reason })),
      ...others.map(({ id, endedAt, endReason }) => ({ id, isOpen: false, reason: endedAt === null ? 'superseded' : endReason })),
    ];
  }

  /** Gives an open session a new attach secret, for its next Attach. @returns false when it is not open */
  async replaceAttachSecret(id: string, attachSecretHash: string): Promise<boolean> {
    return (await this.#client.$executeRaw`
      UPDATE console_sessions SET attach_secret_hash = ${attachSecretHash}::text WHERE id = ${id}::uuid AND ${IS_OPEN}`) === 1;
  }

  /**
   * Spends the attach secret.
   * @returns the console that it opens; null when it is wrong, spent, of another host, the session is not open or is to end, or
   * its console was revoked
   */
  async useAttachSecret(id: string, attachSecretHash: string, host: string): Promise<StoredConnection | null> {
    const [row] = await this.#client.$queryRaw<readonly ConsoleConnectionRow[]>`
      WITH used AS (
        UPDATE console_sessions SET attach_secret_hash = NULL
        WHERE id = ${id}::uuid AND host = ${host}::text AND attach_secret_hash = ${attachSecretHash}::text AND ${IS_OPEN}
        RETURNING connection_id, ending_at
      )
      SELECT ${CONNECTION_COLUMNS} FROM used JOIN console_connections AS c ON c.id = used.connection_id WHERE used.ending_at IS NULL`;
    return row === undefined ? null : connectionOfRow(row);
  }
}

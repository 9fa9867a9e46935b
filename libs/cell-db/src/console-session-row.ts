/** A console session as it is stored, read and named: the one place where its columns and its object meet. */
import type { Access, ConsoleSession } from '@gatehouse/objects/console-session';
import type { ConsoleType } from '@gatehouse/objects/console-connection';
import { Prisma } from './generated/client.ts';
import type { ConsoleSessionRow } from './generated/client.ts';

export interface NewSession {
  readonly id: string;
  /** Which connect of the session counts, by the id that its proxy chose for it; at first the session's own. */
  readonly claim: string | null;
  readonly connectionId: number | null;
  readonly exclusive: boolean;
  readonly instanceUuid: string;
  readonly host: string;
  readonly port: number;
  readonly consoleType: ConsoleType;
  readonly proxy: string;
  readonly clientAddress: string;
  readonly userId: string | null;
  readonly projectId: string | null;
  readonly access: Access;
  /** Hex digests, never the secrets. */
  readonly attachSecretHash: string | null;
  readonly resumeHash: string | null;
  readonly startedAt: Date;
  readonly leaseExpires: Date;
}

export interface StoredSession extends NewSession {
  /** Somebody asked for its end, for this reason; it has not ended yet. */
  readonly endingAt: Date | null;
  readonly endingReason: string | null;
  readonly endedAt: Date | null;
  readonly endReason: string | null;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** For whom it is asked: sessions of this user, and those on instances of this project. */
export interface SessionViewer {
  readonly viewerUserId?: string | undefined;
  readonly viewerProjectId?: string | undefined;
}

/** Those that match every word that is said. */
export interface SessionFilter extends SessionViewer {
  readonly ids?: readonly string[] | undefined;
  readonly connectionId?: number | undefined;
  readonly instanceUuid?: string | undefined;
  readonly host?: string | undefined;
  readonly proxy?: string | undefined;
  readonly userId?: string | undefined;
  readonly projectId?: string | undefined;
  readonly consoleType?: ConsoleType | undefined;
}

/** What a statement of our own selects so that `sessionOfRow` can read it. */
export const SESSION_COLUMNS = Prisma.raw(`
  id::text AS id, connection_id AS "connectionId", exclusive, instance_uuid::text AS "instanceUuid", host, port, console_type AS "consoleType",
  proxy, client_address AS "clientAddress", user_id AS "userId", project_id AS "projectId", access, attach_secret_hash AS "attachSecretHash",
  resume_hash AS "resumeHash", started_at AS "startedAt", lease_expires AS "leaseExpires", ending_at AS "endingAt", ending_reason AS "endingReason",
  ended_at AS "endedAt", end_reason AS "endReason", bytes_in AS "bytesIn", bytes_out AS "bytesOut", claim::text AS claim`);

/**
 * That a session which is named by its id is open. The same as `ended_at IS NULL`, but no index of open sessions answers it: while few
 * are open the planner takes reading such an index whole for as cheap as looking one id up, and a prepared statement keeps that plan
 * when thousands are.
 */
export const IS_OPEN = Prisma.raw("coalesce(ended_at, 'infinity') = 'infinity'");

/** The condition of a filter, for a statement over console_sessions. */
export function whereOf(filter: SessionFilter): Prisma.Sql {
  const { ids, connectionId, instanceUuid, host, proxy, userId, projectId, consoleType } = filter;
  const words = [
    ids && Prisma.sql`id = ANY(${[...ids]}::uuid[])`,
    connectionId !== undefined && Prisma.sql`connection_id = ${connectionId}::bigint`,
    instanceUuid !== undefined && Prisma.sql`instance_uuid = ${instanceUuid}::uuid`,
    host !== undefined && Prisma.sql`host = ${host}::text`,
    proxy !== undefined && Prisma.sql`proxy = ${proxy}::text`,
    userId !== undefined && Prisma.sql`user_id = ${userId}::text`,
    projectId !== undefined && Prisma.sql`project_id = ${projectId}::text`,
    consoleType !== undefined && Prisma.sql`console_type = ${consoleType}::text`,
    whereSeen(filter),
  ];
  return Prisma.join([Prisma.sql`true`, ...words.filter((word) => word instanceof Prisma.Sql)], ' AND ');
}

function whereSeen({ viewerUserId: user, viewerProjectId: project }: SessionViewer): Prisma.Sql | null {
  if (user === undefined && project === undefined) return null;
  return Prisma.sql`(user_id = ${user ?? null}::text
    OR instance_uuid IN (SELECT uuid FROM instances WHERE project_id = ${project ?? null}::text))`;
}

/** The object that travels. */
export function consoleSessionOf(stored: StoredSession): ConsoleSession {
  const { id, instanceUuid, host, port, consoleType, proxy, clientAddress, userId, projectId, access, startedAt, leaseExpires, endedAt, endReason, bytesIn, bytesOut, endingAt, endingReason } = stored;
  return Object.freeze({
    id, instanceUuid, host, port, consoleType, proxy, clientAddress, userId, projectId, access,
    startedAt, leaseExpires, endedAt, endReason, bytesIn, bytesOut, endingAt, endingReason,
  });
}

/** As it is stored when it begins. */
export function openSessionOf(session: NewSession): StoredSession {
  return Object.freeze({ ...session, endingAt: null, endingReason: null, endedAt: null, endReason: null, bytesIn: 0, bytesOut: 0 });
}

export function sessionOfRow(row: ConsoleSessionRow): StoredSession {
  return Object.freeze({
    ...row,
    connectionId: row.connectionId === null ? null : Number(row.connectionId),
    consoleType: row.consoleType as ConsoleType,
    access: row.access as Access,
    bytesIn: Number(row.bytesIn),
    bytesOut: Number(row.bytesOut),
  });
}

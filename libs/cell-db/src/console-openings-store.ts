/**
 * What must be known before a console is opened: its machine, the agent of its host, and how many consoles are open already, counted
 * behind a lock for each count. It is asked for along with the locks of the token or of the session, by whoever knows no more
 * than the token's hash: so a claim costs two messages to the database. Nothing is written.
 */
import { Prisma } from './generated/client.ts';
import { IS_THERE } from './instance-heads-store.ts';
import type { InstanceHead } from './instance-heads-store.ts';
import type { StoredService } from './services-store.ts';
import type { SqlClient } from './sql-client.ts';

/** Who opens what: as a stored token says, or as its caller knows. */
export type Opener =
  | { readonly tokenHash: string }
  | { readonly instanceUuid: string; readonly host: string; readonly userId: string | null };

/** Of whom open consoles are counted, in the order in which the counts are locked: the same for all, so that no two wait for each other. */
export const COUNTED = ['instance', 'user', 'proxy'] as const;
export type Counted = (typeof COUNTED)[number];

export interface OpeningQuestion {
  readonly proxy: string;
  /** Up to which number is counted; where there is none, nothing is. */
  readonly upTo: Readonly<Partial<Record<Counted, number>>>;
  /** Sessions whose lease ends later than this are live, and count. */
  readonly liveAfter: Date;
  /** Agents that were seen at or after this are there. */
  readonly agentsSince: Date;
}

export interface Opening {
  /** Null: none is known, or it is deleted. */
  readonly instance: Pick<InstanceHead, 'displayName'> | null;
  readonly agent: Pick<StoredService, 'endpoint'> | null;
  /** 0 for nobody, too. */
  readonly counts: Readonly<Record<Counted, number>>;
}

/** Of an unknown token, for example. */
export const NOTHING_KNOWN: Opening = { instance: null, agent: null, counts: { instance: 0, user: 0, proxy: 0 } };

interface OpeningRow extends Record<Counted, number> {
  readonly isKnown: boolean;
  readonly displayName: string | null;
  readonly hasAgent: boolean;
  readonly endpoint: string | null;
}

/** Whose sessions they are: a column of the sessions, and the opener's value. */
const OWNERS: Readonly<Record<Counted, { readonly column: Prisma.Sql; readonly name: Prisma.Sql }>> = {
  instance: { column: Prisma.raw('instance_uuid'), name: Prisma.raw('o.instance_uuid') },
  user: { column: Prisma.raw('user_id'), name: Prisma.raw('o.user_id') },
  proxy: { column: Prisma.raw('proxy'), name: Prisma.raw('o.proxy') },
};

export class ConsoleOpeningsStore {
  readonly #client: SqlClient;

  constructor(client: SqlClient) {
    this.#client = client;
  }

  /** Only inside a transaction that then makes the session: who counts for one of the same waits until it ends. */
  async look(opener: Opener, question: OpeningQuestion): Promise<Opening> {
    const from = openerOf(opener, question.proxy);
    // Two statements, which travel together: the counts are taken when the locks are held.
    const [, row] = await Promise.all([this.#lockCounts(from, question), this.#read(from, question)]);
    if (row === undefined) return NOTHING_KNOWN;
    const { isKnown, displayName, hasAgent, endpoint, instance, user, proxy } = row;
    return { instance: isKnown ? { displayName } : null, agent: hasAgent ? { endpoint } : null, counts: { instance, user, proxy } };
  }

  async #lockCounts(from: Prisma.Sql, { upTo }: OpeningQuestion): Promise<void> {
    const asked = COUNTED.filter((whose) => upTo[whose] !== undefined);
    if (asked.length === 0) return;
    const names = asked.map((whose, place) => Prisma.sql`(${Prisma.raw(`${place}, '${whose}'`)}, ${OWNERS[whose].name}::text)`);
    await this.#client.$queryRaw`
      SELECT pg_advisory_xact_lock(hashtextextended(w.counted || ' ' || w.name, 4409))::text AS locked
      FROM ${from} AS o CROSS JOIN LATERAL (VALUES ${Prisma.join(names)}) AS w (place, counted, name) WHERE w.name IS NOT NULL ORDER BY w.place`;
  }

  async #read(from: Prisma.Sql, question: OpeningQuestion): Promise<OpeningRow | undefined> {
    const [row] = await this.#client.$queryRaw<readonly OpeningRow[]>`
      SELECT i.uuid IS NOT NULL AS "isKnown", i.display_name AS "displayName", a.host IS NOT NULL AS "hasAgent", a.endpoint,
        ${countOf('instance', question)} AS instance, ${countOf('user', question)} AS user, ${countOf('proxy', question)} AS proxy
      FROM ${from} AS o
        LEFT JOIN instances AS i ON i.uuid = o.instance_uuid AND ${IS_THERE}
        LEFT JOIN LATERAL (
          SELECT s.host, s.endpoint FROM services AS s
          WHERE s.host = o.host AND s.topic = 'compute' AND s.last_seen_at >= ${question.agentsSince}::timestamp(3)
          ORDER BY s.last_seen_at DESC LIMIT 1) AS a ON true`;
    return row;
  }
}

function openerOf(opener: Opener, proxy: string): Prisma.Sql {
  if ('tokenHash' in opener) {
    return Prisma.sql`(SELECT instance_uuid, host, user_id, ${proxy}::text AS proxy FROM console_tokens WHERE token_hash = ${opener.tokenHash})`;
  }
  const { instanceUuid, host, userId } = opener;
  return Prisma.sql`(SELECT ${instanceUuid}::uuid AS instance_uuid, ${host}::text AS host, ${userId}::text AS user_id, ${proxy}::text AS proxy)`;
}

/**
 * BETWEEN and the order say what `=` would, and that the index of open sessions over this column is meant: the others would have to sort.
 * With `=` the planner takes whichever while few are open, also one that is then read whole, and a prepared statement keeps that plan.
 */
function countOf(whose: Counted, { upTo, liveAfter }: OpeningQuestion): Prisma.Sql {
  const countMax = upTo[whose];
  if (countMax === undefined) return Prisma.raw('0');
  const { column, name } = OWNERS[whose];
  return Prisma.sql`(
    SELECT count(*)::integer FROM (
      SELECT FROM console_sessions
      WHERE ended_at IS NULL AND lease_expires > ${liveAfter}::timestamp(3) AND ${column} BETWEEN ${name} AND ${name}
      ORDER BY ${column} LIMIT ${countMax}::integer) AS live)`;
}

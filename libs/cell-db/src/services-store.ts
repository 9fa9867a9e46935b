/** services: which agents and proxies are there, as each last reported itself. Written by consoleauth. */
import { Prisma } from './generated/client.ts';
import type { SqlClient } from './sql-client.ts';

export interface StoredService {
  /** gatehouse-compute-agent, gatehouse-console-proxy, ... */
  readonly binary: string;
  readonly host: string;
  readonly topic: string;
  readonly version: string;
  /** host:port of an agent's console stream. */
  readonly endpoint: string | null;
  readonly lastSeenAt: Date;
}

const SERVICE_COLUMNS = Prisma.raw('"binary", host, topic, version, endpoint, last_seen_at AS "lastSeenAt"');

/** Services in one list. */
const SERVICES_MAX = 10_000;

export class ServicesStore {
  readonly #client: SqlClient;

  constructor(client: SqlClient) {
    this.#client = client;
  }

  /** Inserts or replaces the row of this binary on this host; a report older than what is known changes nothing. */
  async report(service: StoredService): Promise<void> {
    const { binary, host, topic, version, endpoint, lastSeenAt } = service;
    await this.#client.$executeRaw`
      INSERT INTO services ("binary", host, topic, version, endpoint, last_seen_at)
      VALUES (${binary}, ${host}, ${topic}, ${version}, ${endpoint}, ${lastSeenAt}::timestamp(3))
      ON CONFLICT ("binary", host) DO UPDATE
        SET topic = excluded.topic, version = excluded.version, endpoint = excluded.endpoint, last_seen_at = excluded.last_seen_at
        WHERE services.last_seen_at <= excluded.last_seen_at`;
  }

  /** All of them, or of one topic; by topic and host. */
  list(topic?: string): Promise<readonly StoredService[]> {
    const which = topic === undefined ? Prisma.empty : Prisma.sql`WHERE topic = ${topic}::text`;
    return this.#select(Prisma.sql`${which} ORDER BY topic, host LIMIT ${SERVICES_MAX}::integer`);
  }

  /** Those of a topic seen at or after `since`, by host. */
  listLive(topic: string, since: Date): Promise<readonly StoredService[]> {
    return this.#select(Prisma.sql`WHERE topic = ${topic}::text AND last_seen_at >= ${since}::timestamp(3) ORDER BY host LIMIT ${SERVICES_MAX}::integer`);
  }

  /** The service of that topic on that host, if it was seen at or after `since`. */
  async findLive(topic: string, host: string, since: Date): Promise<StoredService | null> {
    const [found] = await this.#select(Prisma.sql`
      WHERE host = ${host}::text AND topic = ${topic}::text AND last_seen_at >= ${since}::timestamp(3) ORDER BY last_seen_at DESC LIMIT 1`);
    return found ?? null;
  }

  /** The versions that services seen at or after `since` reported, each once for its topic. */
  listLiveVersions(since: Date): Promise<readonly { readonly topic: string; readonly version: string }[]> {
    return this.#client.$queryRaw`
      SELECT topic, version FROM services WHERE last_seen_at >= ${since}::timestamp(3)
      GROUP BY topic, version ORDER BY topic, version LIMIT ${SERVICES_MAX}::integer`;
  }

  /** Hosts that console tokens name and on which no service of that topic was seen at or after `since`. */
  listHostsOfTokensWithout(topic: string, since: Date): Promise<readonly string[]> {
    return this.#hostsWithout(Prisma.raw('console_tokens'), topic, since);
  }

  /** Hosts of console connections, likewise. */
  listHostsOfConnectionsWithout(topic: string, since: Date): Promise<readonly string[]> {
    return this.#hostsWithout(Prisma.raw('console_connections'), topic, since);
  }

  /** Forgets those last seen before `before`. */
  deleteUnseen(before: Date): Promise<number> {
    return this.#client.$executeRaw`DELETE FROM services WHERE last_seen_at < ${before}::timestamp(3)`;
  }

  async #select(which: Prisma.Sql): Promise<readonly StoredService[]> {
    const rows = await this.#client.$queryRaw<readonly StoredService[]>`SELECT ${SERVICE_COLUMNS} FROM services ${which}`;
    return rows.map((row) => Object.freeze(row));
  }

  /** From each host's first row to the next host's: the work is that of the hosts, however many rows they have. */
  async #hostsWithout(table: Prisma.Sql, topic: string, since: Date): Promise<readonly string[]> {
    const rows = await this.#client.$queryRaw<readonly { readonly host: string }[]>`
      WITH RECURSIVE hosts AS (
        SELECT min(host) AS host FROM ${table}
        UNION ALL
        SELECT (SELECT min(host) FROM ${table} WHERE host > hosts.host) FROM hosts WHERE hosts.host IS NOT NULL
      )
      SELECT host FROM hosts
      WHERE host IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM services AS s WHERE s.topic = ${topic}::text AND s.host = hosts.host AND s.last_seen_at >= ${since}::timestamp(3))
      LIMIT ${SERVICES_MAX}::integer`;
    return rows.map(({ host }) => host);
  }
}

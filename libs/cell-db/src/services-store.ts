/** services: which agents and proxies are there, as each last reported itself. Written by consoleauth. */
import type { CellClient } from './cell-client.ts';
import { Prisma } from './generated/client.ts';

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

/** Services in one list. */
const SERVICES_MAX = 10_000;

export class ServicesStore {
  readonly #client: CellClient;

  constructor(client: CellClient) {
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
  async list(topic?: string): Promise<readonly StoredService[]> {
    const rows = await this.#client.serviceRow.findMany({
      where: topic === undefined ? {} : { topic },
      orderBy: [{ topic: 'asc' }, { host: 'asc' }],
      take: SERVICES_MAX,
    });
    return rows.map((row) => Object.freeze(row));
  }

  /** Those of a topic seen at or after `since`, by host. */
  async listLive(topic: string, since: Date): Promise<readonly StoredService[]> {
    const rows = await this.#client.serviceRow.findMany({
      where: { topic, lastSeenAt: { gte: since } },
      orderBy: { host: 'asc' },
      take: SERVICES_MAX,
    });
    return rows.map((row) => Object.freeze(row));
  }

  /** The service of that topic on that host, if it was seen at or after `since`. */
  async findLive(topic: string, host: string, since: Date): Promise<StoredService | null> {
    const row = await this.#client.serviceRow.findFirst({
      where: { topic, host, lastSeenAt: { gte: since } },
      orderBy: { lastSeenAt: 'desc' },
    });
    return row && Object.freeze(row);
  }

  /** The versions that services seen at or after `since` reported, each once for its topic. */
  async listLiveVersions(since: Date): Promise<readonly { readonly topic: string; readonly version: string }[]> {
    const rows = await this.#client.serviceRow.groupBy({
      by: ['topic', 'version'],
      where: { lastSeenAt: { gte: since } },
      orderBy: [{ topic: 'asc' }, { version: 'asc' }],
      take: SERVICES_MAX,
    });
    return rows.map(({ topic, version }) => ({ topic, version }));
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
  async deleteUnseen(before: Date): Promise<number> {
    return (await this.#client.serviceRow.deleteMany({ where: { lastSeenAt: { lt: before } } })).count;
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

/**
 * Many users with open consoles, VNC and serial mixed, while something happens to the house; and the accounts
 * afterwards: a console is open for its user and in the database, or for neither.
 */
import assert from 'node:assert/strict';
import type pg from 'pg';
import type { ComputeClient } from './compute-client.ts';
import { CrowdConsole } from './crowd-console.ts';
import type { Protocol } from './crowd-console.ts';

export interface CrowdOptions {
  readonly compute: ComputeClient;
  /** The cell's database, for the accounts. */
  readonly cell: pg.Pool;
  /** Each has one serial port, with one user, and this many who look at its screen. */
  readonly machines: readonly string[];
  readonly viewersAMachine: number;
}

interface Place {
  readonly serverId: string;
  readonly protocol: Protocol;
  console: CrowdConsole | null;
}

export interface SessionRow {
  readonly id: string;
  readonly serverId: string;
  readonly protocol: Protocol;
  readonly proxy: string;
  readonly host: string;
  readonly ended: boolean;
  readonly reason: string | null;
}

const OPENING_AT_ONCE = 16;
const TYPES_EVERY_MS = 5_000;
const ANSWER_MS_MAX = 15_000;

export class ConsoleCrowd {
  readonly #options: CrowdOptions;
  readonly #places: readonly Place[];
  /** Where the proxies are, in turn; those of the access URLs unless told. */
  #proxies: readonly string[] = [];
  #asked = 0;
  #opened = 0;
  readonly #timer: NodeJS.Timeout;

  constructor(options: CrowdOptions) {
    this.#options = options;
    this.#places = options.machines.flatMap((serverId) => [
      { serverId, protocol: 'serial', console: null } as Place,
      ...Array.from({ length: options.viewersAMachine }, () => ({ serverId, protocol: 'vnc', console: null }) as Place),
    ]);
    this.#timer = setInterval(() => this.#type(), TYPES_EVERY_MS);
  }

  get size(): number {
    return this.#places.length;
  }

  get machines(): readonly string[] {
    return this.#options.machines;
  }

  /** Which proxies new consoles are opened through, in turn. */
  useProxies(urls: readonly string[]): void {
    this.#proxies = urls;
  }

  /** Everybody without a console asks for one. @returns the words of those who were turned away */
  async fill(): Promise<readonly string[]> {
    const queue = this.#places.filter(({ console }) => console === null || console.end !== null);
    const refusals: string[] = [];
    const work = async (): Promise<void> => {
      for (let place = queue.shift(); place !== undefined; place = queue.shift()) {
        try {
          place.console = await this.#open(place);
        } catch (error) {
          refusals.push((error as Error).message);
        }
      }
    };
    await Promise.all(Array.from({ length: OPENING_AT_ONCE }, work));
    return refusals;
  }

  /** They ask until everybody has one. */
  async fillAgainAndAgain(withinMs: number): Promise<void> {
    const deadline = Date.now() + withinMs;
    for (;;) {
      const refusals = await this.fill();
      if (refusals.length === 0) return;
      assert.ok(Date.now() < deadline, `${refusals.length} got no console within ${withinMs} ms: ${refusals[0]}`);
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }

  /** Consoles whose users were not told of an end. */
  get open(): readonly CrowdConsole[] {
    return this.#places.flatMap(({ console }) => (console !== null && console.end === null ? [console] : []));
  }

  /** Resolves when no more than `count` users have an open console: a socket's end is heard after whatever ended it is over. */
  async shrinkTo(count: number, withinMs: number): Promise<void> {
    const deadline = Date.now() + withinMs;
    while (this.open.length > count) {
      assert.ok(Date.now() < deadline, `${this.open.length} consoles are open after ${withinMs} ms, and not ${count}`);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }

  /** What users were told who lost their console since the last fill: `code reason` to how many. */
  get told(): ReadonlyMap<string, number> {
    const told = new Map<string, number>();
    for (const { console } of this.#places) {
      if (console?.end == null) continue;
      const words = `${console.end.code} ${console.end.reason}`.trim();
      told.set(words, (told.get(words) ?? 0) + 1);
    }
    return told;
  }

  /** How many of the open consoles do not answer to what is typed. */
  async countSilent(): Promise<number> {
    const answers = await Promise.all(this.open.map((console) => console.answers(ANSWER_MS_MAX)));
    return answers.filter((each) => !each).length;
  }

  /** Every session that there ever was. */
  async sessions(): Promise<readonly SessionRow[]> {
    const { rows } = await this.#options.cell.query<SessionRow>(
      `SELECT id, instance_uuid AS "serverId", CASE console_type WHEN 'serial' THEN 'serial' ELSE 'vnc' END AS protocol,
              proxy, host, ended_at IS NOT NULL AS ended, end_reason AS reason FROM console_sessions`,
    );
    return rows;
  }

  /**
   * Resolves when every open console answers and has its row, and no other row is open: at the latest then, or the test
   * fails with what does not add up.
   */
  async settle(withinMs: number): Promise<void> {
    const deadline = Date.now() + withinMs;
    let problems: readonly string[];
    do {
      problems = await this.#problems();
      if (problems.length === 0) return;
      await new Promise((resolve) => setTimeout(resolve, 500));
    } while (Date.now() < deadline);
    assert.fail(`${problems.length} of ${this.size} do not add up after ${withinMs} ms:\n${problems.slice(0, 10).join('\n')}`);
  }

  async leave(): Promise<void> {
    clearInterval(this.#timer);
    for (const console of this.open) console.leave();
  }

  async #open(place: Place): Promise<CrowdConsole> {
    const url = new URL(await this.#options.compute.consoleUrl(place.serverId, place.protocol));
    const proxy = this.#proxies[this.#asked++ % Math.max(1, this.#proxies.length)];
    if (proxy !== undefined) url.host = new URL(proxy).host;
    const console = await CrowdConsole.open(place.serverId, place.protocol, url.href);
    // Whoever was turned away, as in an outage, has no row.
    this.#opened += 1;
    return console;
  }

  #type(): void {
    for (const console of this.open) void console.answers(ANSWER_MS_MAX);
  }

  async #problems(): Promise<readonly string[]> {
    const [silent, sessions] = [await this.countSilent(), await this.sessions()];
    const key = ({ serverId, protocol }: { readonly serverId: string; readonly protocol: Protocol }) => `${protocol} of ${serverId}`;
    const open = countBy(this.open.map(key));
    const rows = countBy(sessions.filter(({ ended }) => !ended).map(key));
    return [
      ...(silent > 0 ? [`${silent} consoles are open and silent`] : []),
      ...[...new Set([...open.keys(), ...rows.keys()])]
        .filter((each) => (open.get(each) ?? 0) !== (rows.get(each) ?? 0))
        .map((each) => `${each}: open for ${open.get(each) ?? 0} users, and ${rows.get(each) ?? 0} rows`),
      ...sessions.filter(({ ended, reason }) => ended && reason === null).map(({ id }) => `session ${id} ended without a reason`),
      ...(sessions.length < this.#opened ? [`${this.#opened} consoles were opened, and there are ${sessions.length} rows`] : []),
    ];
  }
}

function countBy(keys: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}

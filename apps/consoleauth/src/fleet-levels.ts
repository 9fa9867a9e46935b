/**
 * The oldest contract version that lives on each topic, from what services report about themselves. Every service of
 * a fleet asks every few seconds, so the database is asked at most once a second, whoever asks.
 */
import { consoleauth, SERVICE_SILENCE_MS_MAX } from '@gatehouse/contracts/consoleauth';
import type { ServicesStore } from '@gatehouse/cell-db/services-store';
import { compareVersions } from '@gatehouse/objects/object-version';
import { isVersion } from '@gatehouse/rpc/version';
import type { Clock } from '@gatehouse/runtime/clock';

type Levels = Readonly<Record<string, string>>;

const KNOWN_FOR_MS = 1_000;
const TOPIC = /^[a-z][a-z0-9_-]{0,63}$/;

export class FleetLevels {
  readonly #services: ServicesStore;
  readonly #clock: Clock;
  readonly #server: string;
  #known: { readonly untilMs: number; readonly levels: Promise<Levels> } | null = null;

  constructor(services: ServicesStore, clock: Clock, server: string) {
    this.#services = services;
    this.#clock = clock;
    this.#server = server;
  }

  /** This consoleauth says that it lives, as the others say it to it: one of another version may run beside it. */
  async reportOwn(): Promise<void> {
    const { topic, version } = consoleauth;
    await this.#services.report({ binary: 'consoleauth', host: this.#server, topic, version, endpoint: null, lastSeenAt: this.#clock.now() });
  }

  /** Topic to version. */
  oldest(): Promise<Levels> {
    const nowMs = this.#clock.now().getTime();
    if (this.#known === null || this.#known.untilMs <= nowMs) {
      const levels = this.#read(nowMs);
      this.#known = { untilMs: nowMs + KNOWN_FOR_MS, levels };
      // Whoever asks next tries again.
      levels.catch(() => (this.#known = null));
    }
    return this.#known.levels;
  }

  async #read(nowMs: number): Promise<Levels> {
    const live = await this.#services.listLiveVersions(new Date(nowMs - SERVICE_SILENCE_MS_MAX));
    // Its own counts also before its first report.
    const oldest = new Map<string, string>([[consoleauth.topic, consoleauth.version]]);
    for (const { topic, version } of live) {
      // What a service says of itself is not checked elsewhere.
      if (!isVersion(version) || !TOPIC.test(topic)) continue;
      const known = oldest.get(topic);
      if (known === undefined || compareVersions(version, known) < 0) oldest.set(topic, version);
    }
    return Object.fromEntries(oldest);
  }
}

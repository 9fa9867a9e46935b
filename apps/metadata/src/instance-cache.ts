/**
 * What this process knows of instances, so that a guest that asks again costs no statement.
 *
 * What is held is believed for some seconds, and then as long as the database says that the instance's revision is still the
 * same. News of a change end the belief at once: the next who asks has it looked up, by a look that began after the news. While
 * the database is away what is held is given as it is, for as long as that is allowed.
 *
 * One look at a time for an instance, whoever many wait for it. What is not there is remembered too, for a moment.
 */
import type { InstanceFacts, InstanceFactsStore } from '@gatehouse/cell-db/instance-facts-store';
import { isServiceError } from '@gatehouse/errors/service-error';
import type { ErrorCode } from '@gatehouse/errors/service-error';
import type { Clock } from '@gatehouse/runtime/clock';
import { HeldInstance } from './held-instance.ts';
import type { MetadataDocument } from './metadata-document.ts';

export interface CacheLimits {
  /** Seconds for which it is believed without a look; 0: a look each time. */
  readonly ttlSeconds: number;
  /** Seconds since the last look for which it is given while the database is away. */
  readonly keepSeconds: number;
  readonly instancesMax: number;
  readonly bytesMax: number;
}

/** stale: given though nobody could say whether it still holds. */
export const CACHE_OUTCOMES = ['hit', 'miss', 'stale'] as const;
export type CacheOutcome = (typeof CACHE_OUTCOMES)[number];

/** Who is told what happens here. */
export interface CacheWatch {
  read(outcome: CacheOutcome): void;
  /** The instance is found to be another than it was, or there is news of it. */
  changed(instanceUuid: string): void;
}

const NOBODY: CacheWatch = { read() {}, changed() {} };

/** How long nothing is believed to be there. */
export const ABSENT_MS = 2_000;
const ABSENT_MAX = 10_000;
/** Who could be answered from what is held waits this long for a database that does not answer. */
export const LOOK_WAIT_MS = 500;
/** And then it is asked no more for so long. */
export const REST_MS = 1_000;

/** Nothing was found out about the instance; what was known of it may hold. */
const AWAY: ReadonlySet<ErrorCode> = new Set(['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'RESOURCE_EXHAUSTED']);

export interface Entry {
  readonly held: HeldInstance;
  /** When the last look began. */
  readonly lookedAtMs: number;
  /** No look before this. */
  readonly nextLookMs: number;
}

export class InstanceCache {
  readonly #source: Pick<InstanceFactsStore, 'find' | 'findRevision'>;
  readonly #limits: CacheLimits;
  readonly #clock: Clock;
  readonly #watch: CacheWatch;
  /** The one that was asked for longest ago first. */
  readonly #entries = new Map<string, Entry>();
  /** Until when. */
  readonly #absent = new Map<string, number>();
  readonly #looks = new Map<string, Promise<HeldInstance | null>>();
  #bytes = 0;

  constructor(source: Pick<InstanceFactsStore, 'find' | 'findRevision'>, limits: CacheLimits, clock: Clock, watch = NOBODY) {
    this.#source = source;
    this.#limits = limits;
    this.#clock = clock;
    this.#watch = watch;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** About, as instances say it. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Null: not there, or deleted. @throws ServiceError UNAVAILABLE: the database is away and nothing of it is held; INTERNAL: what is stored cannot be read */
  find(uuid: string): HeldInstance | null | Promise<HeldInstance | null> {
    const nowMs = this.#clock.now().getTime();
    const entry = this.#entries.get(uuid);
    if (entry !== undefined && isBelieved(entry, nowMs)) {
      this.use(uuid, entry, nowMs);
      return entry.held;
    }
    if (this.#isAbsent(uuid, nowMs)) {
      this.#watch.read('hit');
      return null;
    }
    this.#watch.read('miss');
    const look = this.#look(uuid, entry, nowMs);
    return entry === undefined || nowMs - entry.lookedAtMs > this.#limits.keepSeconds * 1_000 ? look : this.#orHeld(uuid, entry, look);
  }

  /** What is believed of it without a look; whoever answers with it says so (`use`). */
  believed(uuid: string, nowMs: number): Entry | null {
    const entry = this.#entries.get(uuid);
    return entry !== undefined && isBelieved(entry, nowMs) ? entry : null;
  }

  /** One that is believed was asked for. */
  use(uuid: string, entry: Entry, nowMs: number): void {
    this.#entries.delete(uuid);
    this.#entries.set(uuid, entry);
    // Beyond its time it is held only because the database rests.
    this.#watch.read(nowMs - entry.lookedAtMs < this.#limits.ttlSeconds * 1_000 ? 'hit' : 'stale');
  }

  /** What is held of it is believed no more, nor what is just being looked up. */
  forget(uuid: string): void {
    this.#looks.delete(uuid);
    this.#absent.delete(uuid);
    const entry = this.#entries.get(uuid);
    if (entry !== undefined) this.#entries.set(uuid, { ...entry, nextLookMs: 0 });
    this.#watch.changed(uuid);
  }

  /** Milliseconds until it is looked up again, if somebody asks then. */
  untilLookMs(uuid: string): number {
    return Math.max(0, (this.#entries.get(uuid)?.nextLookMs ?? 0) - this.#clock.now().getTime());
  }

  /** One that was made of these very facts before. */
  documentOf(facts: InstanceFacts, path: string): MetadataDocument | undefined {
    return this.#heldOf(facts)?.document(path);
  }

  /** Keeps a document with the facts that it was made of, while these are held. */
  keepDocument(facts: InstanceFacts, path: string, document: MetadataDocument): void {
    const held = this.#heldOf(facts);
    if (held === undefined) return;
    this.#bytes -= held.bytes;
    held.keep(path, document);
    this.#bytes += held.bytes;
    this.#makeRoom();
  }

  /** One at a time; the next begins where this one is overtaken by news. */
  #look(uuid: string, entry: Entry | undefined, nowMs: number): Promise<HeldInstance | null> {
    const running = this.#looks.get(uuid);
    if (running !== undefined) return running;
    const look = this.#read(uuid, entry?.held).then(
      (found) => {
        if (this.#looks.get(uuid) === look) this.#settle(uuid, entry, found, nowMs);
        return found;
      },
      (error: unknown) => {
        if (this.#looks.get(uuid) === look) this.#looks.delete(uuid);
        throw error;
      },
    );
    this.#looks.set(uuid, look);
    return look;
  }

  async #read(uuid: string, held: HeldInstance | undefined): Promise<HeldInstance | null> {
    if (held !== undefined) {
      const revision = await this.#source.findRevision(uuid);
      if (revision === held.facts.revision) return held;
      if (revision === null) return null;
    }
    const facts = await this.#source.find(uuid);
    return facts === null ? null : new HeldInstance(facts);
  }

  #settle(uuid: string, entry: Entry | undefined, found: HeldInstance | null, nowMs: number): void {
    this.#looks.delete(uuid);
    this.#remove(uuid);
    if (found === null) this.#rememberAbsent(uuid, nowMs);
    else {
      this.#entries.set(uuid, { held: found, lookedAtMs: nowMs, nextLookMs: nowMs + this.#limits.ttlSeconds * 1_000 });
      this.#bytes += found.bytes;
      this.#makeRoom();
    }
    if (entry !== undefined && entry.held !== found) this.#watch.changed(uuid);
  }

  /** The look's answer, if the database gives one in time; else what is held, and a rest for the database. */
  async #orHeld(uuid: string, entry: Entry, look: Promise<HeldInstance | null>): Promise<HeldInstance | null> {
    const late = new AbortController();
    const waited = this.#clock.sleep(LOOK_WAIT_MS, late.signal).then(() => undefined);
    try {
      const found = await Promise.race([look, waited]);
      if (found !== undefined) return found;
      look.catch(() => {});
    } catch (error) {
      if (!isServiceError(error) || !AWAY.has(error.code)) throw error;
    } finally {
      late.abort();
    }
    this.#watch.read('stale');
    // Unless it has become another meanwhile, or news came.
    if (this.#entries.get(uuid) === entry) this.#entries.set(uuid, { ...entry, nextLookMs: this.#clock.now().getTime() + REST_MS });
    return entry.held;
  }

  #heldOf(facts: InstanceFacts): HeldInstance | undefined {
    const held = this.#entries.get(facts.uuid)?.held;
    return held?.facts === facts ? held : undefined;
  }

  #isAbsent(uuid: string, nowMs: number): boolean {
    const untilMs = this.#absent.get(uuid);
    if (untilMs === undefined) return false;
    if (nowMs < untilMs && untilMs <= nowMs + ABSENT_MS) return true;
    this.#absent.delete(uuid);
    return false;
  }

  #rememberAbsent(uuid: string, nowMs: number): void {
    if (this.#limits.ttlSeconds === 0) return;
    const [oldest] = this.#absent.keys();
    if (oldest !== undefined && this.#absent.size >= ABSENT_MAX) this.#absent.delete(oldest);
    this.#absent.set(uuid, nowMs + ABSENT_MS);
  }

  #remove(uuid: string): void {
    const entry = this.#entries.get(uuid);
    if (entry === undefined) return;
    this.#bytes -= entry.held.bytes;
    this.#entries.delete(uuid);
  }

  #makeRoom(): void {
    const { instancesMax, bytesMax } = this.#limits;
    for (const uuid of this.#entries.keys()) {
      if (this.#entries.size <= instancesMax && this.#bytes <= bytesMax) return;
      this.#remove(uuid);
    }
  }
}

/** Not by a clock that was set back either. */
function isBelieved({ lookedAtMs, nextLookMs }: Entry, nowMs: number): boolean {
  return lookedAtMs <= nowMs && nowMs < nextLookMs;
}

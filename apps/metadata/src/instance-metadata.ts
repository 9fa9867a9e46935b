/** What an instance may know of itself: its facts, the documents that are made of them, and when these become others. */
import type { InstanceFacts } from '@gatehouse/cell-db/instance-facts-store';
import { isUuid } from '@gatehouse/objects/fields';
import { notFound } from '@gatehouse/instance-metadata/metadata-tree';
import type { Answer } from '@gatehouse/instance-metadata/metadata-tree';
import type { Clock } from '@gatehouse/runtime/clock';
import type { ChangeWait } from './change-wait.ts';
import type { Changes } from './changes.ts';
import type { InstanceCache } from './instance-cache.ts';
import { documentOf, opaque } from './metadata-document.ts';
import type { MetadataDocument } from './metadata-document.ts';

/** Makes what stands at a path. Throws NOT_FOUND where nothing is. */
export type Read = (facts: InstanceFacts) => Promise<Answer>;

export interface DocumentRequest {
  /** One for all ways to write it; documents are kept by it. */
  readonly path: string;
  readonly read: Read;
}

/** Who waits looks this seldom while nothing is believed without a look. */
const LOOK_EVERY_MS = 1_000;

export class InstanceMetadata {
  readonly #cache: InstanceCache;
  readonly #changes: Changes;
  readonly #clock: Clock;

  constructor(cache: InstanceCache, changes: Changes, clock: Clock) {
    this.#cache = cache;
    this.#changes = changes;
    this.#clock = clock;
  }

  /**
   * Throws NOT_FOUND for an instance that is not there, deleted, or of another project (null: any project's); UNAVAILABLE where the
   * database is away and nothing is held of the instance.
   */
  async get(instanceUuid: string, projectId: string | null): Promise<InstanceFacts> {
    // Under one name, by which news come too.
    const held = isUuid(instanceUuid) ? await this.#cache.find(instanceUuid.toLowerCase()) : null;
    if (held === null || (projectId !== null && held.facts.projectId !== projectId)) throw notFound();
    return held.facts;
  }

  /** The same as the last time, where nothing in it but the facts decides what it says. */
  async document(facts: InstanceFacts, { path, read }: DocumentRequest): Promise<MetadataDocument> {
    const kept = this.#cache.documentOf(facts, path);
    if (kept !== undefined) return kept;
    const answer = await read(facts);
    const document = documentOf(answer);
    if (answer.isLive !== true) this.#cache.keepDocument(facts, path, document);
    return document;
  }

  /**
   * The document as soon as it is another than the client has, or as it is when the time is over, the client gone (`signal`) or the
   * service about to stop. Throws as `get` and `document` do, at the moment when they would; RESOURCE_EXHAUSTED and UNAVAILABLE where too many wait.
   */
  async documentAfter(facts: InstanceFacts, request: DocumentRequest, wait: ChangeWait, signal: AbortSignal): Promise<MetadataDocument> {
    const { uuid, projectId } = facts;
    const endMs = this.#clock.now().getTime() + wait.timeoutMs;
    const place = this.#changes.enter(uuid);
    try {
      let document = await this.document(facts, request);
      const lastTag = wait.lastTag ?? opaque(document.etag);
      while (opaque(document.etag) === lastTag && !signal.aborted && !this.#changes.isDraining) {
        const leftMs = endMs - this.#clock.now().getTime();
        if (leftMs <= 0) break;
        // News may be lost; then the change is seen when others who ask would see it.
        await place.next(Math.min(leftMs, Math.max(LOOK_EVERY_MS, this.#cache.untilLookMs(uuid))), signal);
        document = await this.document(await this.get(uuid, projectId), request);
      }
      return document;
    } finally {
      place.leave();
    }
  }
}

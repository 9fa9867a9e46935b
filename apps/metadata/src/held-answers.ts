/**
 * The short way: a guest whose proxy signs for it asks for a document that is held, as nearly all do, and gets it at once, without
 * a route, a promise or a look. The doors are those of the long way (metadata.controller.ts), in the same order. Whatever is not
 * as plain as that, a refusal above all, is left to the long way: of a request that is not answered here nothing is counted,
 * noted or taken here.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { JSON_TYPE } from '@gatehouse/instance-metadata/metadata-tree';
import type { FirstAnswer } from '@gatehouse/runtime/first-answers';
import type { ArrivingRequest } from '@gatehouse/runtime/trusted-proxies';
import type { Doors } from './metadata.controller.ts';
import type { InstanceCache } from './instance-cache.ts';
import { hasIt } from './serve-document.ts';

type HeldDoors = Pick<Doors, 'identification' | 'rates' | 'tokens' | 'clock'> & { readonly cache: InstanceCache };
type HeldRequest = ArrivingRequest & { readonly url?: string | undefined };

/** As the framework sends it. */
const JSON_SENT = `${JSON_TYPE}; charset=utf-8`;

export class HeldAnswers {
  readonly #doors: HeldDoors;

  constructor(doors: HeldDoors) {
    this.#doors = doors;
  }

  /** To a GET; null: the long way. */
  answer(request: HeldRequest): FirstAnswer | null {
    // A path with percent signs may be another than it looks.
    if (hasBody(request.headers) || request.url?.includes('%') === true) return null;
    try {
      return this.#find(request);
    } catch {
      // Refused: the long way is refused the same, and says so.
      return null;
    }
  }

  #find(request: HeldRequest): FirstAnswer | null {
    const { identification, rates, tokens, clock, cache } = this.#doors;
    const proven = identification.proven(request);
    if (proven === null) return null;
    const { instanceUuid, projectId } = proven;
    const nowMs = clock.now().getTime();
    const entry = cache.believed(instanceUuid, nowMs);
    if (entry === null || entry.held.facts.projectId !== projectId) return null;
    // A query, as of who waits for a change, is part of no document's path.
    const document = entry.held.document(request.url ?? '');
    if (document === undefined || !tokens.admitsAnyone(request, entry.held.facts)) return null;
    rates.take(instanceUuid);
    cache.use(instanceUuid, entry, nowMs);
    const { type, etag, bytes } = document;
    if (hasIt(request.headers['if-none-match'], document)) return { status: 304, headers: ['etag', etag, 'content-type', type], body: '' };
    const sentType = type === JSON_TYPE ? JSON_SENT : type;
    return { status: 200, headers: ['etag', etag, 'content-type', sentType, 'content-length', String(bytes)], body: document.content() };
  }
}

function hasBody(headers: IncomingHttpHeaders): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
}

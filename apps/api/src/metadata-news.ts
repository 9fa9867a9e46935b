/**
 * Tells the metadata services that an instance changed, so that they drop what they hold of it at once and not when it has grown
 * old. Told after the change is stored, and never waited for: what is lost on the way costs one period of their caches.
 */
import type { metadata } from '@gatehouse/contracts/metadata';
import { toServiceError } from '@gatehouse/errors/service-error';
import type { Client } from '@gatehouse/rpc/client';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { Logger } from '@gatehouse/runtime/logger';
import { ownContext } from './guests.ts';

/** News that the broker did not take for so long are no news: the caches have looked by themselves. */
const NEWS_TIMEOUT_MS = 10_000;
/** Messages that wait for the broker at one time; beyond, they are lost. */
const UNTOLD_MAX = 256;

export class MetadataNews {
  readonly #metadata: Pick<Client<typeof metadata>, 'instanceChanged'>;
  readonly #log: Logger;
  #untold = 0;

  constructor(client: Pick<Client<typeof metadata>, 'instanceChanged'>, log: Logger) {
    this.#metadata = client;
    this.#log = log;
  }

  /** To be called once the change is committed. Never throws, never waits; `context` says on whose request. */
  tell(instanceUuid: string, context: RequestContext): void {
    const facts = { requestId: context.requestId, instanceUuid };
    if (this.#untold >= UNTOLD_MAX) {
      this.#log.debug(facts, 'the metadata services were not told of a change: too many wait for the broker');
      return;
    }
    this.#untold += 1;
    // With a deadline of its own: the request may be over before the broker is back.
    void this.#send(instanceUuid, ownContext(context, NEWS_TIMEOUT_MS))
      .catch((error: unknown) => this.#log.warn({ ...facts, code: toServiceError(error).code, err: error }, 'the metadata services were not told of a change; they see it when they look'))
      .finally(() => (this.#untold -= 1));
  }

  async #send(instanceUuid: string, context: RequestContext): Promise<void> {
    await this.#metadata.instanceChanged({ instanceUuid }, context);
  }
}

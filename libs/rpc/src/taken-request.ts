/** A request in a server's hands, which its caller may take back. */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { IncomingRequest, RequestMessage } from './transport.ts';

export class TakenRequest implements IncomingRequest {
  readonly message: RequestMessage;
  /** Where the answer goes; null when nobody waits for one. */
  readonly replyKey: string | null;
  readonly redelivered: boolean;
  readonly expirationMs: number | null;
  #isCancelled = false;
  #controller: AbortController | null = null;

  constructor(message: RequestMessage, replyKey: string | null, redelivered: boolean, expirationMs: number | null) {
    this.message = message;
    this.replyKey = replyKey;
    this.redelivered = redelivered;
    this.expirationMs = expirationMs;
  }

  get wantsReply(): boolean {
    return this.replyKey !== null;
  }

  get isCancelled(): boolean {
    return this.#isCancelled;
  }

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#isCancelled) this.#controller.abort(givenUp(this.message));
    }
    return this.#controller.signal;
  }

  cancel(): void {
    if (this.#isCancelled) return;
    this.#isCancelled = true;
    this.#controller?.abort(givenUp(this.message));
  }
}

function givenUp({ method }: RequestMessage): ServiceError {
  return new ServiceError('CANCELLED', `the caller of ${method} gave up waiting`);
}

/**
 * Asks consoleauth what the attach secrets of streams open. When many come at once, they share their questions: while one is on its way,
 * for a moment at most, those who come gather for the next. A message each, there and back, costs more than all that is asked in it.
 *
 * What a stream says is not believed: what could make consoleauth refuse a whole question is asked alone, and refused alone.
 */
import type { AttachOpen } from '@gatehouse/console-stream/attach-call';
import { ATTACHES_MAX, ATTACH_REFUSAL } from '@gatehouse/contracts/consoleauth';
import type { consoleauth } from '@gatehouse/contracts/consoleauth';
import { ServiceError, isServiceError, toServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleConnection } from '@gatehouse/objects/console-connection';
import type { Client } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';

type Shown = Pick<AttachOpen, 'sessionId' | 'attachSecret' | 'signal'>;

interface Waiting {
  readonly shown: Shown;
  resolve(connection: ConsoleConnection): void;
  reject(error: ServiceError): void;
}

const ATTACH_TIMEOUT_MS = 10_000;
/** A question that is answered later than this keeps nobody waiting. */
const GATHER_MS_MAX = 15;
const SESSION_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** As secrets are; another text may be one that no message carries. */
const SECRET = /^[!-~]{1,128}$/;

export class AttachQuestions {
  readonly #host: string;
  readonly #consoleAuth: Pick<Client<typeof consoleauth>, 'attach' | 'attachAll'>;
  /** By session. */
  readonly #waiting = new Map<string, Waiting>();
  #onTheirWay = 0;
  #late: NodeJS.Timeout | undefined;

  constructor(host: string, consoleAuth: Pick<Client<typeof consoleauth>, 'attach' | 'attachAll'>) {
    this.#host = host;
    this.#consoleAuth = consoleAuth;
  }

  /** What may be opened. @throws ServiceError UNAUTHENTICATED, and as a call */
  ask(shown: Shown): Promise<ConsoleConnection> {
    const { sessionId, attachSecret } = shown;
    const isCommon = SESSION_ID.test(sessionId) && SECRET.test(attachSecret) && !this.#waiting.has(sessionId);
    if (!isCommon || this.#onTheirWay === 0) return this.#counted(this.#askAlone(shown));
    return new Promise((resolve, reject) => {
      this.#waiting.set(sessionId, { shown, resolve, reject });
      if (this.#waiting.size === ATTACHES_MAX) this.#askWaiting();
      else this.#late ??= setTimeout(() => this.#askWaiting(), GATHER_MS_MAX);
    });
  }

  async #counted<T>(question: Promise<T>): Promise<T> {
    this.#onTheirWay += 1;
    try {
      return await question;
    } finally {
      this.#onTheirWay -= 1;
      this.#askWaiting();
    }
  }

  #askWaiting(): void {
    clearTimeout(this.#late);
    this.#late = undefined;
    const waiting = [...this.#waiting.values()].filter(isStillWanted);
    this.#waiting.clear();
    const [first] = waiting;
    if (first === undefined) return;
    void this.#counted(waiting.length === 1 ? this.#answerAlone(first) : this.#answerAll(waiting));
  }

  #askAlone({ sessionId, attachSecret, signal }: Shown): Promise<ConsoleConnection> {
    return this.#consoleAuth.attach({ sessionId, attachSecret, host: this.#host }, newContext({ timeoutMs: ATTACH_TIMEOUT_MS, signal }));
  }

  async #answerAlone({ shown, resolve, reject }: Waiting): Promise<void> {
    await this.#askAlone(shown).then(resolve, (error: unknown) => reject(toServiceError(error)));
  }

  async #answerAll(waiting: readonly Waiting[]): Promise<void> {
    const args = { host: this.#host, sessionIds: waiting.map(({ shown }) => shown.sessionId), attachSecrets: waiting.map(({ shown }) => shown.attachSecret) };
    try {
      const opened = await this.#consoleAuth.attachAll(args, newContext({ timeoutMs: ATTACH_TIMEOUT_MS }));
      for (const { shown, resolve, reject } of waiting) {
        const connection = opened[shown.sessionId];
        if (connection === undefined) reject(new ServiceError('UNAUTHENTICATED', ATTACH_REFUSAL));
        else resolve(connection);
      }
    } catch (error) {
      // A consoleauth that is older knows no common question; it has not looked at any of them.
      if (isServiceError(error) && error.code === 'UNIMPLEMENTED') await Promise.all(waiting.map((each) => this.#answerAlone(each)));
      else for (const { reject } of waiting) reject(toServiceError(error));
    }
  }
}

/** Whose stream is gone is not asked for any more, and nobody waits for that answer. */
function isStillWanted({ shown, reject }: Waiting): boolean {
  if (!shown.signal.aborted) return true;
  reject(new ServiceError('CANCELLED', 'the caller is gone'));
  return false;
}

/**
 * Tells consoleauth which consoles each guest of this host has, whenever that has changed. What it could not be told is told
 * again at the next round: a consoleauth that is away holds up nobody.
 */
import type { consoleauth } from '@gatehouse/contracts/consoleauth';
import { isServiceError, toServiceError } from '@gatehouse/errors/service-error';
import type { ErrorCode, ServiceError } from '@gatehouse/errors/service-error';
import { CONSOLE_TYPES } from '@gatehouse/objects/console-connection';
import type { ConsoleConnection } from '@gatehouse/objects/console-connection';
import type { Client } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import type { Logger } from '@gatehouse/runtime/logger';
import type { Driver } from './drivers/driver.ts';

const REGISTER_TIMEOUT_MS = 5_000;
/** After a start every guest is told of; the broker need not take them all at once. */
const TOLD_AT_ONCE = 8;
/** Nobody was there who could hear it: the others of this round would not be heard either. */
const UNHEARD: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'UNIMPLEMENTED']);

export class ConsoleRegistrations {
  readonly #host: string;
  readonly #driver: Pick<Driver, 'consoles'>;
  readonly #consoleAuth: Pick<Client<typeof consoleauth>, 'register'>;
  readonly #log: Logger;
  /** Guests of which the last word is still to be told; at most one entry a guest. */
  readonly #due = new Set<string>();
  readonly #telling = new Set<string>();
  /** Why the last word on a guest was not taken: logged once, not at every round. */
  readonly #refused = new Map<string, string>();
  #isUnheard = false;

  constructor(host: string, driver: Pick<Driver, 'consoles'>, consoleAuth: Pick<Client<typeof consoleauth>, 'register'>, log: Logger) {
    this.#host = host;
    this.#driver = driver;
    this.#consoleAuth = consoleAuth;
    this.#log = log;
  }

  /** The guest's consoles are to be told at the next round. */
  note(instanceUuid: string): void {
    this.#due.add(instanceUuid);
  }

  /** The guest's consoles have changed: told now, and again until it was heard. */
  tell(instanceUuid: string): void {
    this.note(instanceUuid);
    void this.#tell(instanceUuid);
  }

  /** The guest is gone from here; its consoles are another's to tell of. */
  forget(instanceUuid: string): void {
    this.#due.delete(instanceUuid);
    this.#refused.delete(instanceUuid);
  }

  /** Tells what is due, as far as somebody hears it. Never rejects. */
  async tellDue(): Promise<void> {
    const rest = [...this.#due].values();
    let isHeard = true;
    const work = async (): Promise<void> => {
      for (const instanceUuid of rest) {
        if (isHeard && this.#due.has(instanceUuid) && !(await this.#tell(instanceUuid))) isHeard = false;
      }
    };
    await Promise.all(Array.from({ length: TOLD_AT_ONCE }, work));
  }

  /** One message of a guest at a time, so that an older one never arrives after a newer one. @returns false when nobody heard it */
  async #tell(instanceUuid: string): Promise<boolean> {
    if (this.#telling.has(instanceUuid)) return true; // it looks again when it is done
    this.#telling.add(instanceUuid);
    try {
      while (this.#due.delete(instanceUuid)) await this.#register(instanceUuid);
      this.#refused.delete(instanceUuid);
      this.#isUnheard = false;
      return true;
    } catch (error) {
      this.#due.add(instanceUuid);
      const isUnheard = UNHEARD.has(toServiceError(error).code);
      this.#noteFailure(instanceUuid, isUnheard, toServiceError(error));
      return !isUnheard;
    } finally {
      this.#telling.delete(instanceUuid);
    }
  }

  #noteFailure(instanceUuid: string, isUnheard: boolean, error: ServiceError): void {
    if (isUnheard) {
      if (!this.#isUnheard) this.#log.warn({ due: this.#due.size, err: error }, 'consoleauth does not take the consoles of guests at the moment; it is told again');
      this.#isUnheard = true;
      return;
    }
    if (this.#refused.get(instanceUuid) !== error.message) this.#log.warn({ instanceUuid, err: error }, 'the consoles of a guest could not be registered yet');
    this.#refused.set(instanceUuid, error.message);
  }

  async #register(instanceUuid: string): Promise<void> {
    const connections = await this.#connections(instanceUuid);
    if (connections === null) return;
    const ended = await this.#consoleAuth.register({ host: this.#host, instanceUuid, connections }, newContext({ timeoutMs: REGISTER_TIMEOUT_MS }));
    if (ended > 0) this.#log.info({ instanceUuid, ended }, 'sessions of consoles that are gone were ended');
  }

  /** Of all types; null when there is no such guest any more. */
  async #connections(instanceUuid: string): Promise<readonly ConsoleConnection[] | null> {
    try {
      return (await Promise.all(CONSOLE_TYPES.map((type) => this.#driver.consoles(instanceUuid, type)))).flat();
    } catch (error) {
      if (isServiceError(error) && error.code === 'NOT_FOUND') return null;
      throw error;
    }
  }
}

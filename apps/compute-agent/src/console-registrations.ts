/**
 * Tells consoleauth which consoles each guest of this host has, whenever that has changed. What it could not be told is told
 * again at the next round: a consoleauth that is away holds up nobody.
 */
import type { consoleauth } from '@gatehouse/contracts/consoleauth';
import { isServiceError } from '@gatehouse/errors/service-error';
import { CONSOLE_TYPES } from '@gatehouse/objects/console-connection';
import type { ConsoleConnection } from '@gatehouse/objects/console-connection';
import type { Client } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import type { Logger } from '@gatehouse/runtime/logger';
import type { Driver } from './drivers/driver.ts';

const REGISTER_TIMEOUT_MS = 5_000;
/** After a start every guest is told of; the broker need not take them all at once. */
const TOLD_AT_ONCE = 8;

export class ConsoleRegistrations {
  readonly #host: string;
  readonly #driver: Driver;
  readonly #consoleAuth: Pick<Client<typeof consoleauth>, 'register'>;
  readonly #log: Logger;
  /** Guests of which the last word is still to be told; at most one entry a guest. */
  readonly #due = new Set<string>();
  readonly #telling = new Set<string>();

  constructor(host: string, driver: Driver, consoleAuth: Pick<Client<typeof consoleauth>, 'register'>, log: Logger) {
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
  }

  /** Tells what is due. Never rejects. */
  async tellDue(): Promise<void> {
    const rest = [...this.#due].values();
    const work = async (): Promise<void> => {
      for (const instanceUuid of rest) if (this.#due.has(instanceUuid)) await this.#tell(instanceUuid);
    };
    await Promise.all(Array.from({ length: TOLD_AT_ONCE }, work));
  }

  /** One message of a guest at a time, so that an older one never arrives after a newer one. */
  async #tell(instanceUuid: string): Promise<void> {
    if (this.#telling.has(instanceUuid)) return; // it looks again when it is done
    this.#telling.add(instanceUuid);
    try {
      while (this.#due.delete(instanceUuid)) await this.#register(instanceUuid);
    } catch (error) {
      this.#due.add(instanceUuid);
      this.#log.warn({ instanceUuid, err: error }, 'the consoles of a guest could not be registered yet');
    } finally {
      this.#telling.delete(instanceUuid);
    }
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

/**
 * What a host's agent decides: which guests exist, what state their instances are in, and who may open which console.
 *
 * The database says which instances belong here, the driver which guests run; start() and watch() bring the two
 * together. The agent never trusts a caller about a console: an attach is asked of consoleauth, and the port it
 * names must still be a console of that instance at that moment.
 */
import type { Duplex } from 'node:stream';
import type { InstanceExtraStore } from '@gatehouse/cell-db/instance-extra-store';
import type { InstanceChanges, InstancesStore, StoredInstance } from '@gatehouse/cell-db/instances-store';
import { ConsoleEnded } from '@gatehouse/console-stream/console-ended';
import type { AttachOpen, GuestConsole } from '@gatehouse/console-stream/attach-call';
import type { consoleauth } from '@gatehouse/contracts/consoleauth';
import type { EndReason } from '@gatehouse/errors/endings';
import { ServiceError, isServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleConnection, ConsoleType } from '@gatehouse/objects/console-connection';
import type { ConsoleSession } from '@gatehouse/objects/console-session';
import type { Instance } from '@gatehouse/objects/instance';
import type { Client } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';
import type { Driver } from './drivers/driver.ts';
import type { SerialLines } from './serial-lines.ts';

export interface ComputeAgentParts {
  /** This host's name. */
  readonly host: string;
  readonly driver: Driver;
  readonly lines: SerialLines;
  readonly instances: Pick<InstancesStore, 'find' | 'list' | 'listDeleted' | 'update'>;
  /** The key pairs of instances; read only where a guest is made here. */
  readonly instanceExtra: Pick<InstanceExtraStore, 'findKeyPairs'>;
  readonly consoleAuth: Pick<Client<typeof consoleauth>, 'authorize' | 'attach'>;
  readonly clock: Clock;
  readonly log: Logger;
}

const ATTACH_TIMEOUT_MS = 10_000;
const PAGE = 500;
/** States in which watch() looks at the guest; the others are somebody's work in progress or a stated failure. */
const SETTLED: ReadonlySet<string | null> = new Set(['active', 'stopped']);

export class ComputeAgent {
  readonly #parts: ComputeAgentParts;
  /** Open graphical consoles; serial ones are with the lines. */
  readonly #streams = new Map<string, Set<Duplex>>();
  /** Work on one guest happens one after the other. */
  readonly #turns = new Map<string, Promise<unknown>>();
  /** How a making ended, where the database did not take it; one an instance. watch() writes it again. */
  readonly #unwritten = new Map<string, InstanceChanges>();
  /** Guests of no instance that were there the last time: told once, not at every watch. */
  #strangers: ReadonlySet<string> = new Set();

  constructor(parts: ComputeAgentParts) {
    this.#parts = parts;
  }

  /**
   * Takes up the guests that the database places here, starts again those that should run and do not (the host was
   * down), and makes those whose making was interrupted. Throws UNAVAILABLE
   * while the database is not there.
   */
  async start(): Promise<void> {
    const { driver, lines, log } = this.#parts;
    const instances: Instance[] = [];
    for (const instance of await this.#list()) instances.push(await this.#withKeys(instance));
    await driver.restore(instances);
    await this.#removeDeleted(await driver.list(), instances);
    for (const instance of instances) {
      if (instance.vmState === 'building' && instance.taskState !== 'deleting') {
        await this.createInstance(instance).catch((error: unknown) => {
          log.error({ instanceUuid: instance.uuid, err: error }, 'an interrupted guest could not be made');
        });
      } else {
        await this.#resume(instance);
        await this.#settle(instance);
        if ((await driver.powerState(instance.uuid)) === 'running') await lines.openAll(instance.uuid);
      }
    }
    log.info({ instances: instances.length, driver: driver.name }, 'guests taken up');
  }

  /**
   * Writes down how makings ended, where that failed before, and which guests have started or ended by themselves
   * since the last time; ends the guests whose instances were deleted without this agent hearing of it.
   */
  async watch(): Promise<void> {
    for (const uuid of [...this.#unwritten.keys()]) await this.#inTurn(uuid, () => this.#conclude(uuid)).catch(unlessGone);
    // The guests before the rows: a guest's row is there before the guest, so one made meanwhile is not taken for a stranger.
    const guests = await this.#parts.driver.list();
    const instances = await this.#list();
    await this.#removeDeleted(guests, instances);
    for (const instance of instances) await this.#settle(instance);
  }

  /**
   * A console of the instance, reserved and with its access URL. Throws FAILED_PRECONDITION when the instance is
   * not ready or not running, INVALID_ARGUMENT when it has no console of that type, and what consoleauth refuses with.
   */
  async getConsole(
    instanceUuid: string,
    consoleType: ConsoleType,
    access: ConsoleSession['access'],
    context: RequestContext,
  ): Promise<ConsoleConnection> {
    const { driver, consoleAuth } = this.#parts;
    const power = await driver.powerState(instanceUuid);
    if (power === 'absent') throw await this.#whyAbsent(instanceUuid);
    if (power === 'stopped') throw new ServiceError('FAILED_PRECONDITION', `Instance ${instanceUuid} is stopped; its consoles open when it runs`);
    const connections = await driver.consoles(instanceUuid, consoleType);
    if (connections.length === 0) throw new ServiceError('INVALID_ARGUMENT', `Unavailable console type ${consoleType}: the instance has no such console`);
    return consoleAuth.authorize({ connections, access }, context);
  }

  /** Makes the guest and writes the instance's state, `error` where that fails; then throws what the driver threw. */
  async createInstance(instance: Instance): Promise<void> {
    const { uuid } = instance;
    if (instance.host !== this.#parts.host) {
      throw new ServiceError('INVALID_ARGUMENT', `Instance ${uuid} belongs to host ${instance.host ?? 'none'}, not to ${this.#parts.host}`);
    }
    await this.#inTurn(uuid, () => this.#create(instance));
  }

  /** Ends the instance's consoles and its guest. No error when there is none. */
  async deleteInstance(instanceUuid: string): Promise<void> {
    await this.#inTurn(instanceUuid, async () => {
      this.#unwritten.delete(instanceUuid);
      await this.#endConsoles(instanceUuid, 'instance_deleted');
      await this.#parts.driver.destroy(instanceUuid);
    });
  }

  /** Opens the console of a session whose one-time secret consoleauth accepts. Throws UNAUTHENTICATED, NOT_FOUND, UNAVAILABLE. */
  async attach({ sessionId, attachSecret, offset, signal }: AttachOpen): Promise<GuestConsole> {
    const { host, driver, lines, consoleAuth, log } = this.#parts;
    const context = newContext({ timeoutMs: ATTACH_TIMEOUT_MS, signal });
    const { instanceUuid, consoleType, port } = await consoleAuth.attach({ sessionId, attachSecret, host }, context);
    const consoles = await driver.consoles(instanceUuid, consoleType);
    if (!consoles.some((console) => console.port === port)) {
      throw new ServiceError('NOT_FOUND', `Instance ${instanceUuid} has no ${consoleType} console ${port} any more`);
    }
    log.info({ sessionId, instanceUuid, consoleType, port }, 'a console session attaches');
    if (consoleType === 'serial') return lines.attach(instanceUuid, port, offset);
    const stream = await driver.open(instanceUuid, consoleType, port, { signal });
    this.#remember(instanceUuid, stream);
    return { stream, offset: 0 };
  }

  async #create(instance: Instance): Promise<void> {
    const { driver, clock, log } = this.#parts;
    const { uuid } = instance;
    try {
      await driver.spawn(instance);
    } catch (error) {
      this.#unwritten.set(uuid, { vmState: 'error', taskState: null });
      await this.#conclude(uuid).catch((unwritten: unknown) => {
        log.error({ instanceUuid: uuid, err: unwritten }, 'the state of an instance could not be stored');
      });
      throw error;
    }
    this.#unwritten.set(uuid, { vmState: 'active', taskState: null, launchedAt: clock.now() });
    await this.#conclude(uuid);
  }

  /** Writes how a making ended and opens the guest's lines. Until the database takes it, it stays to be written. */
  async #conclude(uuid: string): Promise<void> {
    const { driver, lines } = this.#parts;
    const changes = this.#unwritten.get(uuid);
    if (changes === undefined) return;
    try {
      await this.#write(uuid, changes);
    } catch (error) {
      if (isGone(error)) {
        // Deleted while its guest was made.
        this.#unwritten.delete(uuid);
        await driver.destroy(uuid);
      }
      throw error;
    }
    this.#unwritten.delete(uuid);
    if (changes.vmState === 'active') await lines.openAll(uuid);
  }

  /** Ends the guests, with their consoles, whose instances are deleted. One that the database never knew is not ours to end. */
  async #removeDeleted(guests: readonly string[], present: readonly Instance[]): Promise<void> {
    const { instances, host, log } = this.#parts;
    const known = new Set(present.map(({ uuid }) => uuid));
    const missing = guests.filter((uuid) => !known.has(uuid));
    const deleted = new Set(missing.length === 0 ? [] : await instances.listDeleted(missing, host));
    const strangers = missing.filter((uuid) => !deleted.has(uuid));
    for (const instanceUuid of strangers) {
      if (!this.#strangers.has(instanceUuid)) log.warn({ instanceUuid }, 'a guest on this host belongs to no instance; it is left alone');
    }
    this.#strangers = new Set(strangers);
    for (const instanceUuid of deleted) {
      log.info({ instanceUuid }, 'ending the guest of an instance that was deleted meanwhile');
      await this.deleteInstance(instanceUuid).catch((error: unknown) => log.error({ instanceUuid, err: error }, 'the guest of a deleted instance could not be ended'));
    }
  }

  /** Only at the start: a guest that ends later has ended by itself, and is left as it is. */
  async #resume(instance: Instance): Promise<void> {
    const { driver, log } = this.#parts;
    const { uuid, vmState, taskState } = instance;
    if (vmState !== 'active' || taskState === 'deleting' || (await driver.powerState(uuid)) === 'running') return;
    log.info({ instanceUuid: uuid }, 'a guest that should run does not: starting it');
    await driver.spawn(instance).catch((error: unknown) => log.error({ instanceUuid: uuid, err: error }, 'a guest that should run could not be started'));
  }

  /** Brings an instance's written state in line with its guest's. */
  async #settle({ uuid, vmState, taskState }: Instance): Promise<void> {
    if (!SETTLED.has(vmState) || taskState === 'deleting') return;
    const running = (await this.#parts.driver.powerState(uuid)) === 'running';
    const seen = running ? 'active' : 'stopped';
    if (seen === vmState) return;
    this.#parts.log.info({ instanceUuid: uuid, vmState: seen }, 'a guest changed its state by itself');
    if (!running) await this.#endConsoles(uuid, 'instance_stopped');
    await this.#write(uuid, { vmState: seen }).catch(unlessGone);
  }

  async #list(): Promise<readonly StoredInstance[]> {
    const { instances, host } = this.#parts;
    const all: StoredInstance[] = [];
    for (;;) {
      const marker = all.at(-1)?.uuid;
      const page = await instances.list({ host, limit: PAGE, ...(marker === undefined ? {} : { marker }) });
      all.push(...page);
      if (page.length < PAGE) return all;
    }
  }

  /** The instance as its guest is made from it. Without its keys where they cannot be read: that holds up no other guest. */
  async #withKeys(instance: StoredInstance): Promise<Instance> {
    try {
      const keypairs = await this.#parts.instanceExtra.findKeyPairs(instance.uuid);
      return keypairs === null ? instance : { ...instance, keypairs };
    } catch (error) {
      if (!isServiceError(error) || error.code !== 'INTERNAL') throw error;
      this.#parts.log.error({ instanceUuid: instance.uuid, err: error }, 'a guest is taken up without its keys');
      return instance;
    }
  }

  async #write(uuid: string, changes: InstanceChanges): Promise<void> {
    await this.#parts.instances.update(uuid, changes, this.#parts.clock.now(), this.#parts.host);
  }

  async #whyAbsent(instanceUuid: string): Promise<ServiceError> {
    const instance = await this.#parts.instances.find(instanceUuid);
    if (instance === null) return new ServiceError('NOT_FOUND', `Instance ${instanceUuid} could not be found.`);
    return new ServiceError('FAILED_PRECONDITION', `Instance ${instanceUuid} is not ready (${instance.vmState ?? 'no state'})`);
  }

  #remember(instanceUuid: string, stream: Duplex): void {
    const streams = this.#streams.get(instanceUuid) ?? new Set();
    this.#streams.set(instanceUuid, streams.add(stream));
    stream.once('close', () => {
      streams.delete(stream);
      if (streams.size === 0 && this.#streams.get(instanceUuid) === streams) this.#streams.delete(instanceUuid);
    });
  }

  async #endConsoles(instanceUuid: string, reason: EndReason): Promise<void> {
    for (const stream of [...(this.#streams.get(instanceUuid) ?? [])]) stream.destroy(new ConsoleEnded(reason));
    await this.#parts.lines.closeAll(instanceUuid, reason);
  }

  async #inTurn(instanceUuid: string, work: () => Promise<void>): Promise<void> {
    const before = this.#turns.get(instanceUuid) ?? Promise.resolve();
    const turn = before.then(work, work);
    this.#turns.set(instanceUuid, turn);
    try {
      await turn;
    } finally {
      if (this.#turns.get(instanceUuid) === turn) this.#turns.delete(instanceUuid);
    }
  }
}

function isGone(error: unknown): boolean {
  return isServiceError(error) && error.code === 'NOT_FOUND';
}

function unlessGone(error: unknown): void {
  if (!isGone(error)) throw error;
}

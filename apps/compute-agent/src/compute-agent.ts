/**
 * What a host's agent decides: which guests exist and run, and what state their instances are in.
 *
 * The database says which instances belong here, the driver which guests run; start() and watch() bring the two
 * together. What an action does to a guest comes first, then the instance's state is written; whoever asked has written
 * its task before, and an agent that is started again goes on with the tasks that concern no other host.
 */
import type { InstanceChanges, InstancesStore, StoredInstance } from '@gatehouse/cell-db/instances-store';
import type { AttachOpen } from '@gatehouse/console-stream/attach-call';
import type { GuestConsole } from '@gatehouse/console-stream/open-console';
import type { consoleauth } from '@gatehouse/contracts/consoleauth';
import type { EndReason } from '@gatehouse/errors/endings';
import { ServiceError, isServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleConnection, ConsoleType } from '@gatehouse/objects/console-connection';
import type { ConsoleSession } from '@gatehouse/objects/console-session';
import type { Instance } from '@gatehouse/objects/instance';
import type { Client } from '@gatehouse/rpc/client';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';
import { ConsoleRegistrations } from './console-registrations.ts';
import type { Driver } from './drivers/driver.ts';
import { GuestConsoles } from './guest-consoles.ts';
import type { GuestFacts } from './guest-facts.ts';
import { GuestTurns } from './guest-turns.ts';
import type { SerialLines } from './serial-lines.ts';

export interface ComputeAgentParts {
  /** This host's name. */
  readonly host: string;
  readonly driver: Driver;
  readonly lines: SerialLines;
  readonly instances: Pick<InstancesStore, 'find' | 'list' | 'listDeleted' | 'listLeft' | 'update'>;
  /** What guests are made from; asked wherever one is. */
  readonly guestFacts: GuestFacts;
  readonly consoleAuth: Pick<Client<typeof consoleauth>, 'authorize' | 'attach' | 'attachAll' | 'register'>;
  readonly clock: Clock;
  readonly log: Logger;
}

const PAGE = 500;
/** States in which watch() looks at the guest; the others are somebody's work in progress or a stated failure. */
const SETTLED: ReadonlySet<string | null> = new Set(['active', 'stopped']);
/** An instance in one of these has a guest that runs. */
const RUNNING: ReadonlySet<string | null> = new Set(['active', 'building']);

/** Tasks that end with a guest that runs, and of which an agent that was started again need know no more. */
const STARTING: ReadonlySet<string> = new Set(['powering-on', 'rebooting', 'rebooting_hard']);

export class ComputeAgent {
  readonly #parts: ComputeAgentParts;
  readonly #consoles: GuestConsoles;
  readonly #registrations: ConsoleRegistrations;
  readonly #turns = new GuestTurns();
  /** How a task ended, where the database did not take it; one an instance. watch() writes it again. */
  readonly #unwritten = new Map<string, InstanceChanges>();
  /** Guests made for instances that are on their way here. */
  readonly #received = new Set<string>();
  /** Guests of no instance that were there the last time: told once, not at every watch. */
  #strangers: ReadonlySet<string> = new Set();

  constructor(parts: ComputeAgentParts) {
    const { host, driver, consoleAuth, log } = parts;
    this.#parts = parts;
    this.#consoles = new GuestConsoles(parts);
    this.#registrations = new ConsoleRegistrations(host, driver, consoleAuth, log);
  }

  /**
   * Takes up the guests that the database places here, starts again those that should run and do not (the host was
   * down), and goes on with what was interrupted. Throws UNAVAILABLE while the database is not there.
   */
  async start(): Promise<void> {
    const { driver, lines, guestFacts, log } = this.#parts;
    const instances: StoredInstance[] = [];
    for (const instance of await this.#list()) instances.push(await guestFacts.keyed(instance));
    await driver.restore(instances.map((instance) => (shouldBeOff(instance) ? { ...instance, vmState: 'stopped' } : instance)));
    await this.#removeGone(await driver.list(), instances);
    for (const instance of instances) {
      const { uuid } = instance;
      await this.#goOn(instance).catch((error: unknown) => log.error({ instanceUuid: uuid, err: error }, 'an interrupted task could not be ended'));
      if ((await driver.powerState(uuid)) === 'running') await lines.openAll(uuid);
      this.#registrations.note(uuid);
    }
    log.info({ instances: instances.length, driver: driver.name }, 'guests taken up');
  }

  /**
   * Writes down how tasks ended, where that failed before, and which guests have started or ended by themselves
   * since the last time; ends the guests whose instances were deleted or have moved away without this agent hearing of
   * it; tells consoleauth what it has not heard.
   */
  async watch(): Promise<void> {
    const registered = this.#registrations.tellDue();
    for (const uuid of [...this.#unwritten.keys()]) await this.#turns.take(uuid, () => this.#conclude(uuid)).catch(unlessGone);
    // The guests before the rows: a guest's row is there before the guest, so one made meanwhile is not taken for a stranger.
    const guests = await this.#parts.driver.list();
    const instances = await this.#list();
    await this.#removeGone(guests, instances);
    for (const instance of instances) await this.#settle(instance);
    await registered;
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
    const power = await this.#parts.driver.powerState(instanceUuid);
    if (power !== 'running') throw await this.#whyNotRunning(instanceUuid, power === 'stopped');
    return this.#consoles.authorize(instanceUuid, consoleType, access, context);
  }

  /** Makes the guest and writes the instance's state, `error` where that fails; then throws what the driver threw. */
  createInstance(instance: Instance): Promise<void> {
    return this.#inTurn(instance, async () => {
      await this.#orWrite(instance.uuid, { vmState: 'error', taskState: null }, () => this.#spawn(instance));
      await this.#end(instance.uuid, { vmState: 'active', taskState: null, launchedAt: this.#parts.clock.now() });
    });
  }

  /** Ends the instance's consoles and its guest. No error when there is none. */
  async deleteInstance(instanceUuid: string, reason: EndReason): Promise<void> {
    const { driver, lines } = this.#parts;
    await this.#turns.take(instanceUuid, async () => {
      this.#unwritten.delete(instanceUuid);
      this.#received.delete(instanceUuid);
      this.#registrations.forget(instanceUuid);
      await this.#consoles.whileShut(instanceUuid, reason, () => driver.destroy(instanceUuid));
      lines.forget(instanceUuid);
    });
  }

  /** Switches the guest off. One that is being shelved is `shelved` then, and its task goes on. Throws NOT_FOUND when no such instance is here. */
  async stopInstance(instanceUuid: string, reason: EndReason): Promise<void> {
    await this.#turns.take(instanceUuid, async () => {
      const { driver, instances, host } = this.#parts;
      const found = await instances.find(instanceUuid);
      if (found?.host !== host) throw new ServiceError('NOT_FOUND', `Instance ${instanceUuid} is not on host ${host}`);
      const isShelved = found.taskState === 'shelving';
      await this.#orWrite(instanceUuid, { taskState: null }, () => this.#consoles.whileShut(instanceUuid, reason, () => driver.stop(instanceUuid)));
      await this.#end(instanceUuid, isShelved ? { vmState: 'shelved', taskState: 'shelving_offloading' } : { vmState: 'stopped', taskState: null });
    });
  }

  /** Switches the guest on, if it is off, and writes that it runs; one that has arrived by a resize waits for its user's word. */
  startInstance(instance: Instance): Promise<void> {
    return this.#inTurn(instance, async () => {
      await this.#orWrite(instance.uuid, { taskState: null }, () => this.#spawn(instance));
      this.#received.delete(instance.uuid);
      await this.#end(instance.uuid, { vmState: instance.taskState === 'resize_finish' ? 'resized' : 'active', taskState: null });
    });
  }

  /** Off and on again; `error` where it does not come back. */
  rebootInstance(instance: Instance): Promise<void> {
    const { driver } = this.#parts;
    return this.#inTurn(instance, () => this.#renew(instance, 'instance_rebooted', () => driver.stop(instance.uuid)));
  }

  /** The guest made anew, as the instance is described; off again where it was off. `error` where that fails. */
  rebuildInstance(instance: Instance): Promise<void> {
    const { driver } = this.#parts;
    return this.#inTurn(instance, () => this.#renew(instance, 'instance_rebuilt', () => driver.destroy(instance.uuid)));
  }

  /** Makes the guest of an instance that moves here; its row is not this host's yet. Throws as the driver. */
  async receiveInstance(instance: Instance, live: boolean): Promise<void> {
    await this.#turns.take(instance.uuid, async () => {
      this.#received.add(instance.uuid);
      await (live ? this.#receive(instance) : this.#spawn(instance)).catch((error: unknown) => {
        this.#received.delete(instance.uuid);
        throw error;
      });
    });
  }

  attach(open: AttachOpen): Promise<GuestConsole> {
    return this.#consoles.attach(open);
  }

  confirmConsole(connection: ConsoleConnection): Promise<boolean> {
    return this.#consoles.confirm(connection);
  }

  consoleOutput(instanceUuid: string, length: number | null): Promise<string> {
    return this.#consoles.output(instanceUuid, length);
  }

  /** The guest with the keys that its instance carries now, and a config drive made anew, whatever it was given before. */
  async #spawn(instance: Instance): Promise<void> {
    const { instance: keyed, configDrive } = await this.#parts.guestFacts.materialOf(instance);
    await this.#parts.driver.spawn(keyed, configDrive);
  }

  async #receive(instance: Instance): Promise<void> {
    const { instance: keyed, configDrive } = await this.#parts.guestFacts.materialOf(instance);
    await this.#parts.driver.receive(keyed, configDrive);
  }

  /** Ends the guest in one way or another, and starts it again. */
  async #renew(instance: Instance, reason: EndReason, endGuest: () => Promise<void>): Promise<void> {
    const { driver, guestFacts, clock } = this.#parts;
    const { uuid, vmState } = instance;
    const isOff = vmState === 'stopped' && reason === 'instance_rebuilt';
    await this.#orWrite(uuid, { vmState: 'error', taskState: null }, async () => {
      // Before anything ends: what cannot be known now leaves the guest as it is.
      const { instance: keyed, configDrive } = await guestFacts.materialOf(instance);
      await this.#consoles.whileShut(uuid, reason, endGuest);
      await driver.spawn(keyed, configDrive);
      if (isOff) await driver.stop(uuid);
    });
    const launchedAt = reason === 'instance_rebuilt' ? { launchedAt: clock.now() } : {};
    const after = instance.taskState === 'resize_finish' ? 'resized' : isOff ? 'stopped' : 'active';
    await this.#end(uuid, { vmState: after, taskState: null, ...launchedAt });
  }

  /** Does `work`; where it fails, writes `failed` and throws what it threw. */
  async #orWrite(uuid: string, failed: InstanceChanges, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      await this.#end(uuid, failed).catch((unwritten: unknown) => {
        this.#parts.log.error({ instanceUuid: uuid, err: unwritten }, 'the state of an instance could not be stored');
      });
      throw error;
    }
  }

  async #end(uuid: string, changes: InstanceChanges): Promise<void> {
    this.#unwritten.set(uuid, changes);
    await this.#conclude(uuid);
  }

  /** Writes how a task ended, opens the guest's lines and tells of its consoles. Until the database takes it, it stays to be written. */
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
    if ((await driver.powerState(uuid)) === 'running') await lines.openAll(uuid);
    this.#registrations.tell(uuid);
  }

  /**
   * Ends the guests, with their consoles, whose instances are deleted or have left this host. One that the database never
   * knew, or that is on its way here, is not ours to end.
   */
  async #removeGone(guests: readonly string[], present: readonly Instance[]): Promise<void> {
    const { instances, host, log } = this.#parts;
    const known = new Set(present.map(({ uuid }) => uuid));
    const missing = guests.filter((uuid) => !known.has(uuid));
    const deleted = new Set(missing.length === 0 ? [] : await instances.listDeleted(missing, host));
    const left = new Set(missing.length === 0 ? [] : await instances.listLeft(missing, host));
    const strangers = missing.filter((uuid) => !deleted.has(uuid) && !left.has(uuid) && !this.#received.has(uuid));
    for (const instanceUuid of strangers) {
      if (!this.#strangers.has(instanceUuid)) log.warn({ instanceUuid }, 'a guest on this host belongs to no instance; it is left alone');
    }
    this.#strangers = new Set(strangers);
    for (const instanceUuid of new Set([...deleted, ...left])) {
      const reason = deleted.has(instanceUuid) ? 'instance_deleted' : 'instance_migrated';
      log.info({ instanceUuid, reason }, 'ending the guest of an instance that was deleted or moved away meanwhile');
      await this.deleteInstance(instanceUuid, reason).catch((error: unknown) => log.error({ instanceUuid, err: error }, 'the guest of an instance that is gone could not be ended'));
    }
  }

  /** At the start: the instance's task, where it is one of this host alone, else its guest as it should be. */
  async #goOn(instance: StoredInstance): Promise<void> {
    const { uuid, vmState, taskState } = instance;
    if (taskState === 'deleting') return;
    if (vmState === 'building') await this.createInstance(instance);
    else if (taskState === 'powering-off') await this.stopInstance(uuid, 'instance_stopped');
    else if (taskState === 'rebuilding') await this.rebuildInstance(instance);
    else if ((taskState !== null && STARTING.has(taskState)) || hasArrivedToRun(instance)) await this.startInstance(instance);
    else {
      await this.#resume(instance);
      await this.#settle(instance);
    }
  }

  /** Only at the start: a guest that ends later has ended by itself, and is left as it is. */
  async #resume(instance: StoredInstance): Promise<void> {
    const { driver, log } = this.#parts;
    const { uuid } = instance;
    if (shouldBeOff(instance) || (await driver.powerState(uuid)) === 'running') return;
    log.info({ instanceUuid: uuid }, 'a guest that should run does not: starting it');
    await this.#spawn(instance).catch((error: unknown) => log.error({ instanceUuid: uuid, err: error }, 'a guest that should run could not be started'));
  }

  /** Brings an instance's written state in line with its guest's. */
  async #settle({ uuid, vmState, taskState }: Instance): Promise<void> {
    if (!SETTLED.has(vmState) || taskState !== null) return;
    const running = (await this.#parts.driver.powerState(uuid)) === 'running';
    const seen = running ? 'active' : 'stopped';
    if (seen === vmState) return;
    this.#parts.log.info({ instanceUuid: uuid, vmState: seen }, 'a guest changed its state by itself');
    if (!running) await this.#consoles.end(uuid, 'instance_stopped');
    await this.#write(uuid, { vmState: seen }).catch(unlessGone);
    this.#registrations.tell(uuid);
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

  async #write(uuid: string, changes: InstanceChanges): Promise<void> {
    await this.#parts.instances.update(uuid, changes, this.#parts.clock.now(), this.#parts.host);
  }

  async #whyNotRunning(instanceUuid: string, isKnown: boolean): Promise<ServiceError> {
    const instance = await this.#parts.instances.find(instanceUuid);
    if (instance === null) return new ServiceError('NOT_FOUND', `Instance ${instanceUuid} could not be found.`);
    const { vmState } = instance;
    if (isKnown || vmState === 'stopped') return new ServiceError('FAILED_PRECONDITION', `Instance ${instanceUuid} is stopped; its consoles open when it runs`);
    return new ServiceError('FAILED_PRECONDITION', `Instance ${instanceUuid} is not ready (${vmState ?? 'no state'})`);
  }

  /** Throws INVALID_ARGUMENT when the instance is another host's. */
  async #inTurn({ uuid, host }: Instance, work: () => Promise<void>): Promise<void> {
    if (host !== this.#parts.host) {
      throw new ServiceError('INVALID_ARGUMENT', `Instance ${uuid} belongs to host ${host ?? 'none'}, not to ${this.#parts.host}`);
    }
    await this.#turns.take(uuid, work);
  }
}

function shouldBeOff({ vmState, systemMetadata }: StoredInstance): boolean {
  // One that was resized is as it was before.
  return !RUNNING.has(vmState === 'resized' ? (systemMetadata['old_vm_state'] ?? 'active') : vmState);
}

/** The row is here, and its guest was to be started next, whatever state it came in. */
function hasArrivedToRun({ vmState, taskState }: Instance): boolean {
  return taskState === 'spawning' || (taskState === 'rebuild_spawning' && vmState !== 'stopped');
}

function isGone(error: unknown): boolean {
  return isServiceError(error) && error.code === 'NOT_FOUND';
}

function unlessGone(error: unknown): void {
  if (!isGone(error)) throw error;
}

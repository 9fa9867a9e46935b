/**
 * The driver of guests that are part of this process. It needs nothing of its host, so it is what `npm start` runs
 * and what tests run against: real consoles that speak the real protocols. Its guests live as long as the process;
 * restore makes them anew.
 */
import type { Duplex } from 'node:stream';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleConnection } from '@gatehouse/objects/console-connection';
import type { Instance } from '@gatehouse/objects/instance';
import type { Clock } from '@gatehouse/runtime/clock';
import { attachConnections, portCount } from '../attach-connections.ts';
import type { ConsoleType, Driver, OpenOptions, PowerState } from '../driver.ts';
import { SimulatedGuest } from './simulated-guest.ts';
import type { RefusalListener } from './simulated-guest.ts';

const GUESTS_MAX = 10_000;
/** vm_state of instances whose guest is off: known, but not made anew. */
const OFF_STATES: ReadonlySet<string> = new Set(['stopped', 'error', 'deleted']);

export interface SimulatedDriverOptions {
  /** This compute host, as the connections name it. */
  readonly host: string;
  readonly clock: Clock;
  /** Hears why a console's client was cut off: what it sent was no RFB. */
  readonly onRefused?: RefusalListener;
}

export class SimulatedDriver implements Driver {
  readonly name = 'simulated';
  readonly #options: SimulatedDriverOptions;
  /** Null: known, but off. */
  readonly #guests = new Map<string, SimulatedGuest | null>();

  constructor(options: SimulatedDriverOptions) {
    this.#options = options;
  }

  async spawn(instance: Instance): Promise<void> {
    if (this.#guests.get(instance.uuid)) return;
    if (this.#guests.size >= GUESTS_MAX) {
      throw new ServiceError('RESOURCE_EXHAUSTED', `this host has ${GUESTS_MAX} guests, as many as it takes`);
    }
    const { clock, onRefused = () => {} } = this.#options;
    this.#guests.set(instance.uuid, new SimulatedGuest(instance, clock, onRefused));
  }

  async destroy(instanceUuid: string): Promise<void> {
    const guest = this.#guests.get(instanceUuid);
    this.#guests.delete(instanceUuid);
    guest?.stop();
  }

  async restore(instances: readonly Instance[]): Promise<void> {
    for (const instance of instances) {
      if (OFF_STATES.has(instance.vmState ?? '')) {
        this.#guests.set(instance.uuid, null);
        continue;
      }
      // A guest that cannot be made anew is off; spawn says why when it is asked for.
      await this.spawn(instance).catch(() => this.#guests.set(instance.uuid, null));
    }
  }

  async list(): Promise<readonly string[]> {
    return [...this.#guests.keys()];
  }

  async consoles(instanceUuid: string, consoleType: ConsoleType): Promise<ConsoleConnection[]> {
    const guest = this.#known(instanceUuid);
    if (guest === null) return [];
    return attachConnections({ host: this.#options.host, instanceUuid, serialPorts: guest.serialPorts }, consoleType);
  }

  async open(instanceUuid: string, consoleType: ConsoleType, port: number, options: OpenOptions = {}): Promise<Duplex> {
    if (options.signal?.aborted) throw new ServiceError('CANCELLED', 'opening the console was given up');
    const guest = this.#known(instanceUuid);
    if (guest === null) throw new ServiceError('UNAVAILABLE', `instance ${instanceUuid} is off; start it to open its console`);
    if (port < 0 || port >= portCount(guest.serialPorts, consoleType)) {
      throw new ServiceError('NOT_FOUND', `instance ${instanceUuid} has no ${consoleType} console ${port}`);
    }
    return consoleType === 'serial' ? guest.openSerial(port) : guest.openScreen();
  }

  async powerState(instanceUuid: string): Promise<PowerState> {
    const guest = this.#guests.get(instanceUuid);
    if (guest === undefined) return 'absent';
    return guest === null ? 'stopped' : 'running';
  }

  async close(): Promise<void> {
    for (const guest of this.#guests.values()) guest?.stop();
    this.#guests.clear();
  }

  #known(instanceUuid: string): SimulatedGuest | null {
    const guest = this.#guests.get(instanceUuid);
    if (guest === undefined) throw new ServiceError('NOT_FOUND', `instance ${instanceUuid} is not on this host`);
    return guest;
  }
}

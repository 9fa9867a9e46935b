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
import { attachConnections, portCount, tcpConnection } from '../attach-connections.ts';
import type { ConsoleType, Driver, OpenOptions, PowerState } from '../driver.ts';
import type { TcpPorts } from '../tcp-ports.ts';
import { SimulatedGuest } from './simulated-guest.ts';
import type { RefusalListener } from './simulated-guest.ts';
import { TcpSerialPort } from './tcp-serial-port.ts';

const GUESTS_MAX = 10_000;
/** vm_state of instances whose guest is off: known, but not made anew. */
const OFF_STATES: ReadonlySet<string> = new Set(['stopped', 'error', 'deleted', 'shelved', 'shelved_offloaded']);

export interface SimulatedDriverOptions {
  /** This compute host, as the connections name it. */
  readonly host: string;
  readonly clock: Clock;
  /** Hears why a console's client was cut off: what it sent was no RFB. */
  readonly onRefused?: RefusalListener;
  /** Guests serve their serial ports on these, as Nova's do; null or unset: they are reached through the agent. */
  readonly tcpPorts?: TcpPorts | null;
}

interface Running {
  readonly guest: SimulatedGuest;
  /** Null where the serial ports are reached through the agent. */
  readonly serialPorts: readonly TcpSerialPort[] | null;
}

export class SimulatedDriver implements Driver {
  readonly name = 'simulated';
  readonly #options: SimulatedDriverOptions;
  /** Null: known, but off. */
  readonly #guests = new Map<string, Running | null>();

  constructor(options: SimulatedDriverOptions) {
    this.#options = options;
  }

  async spawn(instance: Instance): Promise<void> {
    if (this.#guests.get(instance.uuid)) return;
    if (this.#guests.size >= GUESTS_MAX) {
      throw new ServiceError('RESOURCE_EXHAUSTED', `this host has ${GUESTS_MAX} guests, as many as it takes`);
    }
    const { clock, onRefused = () => {}, tcpPorts = null } = this.#options;
    const guest = new SimulatedGuest(instance, { clock, onRefused, keepsLog: tcpPorts !== null });
    const serialPorts = tcpPorts && (await TcpSerialPort.openAll(guest, tcpPorts));
    this.#guests.set(instance.uuid, { guest, serialPorts });
  }

  /** What runs is our own code: it begins anew, with consoles of its own here. */
  receive(instance: Instance): Promise<void> {
    return this.spawn(instance);
  }

  async stop(instanceUuid: string): Promise<void> {
    const running = this.#guests.get(instanceUuid);
    if (!running) return;
    this.#guests.set(instanceUuid, null);
    await end(running);
  }

  async destroy(instanceUuid: string): Promise<void> {
    const running = this.#guests.get(instanceUuid);
    this.#guests.delete(instanceUuid);
    if (running) await end(running);
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
    const running = this.#known(instanceUuid);
    if (running === null) return [];
    const { host, tcpPorts } = this.#options;
    if (consoleType === 'serial' && running.serialPorts !== null && tcpPorts) {
      return running.serialPorts.map(({ port }) => tcpConnection({ host, instanceUuid, address: tcpPorts.address, port }, consoleType));
    }
    return attachConnections({ host, instanceUuid, serialPorts: running.guest.serialPorts }, consoleType);
  }

  async open(instanceUuid: string, consoleType: ConsoleType, port: number, options: OpenOptions = {}): Promise<Duplex> {
    if (options.signal?.aborted) throw new ServiceError('CANCELLED', 'opening the console was given up');
    const running = this.#known(instanceUuid);
    if (running === null) throw new ServiceError('UNAVAILABLE', `instance ${instanceUuid} is off; start it to open its console`);
    const { guest, serialPorts } = running;
    if (consoleType === 'serial' && serialPorts !== null) {
      throw new ServiceError('NOT_FOUND', `the serial ports of instance ${instanceUuid} are reached by TCP, not through its agent`);
    }
    if (port < 0 || port >= portCount(guest.serialPorts, consoleType)) {
      throw new ServiceError('NOT_FOUND', `instance ${instanceUuid} has no ${consoleType} console ${port}`);
    }
    return consoleType === 'serial' ? guest.openSerial(port) : guest.openScreen();
  }

  async serialLog(instanceUuid: string): Promise<Buffer> {
    const log = this.#known(instanceUuid)?.guest.serialLog;
    if (!log) throw new ServiceError('UNIMPLEMENTED', `nothing is kept of what instance ${instanceUuid} prints`);
    return log;
  }

  async powerState(instanceUuid: string): Promise<PowerState> {
    const running = this.#guests.get(instanceUuid);
    if (running === undefined) return 'absent';
    return running === null ? 'stopped' : 'running';
  }

  async close(): Promise<void> {
    const all = [...this.#guests.values()];
    this.#guests.clear();
    await Promise.all(all.filter((running) => running !== null).map(end));
  }

  #known(instanceUuid: string): Running | null {
    const running = this.#guests.get(instanceUuid);
    if (running === undefined) throw new ServiceError('NOT_FOUND', `instance ${instanceUuid} is not on this host`);
    return running;
  }
}

async function end({ guest, serialPorts }: Running): Promise<void> {
  guest.stop();
  await Promise.all((serialPorts ?? []).map((port) => port.close()));
}

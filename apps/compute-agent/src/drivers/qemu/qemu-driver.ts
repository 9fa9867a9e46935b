/**
 * Real machines: a QEMU process an instance, in the background, its screen, serial lines and control on unix sockets in a
 * folder that only this user may enter. A machine does not need the agent: an agent that comes back finds it by its
 * folder, looks that the process is the one it takes it for, and connects to its control socket again.
 */
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError, isServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleConnection } from '@gatehouse/objects/console-connection';
import type { Instance } from '@gatehouse/objects/instance';
import type { Logger } from '@gatehouse/runtime/logger';
import { attachConnections, tcpConnection } from '../attach-connections.ts';
import type { ConsoleType, DriveFiles, Driver, OpenOptions, PowerState } from '../driver.ts';
import { SPICE_PORTS, TcpPorts } from '../tcp-ports.ts';
import type { ChosenPort } from '../tcp-ports.ts';
import { SERIAL_PORTS_MAX, serialPortCount } from '@gatehouse/objects/serial-port-count';
import { chooseAccelerator } from './accelerator.ts';
import { findVolumeProgram, makeVolume } from './config-drive-volume.ts';
import { checkStateDir, isMachineName, machineArguments, machinePaths } from './machine.ts';
import type { MachinePaths, QemuSettings } from './machine.ts';
import { chooseSpice, readSpicePlace } from './machine-spice.ts';
import type { SpicePlace } from './machine-spice.ts';
import { findMachine, killMachine, startMachine, waitUntilGone } from './machine-process.ts';
import { connectQmp } from './qmp-client.ts';
import type { QmpClient } from './qmp-client.ts';
import { openStateDir } from './state-dir.ts';

export interface QemuDriverOptions {
  /** This host's name, for the connections. */
  readonly host: string;
  readonly settings: QemuSettings;
  readonly log: Logger;
}

interface Machine {
  readonly uuid: string;
  readonly paths: MachinePaths;
  readonly serialPorts: number;
  /** Null: it has no SPICE. */
  readonly spice: SpicePlace | null;
  /** Null once it has died, or while it has not answered. */
  control: QmpClient | null;
  /** The attempt to take its control socket that is under way; a second client would wait for the first. */
  holding: Promise<void> | null;
}

const START_TIMEOUT_MS = 20_000;
const START_POLL_MS = 20;
const QUIT_TIMEOUT_MS = 3_000;
const KILL_TIMEOUT_MS = 5_000;
const OPEN_TIMEOUT_MS = 5_000;
/** One that does not answer takes seconds; the others need not wait for it. */
const RESTORED_AT_ONCE = 8;

/** Throws ServiceError FAILED_PRECONDITION when the host's folder cannot be used. */
export async function createQemuDriver({ host, settings, log }: QemuDriverOptions): Promise<Driver> {
  checkStateDir(settings.stateDir);
  await openStateDir(settings.stateDir);
  const accelerator = await chooseAccelerator(settings.accelerator, settings.binary, settings.stateDir);
  const spice = await chooseSpice(settings.spice, settings.binary);
  const volumeProgram = await findVolumeProgram(settings.volumeProgram ?? null);
  log.info({ accelerator, wanted: settings.accelerator, spice, volumeProgram }, 'QEMU machines run with this accelerator, their screens by SPICE like this, and their config drives are made by this');
  return new QemuDriver({ host, settings: { ...settings, accelerator, spice, volumeProgram }, log });
}

interface Chosen {
  readonly accelerator: 'kvm' | 'tcg';
  readonly spice: 'unix' | 'tcp' | 'off';
  readonly volumeProgram: string | null;
}

class QemuDriver implements Driver {
  readonly name = 'qemu';
  readonly #host: string;
  readonly #settings: QemuSettings & Chosen;
  readonly #spicePorts: TcpPorts;
  readonly #log: Logger;
  readonly #machines = new Map<string, Machine>();

  constructor({ host, settings, log }: QemuDriverOptions & { readonly settings: Chosen }) {
    this.#host = host;
    this.#settings = settings;
    this.#spicePorts = new TcpPorts(settings.spiceListen, settings.spicePortRange, SPICE_PORTS);
    this.#log = log;
  }

  async spawn(instance: Instance, configDrive: DriveFiles | null = null): Promise<void> {
    const { uuid } = instance;
    if (this.#machines.get(uuid)?.control?.isOpen) return;
    if (!this.#machines.has(uuid) && this.#machines.size >= this.#settings.machinesMax) {
      throw new ServiceError('RESOURCE_EXHAUSTED', `this host runs at most ${this.#settings.machinesMax} machines`);
    }
    const serialPorts = serialPortCount(instance.metadata ?? {});
    const paths = machinePaths(this.#settings.stateDir, uuid);
    let machine = this.#machines.get(uuid);
    if ((await findMachine(paths.pidFile, uuid)) === null) machine = await this.#make(uuid, paths, serialPorts, configDrive);
    machine ??= { uuid, paths, ...((await readRecord(paths)) ?? { serialPorts, spice: null }), control: null, holding: null };
    this.#machines.set(uuid, machine);
    await this.#hold(machine);
  }

  /** Its folder and its process. */
  async #make(uuid: string, paths: MachinePaths, serialPorts: number, configDrive: DriveFiles | null): Promise<Machine> {
    const settings = this.#settings;
    await rm(paths.folder, { recursive: true, force: true });
    await mkdir(paths.folder, { mode: 0o700 });
    const chosen = settings.spice === 'tcp' ? await this.#spicePorts.choose() : null;
    try {
      const spice = settings.spice === 'off' ? null : this.#spicePlace(chosen);
      await writeFile(paths.record, JSON.stringify({ serialPorts, spice }), { mode: 0o600 });
      if (configDrive !== null) await this.#makeVolume(configDrive, paths);
      const { accelerator } = settings;
      await this.#start(machineArguments({ uuid, settings, paths, accelerator, serialPorts, spice, configDrive: configDrive !== null }), paths);
      return { uuid, paths, serialPorts, spice, control: null, holding: null };
    } finally {
      chosen?.release();
    }
  }

  /** Anew at every start; one that cannot be made leaves nothing. */
  async #makeVolume(configDrive: DriveFiles, paths: MachinePaths): Promise<void> {
    try {
      await makeVolume(this.#settings.volumeProgram, configDrive, paths.configDrive);
    } catch (error) {
      await rm(paths.folder, { recursive: true, force: true });
      throw error;
    }
  }

  #spicePlace(chosen: ChosenPort | null): SpicePlace {
    return chosen === null ? { transport: 'attach' } : { transport: 'tcp', address: this.#spicePorts.address, port: chosen.port };
  }

  async receive(): Promise<void> {
    throw new ServiceError('UNIMPLEMENTED', 'the driver qemu does not bring over what runs in a machine; migrate it cold, which makes it anew');
  }

  /** Its folder stays, so that an agent that comes back knows of it. */
  async stop(instanceUuid: string): Promise<void> {
    await this.#endProcess(instanceUuid);
  }

  async destroy(instanceUuid: string): Promise<void> {
    await this.#endProcess(instanceUuid);
    this.#machines.delete(instanceUuid);
    await rm(machinePaths(this.#settings.stateDir, instanceUuid).folder, { recursive: true, force: true });
  }

  async #endProcess(instanceUuid: string): Promise<void> {
    const paths = machinePaths(this.#settings.stateDir, instanceUuid);
    const machine = this.#machines.get(instanceUuid);
    const pid = await findMachine(paths.pidFile, instanceUuid);
    if (pid !== null) {
      // Its answer may come or not: the process is what counts.
      await machine?.control?.command('quit').catch(() => {});
      const quit = machine?.control ? await waitUntilGone(pid, instanceUuid, QUIT_TIMEOUT_MS) : false;
      if (!quit) await killMachine(pid, instanceUuid);
      if (!quit && !(await waitUntilGone(pid, instanceUuid, KILL_TIMEOUT_MS))) {
        throw new ServiceError('UNAVAILABLE', `the process of instance ${instanceUuid} does not end; try again`);
      }
    }
    machine?.control?.close();
    if (machine) machine.control = null;
  }

  async restore(instances: readonly Instance[]): Promise<void> {
    const rest = instances.values();
    const takeUp = async (): Promise<void> => {
      for (const { uuid } of rest) await this.#find(uuid);
    };
    await Promise.all(Array.from({ length: RESTORED_AT_ONCE }, takeUp));
  }

  async list(): Promise<readonly string[]> {
    return (await readdir(this.#settings.stateDir)).filter(isMachineName);
  }

  async consoles(instanceUuid: string, consoleType: ConsoleType): Promise<ConsoleConnection[]> {
    const machine = this.#get(instanceUuid);
    if (!machine.control?.isOpen) return [];
    const { serialPorts, spice } = machine;
    if (consoleType === 'spice-html5' && spice?.transport === 'tcp') return [tcpConnection({ host: this.#host, instanceUuid, ...spice }, consoleType)];
    return attachConnections({ host: this.#host, instanceUuid, serialPorts, spice: spice !== null }, consoleType);
  }

  async open(instanceUuid: string, consoleType: ConsoleType, port: number, options: OpenOptions = {}): Promise<Duplex> {
    const { paths } = this.#get(instanceUuid);
    const known = (await this.consoles(instanceUuid, consoleType)).find((console) => console.port === port);
    if (known === undefined) throw new ServiceError('NOT_FOUND', `the instance has no console ${consoleType} ${port} now`);
    if (known.options['transport'] === 'tcp') throw new ServiceError('NOT_FOUND', `console ${consoleType} ${port} is reached by TCP, not through its agent`);
    if (consoleType === 'serial') return openSocket(paths.serial(port), options.signal);
    return openSocket(consoleType === 'novnc' ? paths.vnc : paths.spice, options.signal);
  }

  async serialLog(instanceUuid: string): Promise<Buffer> {
    throw new ServiceError('UNIMPLEMENTED', `the serial ports of instance ${instanceUuid} are held by its agent`);
  }

  async powerState(instanceUuid: string): Promise<PowerState> {
    const machine = this.#machines.get(instanceUuid);
    if (!machine) return 'absent';
    // A machine that did not answer once may answer now.
    await this.#takeUp(machine);
    return machine.control?.isOpen ? 'running' : 'stopped';
  }

  async close(): Promise<void> {
    for (const { control } of this.#machines.values()) control?.close();
    this.#machines.clear();
  }

  #get(uuid: string): Machine {
    const machine = this.#machines.get(uuid);
    if (!machine) throw new ServiceError('NOT_FOUND', `this host has no machine of instance ${uuid}`);
    return machine;
  }

  async #find(uuid: string): Promise<void> {
    const paths = machinePaths(this.#settings.stateDir, uuid);
    const record = await readRecord(paths);
    if (record === null) return;
    const machine: Machine = { uuid, paths, ...record, control: null, holding: null };
    this.#machines.set(uuid, machine);
    await this.#takeUp(machine);
  }

  /** Holds the machine if its process runs and nobody does; its control stays null where it does not answer. */
  async #takeUp(machine: Machine): Promise<void> {
    if (machine.control?.isOpen || (await findMachine(machine.paths.pidFile, machine.uuid)) === null) return;
    await this.#hold(machine).catch((error: unknown) => {
      this.#log.warn({ instanceUuid: machine.uuid, err: error }, 'a machine could not be taken up again');
    });
  }

  /** Resolves when the machine answers; one that does not start leaves nothing. */
  async #start(args: readonly string[], paths: MachinePaths): Promise<void> {
    const { failed, kill } = startMachine(this.#settings.binary, args, paths.folder);
    let failure: string | null = null;
    void failed.then((words) => (failure = words));
    const deadline = performance.now() + START_TIMEOUT_MS;
    while (failure === null && performance.now() < deadline) {
      const control = await connectQmp(paths.qmp).catch(() => null);
      if (control) {
        control.close();
        return;
      }
      await sleep(START_POLL_MS);
    }
    kill();
    const words = failure ?? `it did not answer within ${START_TIMEOUT_MS} ms`;
    await rm(paths.folder, { recursive: true, force: true });
    throw new ServiceError('FAILED_PRECONDITION', `the machine did not start: ${words}`);
  }

  /** Takes the machine's control socket, and notices its death from then on. Who comes meanwhile shares the attempt. */
  #hold(machine: Machine): Promise<void> {
    machine.holding ??= this.#takeControl(machine).finally(() => {
      machine.holding = null;
    });
    return machine.holding;
  }

  async #takeControl(machine: Machine): Promise<void> {
    if (machine.control?.isOpen) return;
    const control = await connectQmp(machine.paths.qmp);
    try {
      const answer = await control.command('query-uuid');
      if (!isAnswerOf(answer, machine.uuid)) throw new ServiceError('INTERNAL', 'a control socket belongs to another machine');
      if (this.#machines.get(machine.uuid) !== machine) throw new ServiceError('UNAVAILABLE', 'the machine was let go meanwhile');
    } catch (error) {
      control.close();
      throw error;
    }
    machine.control = control;
    void control.closed.then(() => {
      if (this.#machines.get(machine.uuid) !== machine) return;
      machine.control = null;
      this.#log.info({ instanceUuid: machine.uuid }, 'a machine has ended');
    });
  }
}

function isAnswerOf(answer: unknown, uuid: string): boolean {
  return typeof answer === 'object' && answer !== null && 'UUID' in answer && answer.UUID === uuid;
}

/** What was written of a machine when it was made; null where that is not to be read. One of before SPICE has none. */
async function readRecord(paths: MachinePaths): Promise<Pick<Machine, 'serialPorts' | 'spice'> | null> {
  try {
    const record = JSON.parse(await readFile(paths.record, 'utf8')) as { serialPorts?: unknown; spice?: unknown } | null;
    const ports = record?.serialPorts;
    if (typeof ports !== 'number' || ports < 1 || ports > SERIAL_PORTS_MAX) return null;
    return { serialPorts: ports, spice: readSpicePlace(record?.spice) };
  } catch {
    return null;
  }
}

function openSocket(socketPath: string, signal?: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      socket.destroy();
      const refused = isServiceError(error) ? error : new ServiceError('UNAVAILABLE', 'the console of the machine cannot be reached', { cause: error });
      reject(refused);
    };
    const abort = (): void => fail(new ServiceError('CANCELLED', 'the console is no longer wanted'));
    const timer = setTimeout(() => fail(new ServiceError('UNAVAILABLE', `the machine did not open its console within ${OPEN_TIMEOUT_MS} ms`)), OPEN_TIMEOUT_MS);
    if (signal?.aborted) return abort();
    signal?.addEventListener('abort', abort, { once: true });
    socket.once('error', fail);
    socket.once('connect', () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      socket.removeListener('error', fail);
      resolve(socket);
    });
  });
}

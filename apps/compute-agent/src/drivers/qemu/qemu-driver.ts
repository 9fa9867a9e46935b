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
import { attachConnections } from '../attach-connections.ts';
import type { ConsoleType, Driver, OpenOptions, PowerState } from '../driver.ts';
import { SERIAL_PORTS_MAX, serialPortCount } from '@gatehouse/objects/serial-port-count';
import { chooseAccelerator } from './accelerator.ts';
import { checkStateDir, isMachineName, machineArguments, machinePaths } from './machine.ts';
import type { MachinePaths, QemuSettings } from './machine.ts';
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
  log.info({ accelerator, wanted: settings.accelerator }, 'QEMU machines run with this accelerator');
  return new QemuDriver(host, settings, accelerator, log);
}

class QemuDriver implements Driver {
  readonly name = 'qemu';
  readonly #host: string;
  readonly #settings: QemuSettings;
  readonly #accelerator: 'kvm' | 'tcg';
  readonly #log: Logger;
  readonly #machines = new Map<string, Machine>();

  constructor(host: string, settings: QemuSettings, accelerator: 'kvm' | 'tcg', log: Logger) {
    this.#host = host;
    this.#settings = settings;
    this.#accelerator = accelerator;
    this.#log = log;
  }

  async spawn(instance: Instance): Promise<void> {
    const { uuid } = instance;
    if (this.#machines.get(uuid)?.control?.isOpen) return;
    if (!this.#machines.has(uuid) && this.#machines.size >= this.#settings.machinesMax) {
      throw new ServiceError('RESOURCE_EXHAUSTED', `this host runs at most ${this.#settings.machinesMax} machines`);
    }
    const serialPorts = serialPortCount(instance.metadata ?? {});
    const paths = machinePaths(this.#settings.stateDir, uuid);
    let machine = this.#machines.get(uuid);
    if ((await findMachine(paths.pidFile, uuid)) === null) {
      machine = undefined;
      await rm(paths.folder, { recursive: true, force: true });
      await mkdir(paths.folder, { mode: 0o700 });
      await writeFile(paths.record, JSON.stringify({ serialPorts }), { mode: 0o600 });
      const args = machineArguments({ uuid, settings: this.#settings, paths, accelerator: this.#accelerator, serialPorts });
      await this.#start(args, paths);
    }
    machine ??= { uuid, paths, serialPorts, control: null, holding: null };
    this.#machines.set(uuid, machine);
    await this.#hold(machine);
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
    return attachConnections({ host: this.#host, instanceUuid, serialPorts: machine.serialPorts }, consoleType);
  }

  async open(instanceUuid: string, consoleType: ConsoleType, port: number, options: OpenOptions = {}): Promise<Duplex> {
    const { paths } = this.#get(instanceUuid);
    const known = (await this.consoles(instanceUuid, consoleType)).some((console) => console.port === port);
    if (!known) throw new ServiceError('NOT_FOUND', `the instance has no console ${consoleType} ${port} now`);
    return openSocket(consoleType === 'novnc' ? paths.vnc : paths.serial(port), options.signal);
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
    const serialPorts = await recordedSerialPorts(paths);
    if (serialPorts === null) return;
    const machine: Machine = { uuid, paths, serialPorts, control: null, holding: null };
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

async function recordedSerialPorts(paths: MachinePaths): Promise<number | null> {
  try {
    const record: unknown = JSON.parse(await readFile(paths.record, 'utf8'));
    const ports = typeof record === 'object' && record !== null && 'serialPorts' in record ? record.serialPorts : null;
    return typeof ports === 'number' && ports >= 1 && ports <= SERIAL_PORTS_MAX ? ports : null;
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

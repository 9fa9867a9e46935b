/**
 * How a host reaches its guests. A driver makes guests, switches them off, ends them, says which consoles they have and
 * opens one of those consoles as a stream of bytes. It knows nothing of tokens, sessions, RPC or databases: the agent
 * decides who may reach what, the driver only reaches it.
 *
 * Console numbering: `port` of a connection that is reached through the agent's Attach stream (options.transport =
 * 'attach') is the ordinal of the device, from 0 in the order the guest sees them (first serial port = 0). Where a guest
 * serves its port on the network itself (options.transport = 'tcp'), it is the TCP port, at options.address; the
 * agent opens no such port.
 *
 * Who shares a console: the agent opens a serial port once, when the guest is made or found, keeps it open, keeps
 * its scrollback and hands it from one session to the next; a driver's serial port therefore needs to serve one
 * opener at a time and no history of its own. Of a graphical console the agent opens a fresh stream for each
 * session, several at once; of a SPICE console one for each of a client's channels.
 */
import type { Duplex } from 'node:stream';
import type { ConsoleConnection } from '@gatehouse/objects/console-connection';
import type { Instance } from '@gatehouse/objects/instance';

export type ConsoleType = ConsoleConnection['consoleType'];

/** `running`: consoles can be opened. `stopped`: the driver knows the guest, but it is off or has died.
 *  `absent`: the driver has no such guest. */
export type PowerState = 'running' | 'stopped' | 'absent';

export interface OpenOptions {
  /** The first byte of the console's output that the opener has not seen. Only a driver that keeps history can
   *  honour it (none has to); the stream then begins at that byte. */
  readonly offset?: number | null;
  /** Gives the attempt up; the stream, once returned, is ended by destroying it. */
  readonly signal?: AbortSignal;
}

/** What a guest's config drive holds, by path below its root, such as `openstack/latest/meta_data.json`. */
export type DriveFiles = ReadonlyMap<string, Buffer>;

export interface Driver {
  /** As in GATEHOUSE_DRIVER: 'simulated', 'qemu'. */
  readonly name: string;

  /** Makes and starts the guest; resolves when its consoles can be opened. A guest that exists already is left as it
   *  is when it runs, and started when it is stopped. What starts has a config drive with these files, read-only and labelled
   *  `config-2`, and no other; a driver whose guests have no drives does without. Throws ServiceError: INVALID_ARGUMENT for
   *  metadata that no guest can be made from, RESOURCE_EXHAUSTED, FAILED_PRECONDITION for a host that lacks something. */
  spawn(instance: Instance, configDrive?: DriveFiles | null): Promise<void>;

  /** spawn, for a guest that runs on another host at this moment and goes on here. UNIMPLEMENTED where what runs cannot be
   *  brought over. */
  receive(instance: Instance, configDrive?: DriveFiles | null): Promise<void>;

  /** Switches the guest off; it is known still, its consoles are gone and spawn starts it again. A guest that is off, or
   *  that does not exist, is no error. UNAVAILABLE when it does not end. */
  stop(instanceUuid: string): Promise<void>;

  /** Ends the guest and everything it left on the host. A guest that does not exist is no error. */
  destroy(instanceUuid: string): Promise<void>;

  /** Called once, before anything else, with every instance that the database places on this host: finds (or, where
   *  a guest lives in this very process, makes anew) those that run. Never throws for a single guest: powerState tells.
   *  Guests on this host that none of these instances is are left alone; list names them too. */
  restore(instances: readonly Instance[]): Promise<void>;

  /** The uuids of all guests that it has or finds on this host, also those that are off or half made. */
  list(): Promise<readonly string[]>;

  /** The consoles of that type, by ascending port; empty when the guest has none of that type or is stopped. `tokenHash`, `accessUrl`
   *  and `expires` are null; `options` say how it is reached. NOT_FOUND when there is no such guest. */
  consoles(instanceUuid: string, consoleType: ConsoleType): Promise<ConsoleConnection[]>;

  /** Opens the console: what is read is the console's output, what is written is its input; both with
   *  back-pressure. The stream ends or fails when the guest does. NOT_FOUND when there is no such guest or console,
   *  UNAVAILABLE when it is there but cannot be reached. */
  open(instanceUuid: string, consoleType: ConsoleType, port: number, options?: OpenOptions): Promise<Duplex>;

  /** What the guest printed lately on its first serial port, where that is reached by TCP and so not held by the agent.
   *  NOT_FOUND when there is no such guest, UNIMPLEMENTED where nothing is kept. */
  serialLog(instanceUuid: string): Promise<Buffer>;

  powerState(instanceUuid: string): Promise<PowerState>;

  /** Lets go of the guests: a guest outside this process keeps running and is found by the next restore. */
  close(): Promise<void>;
}

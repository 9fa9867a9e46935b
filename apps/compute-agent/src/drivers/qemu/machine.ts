/**
 * One QEMU machine on this host as files: its folder, its sockets, the command that starts it. Everything is derived from
 * the instance's uuid and the host's settings; no word of a user's reaches the command line.
 */
import path from 'node:path';
import { ServiceError } from '@gatehouse/errors/service-error';
import { isUuid } from '@gatehouse/objects/fields';
import type { PortRange } from '../tcp-ports.ts';
import { spiceArguments } from './machine-spice.ts';
import type { SpicePlace } from './machine-spice.ts';

export interface QemuSettings {
  /** The folder of all machines; private to this user. Short: see SOCKET_PATH_BYTES_MAX. */
  readonly stateDir: string;
  readonly binary: string;
  readonly memoryMb: number;
  /** `auto`: KVM where it is there and works, else TCG. */
  readonly accelerator: 'auto' | 'kvm' | 'tcg';
  /** Null: the machine has none, and shows its firmware. */
  readonly kernel: string | null;
  readonly initrd: string | null;
  readonly append: string | null;
  /** An image that all machines begin from and none changes; `.qcow2` by its name, else raw. */
  readonly disk: string | null;
  /** Makes volumes of config drives; the first that this host has where null. */
  readonly volumeProgram?: string | null;
  readonly machinesMax: number;
  /** SPICE beside VNC: `auto`: on a unix socket where QEMU can; `unix`, `tcp`: it must; `off`: VNC alone. */
  readonly spice: 'auto' | 'unix' | 'tcp' | 'off';
  /** Where `tcp` listens. */
  readonly spiceListen: string;
  readonly spicePortRange: PortRange;
}

export interface MachinePaths {
  readonly folder: string;
  readonly pidFile: string;
  /** What this program remembers of the machine. */
  readonly record: string;
  readonly qmp: string;
  readonly vnc: string;
  readonly spice: string;
  readonly configDrive: string;
  serial(port: number): string;
}

/** sun_path holds 108 bytes, one of them the final zero. */
export const SOCKET_PATH_BYTES_MAX = 107;

/** Whether a folder of this name may be a machine's. Lower case alone: one instance has one folder. */
export function isMachineName(text: string): boolean {
  return isUuid(text) && text === text.toLowerCase();
}

/** Throws ServiceError INVALID_ARGUMENT: a uuid becomes part of paths here, so it is looked at here. */
export function machinePaths(stateDir: string, uuid: string): MachinePaths {
  if (!isMachineName(uuid)) throw new ServiceError('INVALID_ARGUMENT', 'an instance is named by a uuid in lower case');
  const folder = path.join(path.resolve(stateDir), uuid);
  return {
    folder,
    pidFile: path.join(folder, 'pid'),
    record: path.join(folder, 'machine.json'),
    qmp: path.join(folder, 'qmp'),
    vnc: path.join(folder, 'vnc'),
    spice: path.join(folder, 'spice'),
    configDrive: path.join(folder, 'config-2.iso'),
    serial: (port) => path.join(folder, `serial${port}`),
  };
}

/** Throws ServiceError FAILED_PRECONDITION when no socket of a machine would fit into an address. */
export function checkStateDir(stateDir: string): void {
  const longest = machinePaths(stateDir, '00000000-0000-0000-0000-000000000000').serial(0);
  const bytes = Buffer.byteLength(longest);
  if (bytes <= SOCKET_PATH_BYTES_MAX) return;
  throw new ServiceError(
    'FAILED_PRECONDITION',
    `the folder ${path.resolve(stateDir)} is too long for unix sockets by ${bytes - SOCKET_PATH_BYTES_MAX} bytes; set GATEHOUSE_STATE_DIR to a shorter one`,
  );
}

export interface MachineCommand {
  readonly uuid: string;
  readonly settings: QemuSettings;
  readonly paths: MachinePaths;
  readonly accelerator: 'kvm' | 'tcg';
  readonly serialPorts: number;
  readonly spice: SpicePlace | null;
  /** Whether there is one, at its path. */
  readonly configDrive: boolean;
}

/** QEMU's arguments. The sandbox lets it start no program and gain no right. */
export function machineArguments({ uuid, settings, paths, accelerator, serialPorts, spice, configDrive }: MachineCommand): string[] {
  return [
    '-name', `gatehouse-${uuid}`,
    '-uuid', uuid,
    '-pidfile', paths.pidFile,
    '-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny',
    '-accel', accelerator,
    '-cpu', accelerator === 'kvm' ? 'host' : 'max',
    '-machine', 'pc',
    '-m', `${settings.memoryMb}M`,
    '-smp', '1',
    '-no-user-config',
    '-nodefaults',
    '-rtc', 'base=utc',
    '-display', 'none',
    '-vga', 'std',
    '-usb',
    // Absolute coordinates: the browser's pointer and the guest's stay together.
    '-device', 'usb-tablet',
    '-vnc', `unix:${optionValue(paths.vnc)},share=force-shared`,
    ...(spice === null ? [] : spiceArguments(spice, optionValue(paths.spice))),
    '-chardev', `socket,id=qmp,path=${optionValue(paths.qmp)},server=on,wait=off`,
    '-mon', 'chardev=qmp,mode=control',
    ...Array.from({ length: serialPorts }, (_, port) => serialArguments(paths, port)).flat(),
    ...bootArguments(settings),
    ...(configDrive ? ['-drive', `file=${optionValue(paths.configDrive)},format=raw,if=ide,media=cdrom,readonly=on`] : []),
  ];
}

function serialArguments(paths: MachinePaths, port: number): string[] {
  return [
    '-chardev', `socket,id=serial${port},path=${optionValue(paths.serial(port))},server=on,wait=off`,
    '-device', `isa-serial,index=${port},chardev=serial${port}`,
  ];
}

function bootArguments({ kernel, initrd, append, disk }: QemuSettings): string[] {
  const args: string[] = [];
  if (kernel !== null) {
    args.push('-kernel', kernel);
    if (initrd !== null) args.push('-initrd', initrd);
    if (append !== null) args.push('-append', append);
  }
  if (disk !== null) {
    // The format is never guessed from the content, which the guest writes. snapshot: what it writes goes with the machine.
    const format = disk.endsWith('.qcow2') ? 'qcow2' : 'raw';
    args.push('-drive', `file=${optionValue(disk)},format=${format},if=virtio,snapshot=on`);
  }
  return args;
}

/** Inside an option a comma separates; two are one. */
function optionValue(text: string): string {
  return text.replaceAll(',', ',,');
}

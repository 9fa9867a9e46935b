import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { BACKPORT_PEERS } from '@gatehouse/contracts/backport-peers';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { brokerSettings } from '@gatehouse/runtime/broker';
import { address, choice, flag, hostPort, integer, name, orNull, port, rpcLevel, secretUrl, setting, text } from '@gatehouse/runtime/config';
import { z } from 'zod';
import { parsePortRange } from './drivers/tcp-ports.ts';
import { SCROLLBACK_BYTES_MIN } from './serial-line.ts';

/** What decides how a host's guests are reached; the same in a process of its own and in the standalone. */
export const computeAgentConfig = z.object({
  /** The name under which instances are placed here. */
  host: name(hostname()),
  driver: choice(['simulated', 'qemu'], 'simulated'),
  /** Simulated guests serve their serial ports by TCP, as Nova's do, and proxies dial them. */
  simulatedTcp: flag(false),
  /** Where guests serve serial ports by TCP: an address of this host that proxies dial. Nobody is asked who they are there. */
  serialListen: setting('an address of this host that proxies dial, such as 127.0.0.1 (not 0.0.0.0)', dialledAddress, '127.0.0.1'),
  /** The ports for that, as Nova's port_range: the second is the first that is not used. */
  serialPortRange: setting('a range of ports such as 10000:20000 (from the first up to, without, the second)', parsePortRange, { start: 10_000, stop: 20_000 }),
  /** Where console proxies attach. */
  agentListen: hostPort('127.0.0.1:0'),
  /** What proxies are told to reach; where it listens unless told. */
  agentEndpoint: orNull(hostPort()),
  /** PEM files for TLS between proxies and agents: all three, or none. */
  streamTlsCert: orNull(text('the path of a PEM certificate')),
  streamTlsKey: orNull(text('the path of a PEM key')),
  streamTlsCa: orNull(text('the path of a PEM certificate')),
  /** What is kept of each serial line's output for whoever opens it next. */
  serialScrollbackBytes: integer({ min: SCROLLBACK_BYTES_MIN, max: 16_777_216, fallback: SCROLLBACK_BYTES_MIN }),
  /** The level spoken to consoleauth. */
  rpcPinConsoleauth: rpcLevel(consoleauth),
  /** Who rewrites objects in requests that are newer than ours. */
  rpcBackportPeer: choice(BACKPORT_PEERS, 'consoleauth'),
  dataDir: text('a folder', '.gatehouse'),
  /** Of machines; `qemu` in the data directory unless told. Short, for unix sockets. */
  stateDir: orNull(text('a folder with a short path')),
  qemuBinary: text('the name or path of a program', 'qemu-system-x86_64'),
  qemuAccelerator: choice(['auto', 'kvm', 'tcg'], 'auto'),
  qemuMemoryMb: integer({ min: 16, max: 1_048_576, fallback: 256 }),
  qemuMachinesMax: integer({ min: 1, max: 10_000, fallback: 64 }),
  qemuKernel: orNull(text('the path of a kernel')),
  qemuInitrd: orNull(text('the path of an initial RAM disk')),
  qemuAppend: orNull(text('a command line for the kernel')),
  qemuDisk: orNull(text('the path of a disk image')),
  /** Who gets a config drive: instances that were created with one, or all. */
  configDrive: choice(['asked', 'always'], 'asked'),
  /** What makes its volume: genisoimage, xorrisofs or mkisofs, the first that the host has unless told. */
  isoProgram: orNull(text('the name or path of a program')),
  /** SPICE beside VNC: `auto`: through the agent where QEMU has its module; `unix` and `tcp`: through the agent or dialled, and QEMU must have it; `off`. */
  qemuSpice: choice(['auto', 'unix', 'tcp', 'off'], 'auto'),
  /** Where machines serve SPICE by TCP: an address of this host that proxies dial. Nobody is asked who they are there. */
  spiceListen: setting('an address of this host that proxies dial, such as 127.0.0.1 (not 0.0.0.0)', dialledAddress, '127.0.0.1'),
  /** The ports for that, as serialPortRange. */
  spicePortRange: setting('a range of ports such as 5900:6900 (from the first up to, without, the second)', parsePortRange, { start: 5_900, stop: 6_900 }),
});
export type ComputeAgentConfig = z.output<typeof computeAgentConfig>;

/** What a process of its own needs besides. */
export const computeAgentProcessConfig = computeAgentConfig.extend({
  ...brokerSettings,
  cellDatabaseUrl: secretUrl(['postgresql', 'postgres']),
  opsPort: port(9464),
  bindAddress: address('127.0.0.1'),
});

function dialledAddress(text: string): string {
  const isOneHosts = isIP(text) > 0 ? !/^[0:.]+$/.test(text) : /^[A-Za-z0-9._-]{1,255}$/.test(text);
  if (!isOneHosts) throw new Error('not an address that can be dialled');
  return text;
}

/** The driver that the configuration names. */
import path from 'node:path';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';
import type { ComputeAgentConfig } from './config.ts';
import type { Driver } from './drivers/driver.ts';
import { absoluteOrNull, findProgram } from './drivers/qemu/host-files.ts';
import { createQemuDriver } from './drivers/qemu/qemu-driver.ts';
import { SimulatedDriver } from './drivers/simulated/simulated-driver.ts';
import { TcpPorts } from './drivers/tcp-ports.ts';

export async function makeDriver(config: ComputeAgentConfig, clock: Clock, log: Logger): Promise<Driver> {
  const { host } = config;
  if (config.driver === 'simulated') {
    const onRefused = (instanceUuid: string, reason: Error) => log.info({ instanceUuid, reason: reason.message }, 'a client of a screen was cut off');
    const tcpPorts = config.simulatedTcp ? new TcpPorts(config.serialListen, config.serialPortRange) : null;
    return new SimulatedDriver({ host, clock, onRefused, tcpPorts });
  }
  const settings = {
    stateDir: config.stateDir ?? path.join(config.dataDir, 'qemu'),
    binary: await findProgram(config.qemuBinary),
    accelerator: config.qemuAccelerator,
    memoryMb: config.qemuMemoryMb,
    machinesMax: config.qemuMachinesMax,
    kernel: absoluteOrNull(config.qemuKernel),
    initrd: absoluteOrNull(config.qemuInitrd),
    append: config.qemuAppend,
    disk: absoluteOrNull(config.qemuDisk),
    volumeProgram: config.isoProgram,
    spice: config.qemuSpice,
    spiceListen: config.spiceListen,
    spicePortRange: config.spicePortRange,
  };
  return createQemuDriver({ host, settings, log });
}

/**
 * A machine's SPICE server, beside its VNC server: whether this QEMU has one, where it listens, and what it is told.
 *
 * The options are for a browser's client (spice-html5): of the compressions it knows QUIC and LZ, not GLZ; pictures by JPEG and
 * video it draws when they are decoded, which is after what was sent later. Nothing is for an agent in the guest, for
 * the machine has no channel to one.
 */
import { execFile } from 'node:child_process';
import { ServiceError } from '@gatehouse/errors/service-error';

/** Where a machine's SPICE server listens: on its socket, behind the agent, or by TCP, where proxies dial. */
export type SpicePlace = { readonly transport: 'attach' } | { readonly transport: 'tcp'; readonly address: string; readonly port: number };

const LOOK_TIMEOUT_MS = 5_000;
const FOR_BROWSERS = [
  'image-compression=auto_lz', 'jpeg-wan-compression=never', 'zlib-glz-wan-compression=never', 'streaming-video=off', 'playback-compression=off',
  'disable-copy-paste=on', 'disable-agent-file-xfer=on', 'seamless-migration=off',
].join(',');

/** Whoever reaches the socket or the port is in: the session's secret was looked at before, or the proxy stands before it. */
export function spiceArguments(place: SpicePlace, socketOption: string): string[] {
  const where = place.transport === 'attach' ? `unix=on,addr=${socketOption}` : `addr=${place.address},port=${place.port}`;
  return ['-spice', `${where},disable-ticketing=on,${FOR_BROWSERS}`];
}

/** Whether machines can have a SPICE server. Throws ServiceError FAILED_PRECONDITION where they must and QEMU cannot. */
export async function chooseSpice(wanted: 'auto' | 'unix' | 'tcp' | 'off', binary: string): Promise<'unix' | 'tcp' | 'off'> {
  if (wanted === 'off') return 'off';
  const found = await knowsSpice(binary);
  if (wanted === 'auto') return found ? 'unix' : 'off';
  if (found) return wanted;
  throw new ServiceError('FAILED_PRECONDITION', `${binary} knows no SPICE: install its module (Debian: qemu-system-common, from trixie on qemu-system-modules-spice), or set GATEHOUSE_QEMU_SPICE to off`);
}

/** As a machine.json has it; null for what is none. */
export function readSpicePlace(recorded: unknown): SpicePlace | null {
  if (typeof recorded !== 'object' || recorded === null || !('transport' in recorded)) return null;
  if (recorded.transport === 'attach') return { transport: 'attach' };
  const { address, port } = recorded as { address?: unknown; port?: unknown };
  return recorded.transport === 'tcp' && typeof address === 'string' && Number.isInteger(port) ? { transport: 'tcp', address, port: port as number } : null;
}

/** Where the module is missing, there is no such group of options. QEMU ends with 1 after it has helped. */
function knowsSpice(binary: string): Promise<boolean> {
  return new Promise((resolve) => {
    execFile(binary, ['-spice', 'help'], { timeout: LOOK_TIMEOUT_MS }, (_error, stdout) => resolve(stdout.includes('disable-ticketing')));
  });
}

/**
 * On which host an instance is made: the one that its availability zone names (`nova:<host>`), else the live
 * compute agent with the fewest instances. An agent is live while its reports to consoleauth are fresh.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { compute } from '@gatehouse/contracts/compute';
import { SERVICE_SILENCE_MS_MAX } from '@gatehouse/contracts/consoleauth';
import type { Clock } from '@gatehouse/runtime/clock';

/** The one availability zone there is. */
export const ZONE = 'nova';

export class Placement {
  readonly #cellDb: CellDb;
  readonly #clock: Clock;

  constructor(cellDb: CellDb, clock: Clock) {
    this.#cellDb = cellDb;
    this.#clock = clock;
  }

  /**
   * The host for a new instance. Throws INVALID_ARGUMENT for a zone or host that is not there, UNAVAILABLE where
   * no agent is live at all.
   */
  async choose(availabilityZone: string | undefined): Promise<string> {
    const [zone, named] = partsOf(availabilityZone ?? ZONE);
    if (zone !== ZONE) {
      throw new ServiceError('INVALID_ARGUMENT', `The requested availability zone is not available: ${ZONE} is, or ${ZONE}:<host>`);
    }
    if (named !== undefined) return this.#requireLive(named);
    const host = await this.findOther(null);
    if (host === null) throw new ServiceError('UNAVAILABLE', 'No valid host was found: no compute agent has reported lately');
    return host;
  }

  /** The live host with the fewest instances that is not `host`; null where there is none. */
  async findOther(host: string | null): Promise<string | null> {
    const live = await this.#cellDb.services.listLive(compute.topic, this.#liveSince());
    const counts = await this.#cellDb.instances.countByHost();
    const hosts = live.filter((each) => each.host !== host).map((each) => ({ host: each.host, count: counts.get(each.host) ?? 0 }));
    const [first, ...others] = hosts;
    return first === undefined ? null : others.reduce((best, each) => (each.count < best.count ? each : best), first).host;
  }

  async isLive(host: string): Promise<boolean> {
    return (await this.#cellDb.services.findLive(compute.topic, host, this.#liveSince())) !== null;
  }

  async #requireLive(host: string): Promise<string> {
    if (await this.isLive(host)) return host;
    const message = `No valid host was found: compute host ${host.slice(0, 100)} is unknown or has not reported lately`;
    throw new ServiceError('INVALID_ARGUMENT', message);
  }

  #liveSince(): Date {
    return new Date(this.#clock.now().getTime() - SERVICE_SILENCE_MS_MAX);
  }
}

/** `nova:host` and Nova's `nova:host:node`, whose node is the host here. */
function partsOf(availabilityZone: string): readonly [zone: string, host: string | undefined] {
  const [zone = '', host, ...rest] = availabilityZone.split(':');
  if (rest.length > 1) throw new ServiceError('INVALID_ARGUMENT', 'Unable to parse availability zone: send zone:host');
  return [zone, host === '' ? undefined : host];
}

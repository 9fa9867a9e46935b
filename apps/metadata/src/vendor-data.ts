/** Vendor data as the service is set: a file for all guests, targets that are asked for each. */
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { InstanceFacts } from '@gatehouse/cell-db/instance-facts-store';
import type { VendorData } from '@gatehouse/instance-metadata/vendor-data';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';
import { periodic } from '@gatehouse/runtime/periodic';
import type { Periodic } from '@gatehouse/runtime/periodic';
import type { VendorDataSettings } from './vendor-data-config.ts';
import { VendorDataFile } from './vendor-data-file.ts';
import { VendorDataTargets } from './vendor-data-targets.ts';

/** How soon a changed file is seen. */
const LOOK_MS = 5_000;
/** A guest reads all answers in one document. */
const ANSWER_BYTES_MAX = 262_144;

export class SetVendorData implements VendorData {
  readonly #file: VendorDataFile | null;
  readonly #targets: VendorDataTargets;
  readonly #looking: Periodic | null;

  /** @throws ServiceError INVALID_ARGUMENT: a file that a setting names cannot be used */
  constructor(settings: VendorDataSettings, clock: Clock, log: Logger) {
    const { vendorDataFile: path, vendorDataTargets } = settings;
    const limits = {
      connectMs: settings.vendorDataConnectTimeout * 1_000,
      readMs: settings.vendorDataReadTimeout * 1_000,
      totalMs: settings.vendorDataTimeout * 1_000,
      bodyBytesMax: ANSWER_BYTES_MAX,
      ca: settings.vendorDataCa === null ? null : readCa(settings.vendorDataCa),
    };
    this.#targets = new VendorDataTargets(vendorDataTargets, { limits, isFailureFatal: settings.vendorDataFailureFatal }, clock, log);
    const file = path === null ? null : new VendorDataFile(path, log);
    this.#file = file;
    this.#looking = file === null ? null : periodic({ name: 'looking at vendor data', everyMs: LOOK_MS, clock, log, work: () => file.refresh() });
  }

  fixed(): unknown {
    return this.#file === null ? {} : this.#file.value;
  }

  named(facts: InstanceFacts): Promise<Readonly<Record<string, unknown>>> {
    return this.#targets.answers(facts);
  }

  /** Reads its file again; never rejects. */
  async reload(): Promise<void> {
    await this.#file?.refresh({ isAsked: true });
  }

  async close(): Promise<void> {
    await this.#looking?.stop();
  }
}

function readCa(path: string): Buffer {
  try {
    const ca = readFileSync(path);
    createSecureContext({ ca });
    if (!ca.includes('-----BEGIN CERTIFICATE-----')) throw new Error('no certificate');
    return ca;
  } catch (cause) {
    throw new ServiceError('INVALID_ARGUMENT', `GATEHOUSE_VENDOR_DATA_CA names ${path}, in which no certificate can be read: set the path of a PEM file`, { cause });
  }
}

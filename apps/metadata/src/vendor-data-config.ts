/** Settings of vendor data: what the operator tells all guests, and whom the service asks for each of them. */
import { durationSeconds, flag, orNull, text } from '@gatehouse/runtime/config';
import { asSecret, setting } from '@gatehouse/runtime/settings';

export interface VendorDataTarget {
  /** Its name in vendor_data2.json. */
  readonly name: string;
  /** May hold a password, so it stands in no log. */
  readonly url: string;
}

const TARGET = /^(?<name>[^@\p{Cc}]{1,255})@(?<url>https?:\/\/.+)$/su;

function targetsOf(value: string): readonly VendorDataTarget[] {
  return value.split(',').map((item) => item.trim()).filter((item) => item !== '').map((item) => {
    const { name = '', url = '' } = TARGET.exec(item)?.groups ?? {};
    if (!URL.canParse(url)) throw new Error('not a target');
    return { name: name.trim(), url };
  });
}

export const vendorDataConfig = {
  /** The path of a JSON file. */
  vendorDataFile: orNull(text('the path of a JSON file')),
  /** In the order in which they are asked; of two with one name the first counts. */
  vendorDataTargets: asSecret(setting<readonly VendorDataTarget[]>('targets like name@https://host/path, separated by commas', targetsOf, [])),
  /** The path of a PEM file; null: whoever Node trusts. */
  vendorDataCa: orNull(text('the path of a PEM file')),
  vendorDataConnectTimeout: durationSeconds(5, { max: 60 }),
  /** Longest silence of a target that is connected. */
  vendorDataReadTimeout: durationSeconds(5, { max: 60 }),
  /** For all of it; every target is asked at the same time. */
  vendorDataTimeout: durationSeconds(10, { max: 120 }),
  /** A guest whose target fails gets 503, not an empty object. */
  vendorDataFailureFatal: flag(false),
};

export interface VendorDataSettings {
  readonly vendorDataFile: string | null;
  readonly vendorDataTargets: readonly VendorDataTarget[];
  readonly vendorDataCa: string | null;
  readonly vendorDataConnectTimeout: number;
  readonly vendorDataReadTimeout: number;
  readonly vendorDataTimeout: number;
  readonly vendorDataFailureFatal: boolean;
}

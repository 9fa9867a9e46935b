/** What the operator tells all guests, or each of them: vendor_data.json and vendor_data2.json. Where it comes from is the service's affair. */
import type { InstanceFacts } from '@gatehouse/cell-db/instance-facts-store';

export interface VendorData {
  /** The same for every guest. */
  fixed(): unknown;
  /** By name, for this guest; what has no answer is an empty object. @throws ServiceError UNAVAILABLE: it must be known, and is not */
  named(facts: InstanceFacts): Promise<Readonly<Record<string, unknown>>>;
}

export const NO_VENDOR_DATA: VendorData = { fixed: () => ({}), named: async () => ({}) };

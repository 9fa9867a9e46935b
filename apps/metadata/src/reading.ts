/** What an instance reads: its file or folder in the tree that is served. */
import type { InstanceFacts } from '@gatehouse/cell-db/instance-facts-store';
import { nodeAt, walk } from '@gatehouse/instance-metadata/metadata-tree';
import type { Answer, Folder } from '@gatehouse/instance-metadata/metadata-tree';
import { NO_VENDOR_DATA } from '@gatehouse/instance-metadata/vendor-data';
import type { VendorData } from '@gatehouse/instance-metadata/vendor-data';
import { servedTree } from '@gatehouse/instance-metadata/whole-trees';
import type { Clock } from '@gatehouse/runtime/clock';

/** What a tree is made of beside the instance's facts. */
export interface Surroundings {
  readonly vendorData: VendorData;
  readonly clock: Clock;
}

/** `address`: the guest's own, if it is known. Throws NOT_FOUND where nothing is, and as vendor data does. */
export function readTree(facts: InstanceFacts, steps: readonly string[], { vendorData, clock }: Surroundings, address: string | null): Promise<Answer> {
  return walk(treeOf(facts, vendorData, clock.now(), address), steps);
}

/** Makes nothing. Throws NOT_FOUND where nothing is. */
export function findInTree(facts: InstanceFacts, steps: readonly string[]): void {
  nodeAt(treeOf(facts, NO_VENDOR_DATA, new Date(), null), steps);
}

/** A password is not of the tree: the service looks it up itself. */
function treeOf(facts: InstanceFacts, vendorData: VendorData, now: Date, address: string | null): Folder {
  return servedTree(facts, { vendorData, password: () => '', now, address });
}

/** What an instance reads: its file or folder in the tree that is served. */
import type { InstanceFacts } from '@gatehouse/cell-db/instance-facts-store';
import { walk } from '@gatehouse/instance-metadata/metadata-tree';
import type { Answer } from '@gatehouse/instance-metadata/metadata-tree';
import { NO_VENDOR_DATA } from '@gatehouse/instance-metadata/vendor-data';
import { servedTree } from '@gatehouse/instance-metadata/whole-trees';

/** Throws NOT_FOUND where nothing is. */
export function readTree(facts: InstanceFacts, steps: readonly string[]): Promise<Answer> {
  return walk(servedTree(facts, { vendorData: NO_VENDOR_DATA, password: () => '', now: new Date(), address: null }), steps);
}

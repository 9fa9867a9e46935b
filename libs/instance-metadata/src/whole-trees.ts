/** All that an instance may be told, from the root: as it is served over HTTP, and as a config drive brings it. */
import type { InstanceFacts } from '@gatehouse/cell-db/instance-facts-store';
import { EC2_LISTING, ec2Drive, ec2Tree, ec2Version } from './ec2-tree.ts';
import { folder, folderOf } from './metadata-tree.ts';
import type { Folder } from './metadata-tree.ts';
import { openstackDrive, openstackTree } from './openstack-tree.ts';
import type { OpenstackSources } from './openstack-tree.ts';
import type { VendorData } from './vendor-data.ts';

export interface ServedSources extends OpenstackSources {
  /** Where the request came from, if that is known to be the guest's; what `local-ipv4` says where nothing else does. */
  readonly address: string | null;
}

const AT_THE_ROOT = [...EC2_LISTING, 'ec2', 'openstack'] as const;

/** EC2's versions stand at the root too, as there they do. */
export function servedTree(facts: InstanceFacts, sources: ServedSources): Folder {
  const entryOf = (name: (typeof AT_THE_ROOT)[number]): Folder => {
    if (name === 'openstack') return openstackTree(facts, sources);
    return name === 'ec2' ? ec2Tree(facts, sources.address) : ec2Version(facts, name, sources.address);
  };
  return folderOf(AT_THE_ROOT, entryOf, () => EC2_LISTING);
}

/** What a disk says stays as it was when the disk was made: no password, and a seed of its own in every document. */
export function configDriveTree(facts: InstanceFacts, vendorData: VendorData): Folder {
  return folder(() => ({ ec2: ec2Drive(facts), openstack: openstackDrive(facts, vendorData) }));
}

/** The tree of EC2's versions, as far as it says something true of these instances. */
import type { InstanceFacts } from '@gatehouse/cell-db/instance-facts-store';
import { file, folder } from './metadata-tree.ts';
import type { Folder, Node } from './metadata-tree.ts';
import { hostName } from './openstack-tree.ts';

export const EC2_VERSIONS = [
  '1.0', '2007-01-19', '2007-03-01', '2007-08-29', '2007-10-10', '2007-12-15', '2008-02-01', '2008-09-01', '2009-04-04',
];
const LATEST = '2009-04-04';

/** What anybody may read, and no more than the versions' names. */
export const EC2_LISTING: readonly string[] = [...EC2_VERSIONS, 'latest'];

export function ec2Tree(facts: InstanceFacts): Folder {
  const versions = EC2_VERSIONS.map((version) => [version, versionFolder(facts, version)] as const);
  return folder({ ...Object.fromEntries(versions), latest: versionFolder(facts, LATEST) }, EC2_LISTING);
}

function versionFolder(facts: InstanceFacts, version: string): Folder {
  const { userData } = facts;
  return folder(
    {
      'meta-data': leaves(facts, version),
      ...(userData === null ? {} : { 'user-data': file(() => Buffer.from(userData, 'base64')) }),
    },
  );
}

function leaves(facts: InstanceFacts, version: string): Folder {
  const since = (first: string, entries: Readonly<Record<string, Node>>): Readonly<Record<string, Node>> =>
    version !== '1.0' && version >= first ? entries : {};
  const host = file(() => hostName(facts.hostname));
  const entries: Readonly<Record<string, Node>> = {
    'ami-launch-index': file(() => String(facts.launchIndex)),
    'ami-manifest-path': file(() => 'FIXME'),
    hostname: host,
    ...since('2008-09-01', { 'instance-action': file(() => 'none') }),
    'instance-id': file(() => `i-${facts.id.toString(16).padStart(8, '0')}`),
    ...since('2007-01-19', { 'local-hostname': host }),
    ...since('2008-02-01', { placement: folder({ 'availability-zone': file(() => facts.availabilityZone ?? '') }) }),
    ...since('2007-01-19', { 'public-hostname': host }),
    ...publicKeys(facts),
  };
  return folder(entries);
}

/** From the keys that the instance carries; from its row where it carries none because it was never migrated. */
function publicKeys({ keyName, keyData, keyPairs }: InstanceFacts): Readonly<Record<string, Node>> {
  const legacy = keyName === null ? [] : [{ name: keyName, publicKey: keyData }];
  const keys = keyPairs ?? legacy;
  if (keys.length === 0) return {};
  const entries = keys.map(({ publicKey }, index) => [String(index), folder({ 'openssh-key': file(() => publicKey ?? '') })] as const);
  const listing = keys.map(({ name }, index) => `${index}=${name}`);
  return { 'public-keys': folder(Object.fromEntries(entries), listing) };
}

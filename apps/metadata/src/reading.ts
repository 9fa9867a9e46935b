/** What an instance reads: its file or folder in one of the two trees, whose first step tells which. */
import type { InstanceFacts } from '@gatehouse/cell-db/instance-facts-store';
import { ec2Tree } from '@gatehouse/instance-metadata/ec2-tree';
import { walk } from '@gatehouse/instance-metadata/metadata-tree';
import type { Answer } from '@gatehouse/instance-metadata/metadata-tree';
import { openstackTree } from '@gatehouse/instance-metadata/openstack-tree';

/** Throws NOT_FOUND where nothing is. */
export function readTree(facts: InstanceFacts, steps: readonly string[]): Answer {
  const [first, ...rest] = steps;
  if (first === 'openstack') return walk(openstackTree(facts), rest);
  return walk(ec2Tree(facts), first === 'ec2' ? rest : steps);
}

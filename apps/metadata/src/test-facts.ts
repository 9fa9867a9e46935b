/** The facts of an instance of which little is known, for tests. */
import type { InstanceFacts } from '@gatehouse/cell-db/instance-facts-store';

export function testFacts(values: Partial<InstanceFacts> & Pick<InstanceFacts, 'uuid'>): InstanceFacts {
  return {
    id: 1, projectId: 'p-demo', userId: 'user', displayName: null, hostname: 'vm', availabilityZone: 'nova', launchIndex: 0, reservationId: null,
    imageRef: null, flavorRef: null, metadata: {}, userData: null, network: null, keyPairs: null, injectedFiles: [], fixedAddresses: [], floatingAddresses: [],
    keyName: null, keyData: null, metadataTokens: null, configDrive: false, generation: 0, revision: '0', ...values,
  };
}

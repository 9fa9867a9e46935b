/** What the api says of an instance's keys, network, metadata and password, put together: who serves it, and with what. */
import type { Provider, Type } from '@nestjs/common';
import type { metadata } from '@gatehouse/contracts/metadata';
import type { Client } from '@gatehouse/rpc/client';
import { InstanceChange } from './instance-change.ts';
import type { InstanceChangeParts } from './instance-change.ts';
import { InstanceKeyPairs } from './instance-key-pairs.ts';
import { InstanceMetadataOptions } from './instance-metadata-options.ts';
import { InstanceNetworks } from './instance-networks.ts';
import { ServerPasswordController } from './rest/server-password.controller.ts';
import { InstanceKeyPairsController } from './rest/v1/instance-key-pairs.controller.ts';
import { InstanceMetadataOptionsController } from './rest/v1/instance-metadata-options.controller.ts';
import { InstanceNetworkController } from './rest/v1/instance-network.controller.ts';
import type { Instances } from './instances.ts';
import { ServerPasswords } from './server-passwords.ts';

export const INSTANCE_CONTROLLERS: readonly Type[] = [
  InstanceKeyPairsController, InstanceNetworkController, InstanceMetadataOptionsController, ServerPasswordController,
];

export function instanceResources(instances: Instances, parts: InstanceChangeParts, client: Client<typeof metadata>): readonly Provider[] {
  const { cellDb } = parts;
  const change = new InstanceChange(parts);
  return [
    { provide: InstanceKeyPairs, useValue: new InstanceKeyPairs(cellDb, instances, change) },
    { provide: InstanceNetworks, useValue: new InstanceNetworks(cellDb, instances, change) },
    { provide: InstanceMetadataOptions, useValue: new InstanceMetadataOptions(cellDb, instances, change) },
    { provide: ServerPasswords, useValue: new ServerPasswords(cellDb, instances, client) },
  ];
}

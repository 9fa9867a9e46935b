import { hostname } from 'node:os';
import { brokerSettings } from '@gatehouse/runtime/broker';
import { choice, csv, durationSeconds, integer, name, port, secretList, secretUrl } from '@gatehouse/runtime/config';
import { address } from '@gatehouse/runtime/settings';
import { z } from 'zod';
import { vendorDataConfig } from './vendor-data-config.ts';

/** What decides who is answered; the same in a process of its own and in the standalone. */
export const metadataConfig = z.object({
  metadataPort: port(8775),
  bindAddress: address('127.0.0.1'),
  /** Shared with the proxy that signs instance ids; all of them are accepted. May be absent only where networks are trusted. */
  metadataSecrets: secretList([]),
  /** Addresses and networks whose peers are known by their address, without a signature; none unless told. */
  metadataTrustedNetworks: csv([]),
  /** Whose X-Forwarded-For says who the peer is; none unless told. */
  metadataTrustedProxies: csv([]),
  /** Session tokens, for instances that have no rule of their own. */
  metadataTokens: choice(['off', 'optional', 'required'], 'optional'),
  /** Requests of one instance a second in the long run, 0 for any number, and at once; a guest's boot makes 28 in one. */
  metadataRate: integer({ min: 0, max: 100_000, fallback: 100 }),
  metadataBurst: integer({ min: 1, max: 1_000_000, fallback: 500 }),
  /** This service among others; two of one name would share a queue. Unset: see metadataNameOf. */
  metadataName: name().optional(),
  /** Seconds for which what is known of an instance is believed without a look; 0: a look at each request. */
  metadataCacheTtl: durationSeconds(15, { min: 0, max: 3_600 }),
  /** Seconds for which it is given while the database is away. */
  metadataCacheKeep: durationSeconds(3_600, { min: 0, max: 86_400 }),
  /** Megabytes that it may take, about. */
  metadataCacheMb: integer({ min: 1, max: 65_536, fallback: 128 }),
  ...vendorDataConfig,
});
export type MetadataConfig = z.output<typeof metadataConfig>;

/** What a process of its own needs besides. */
export const metadataProcessConfig = metadataConfig.extend({
  ...brokerSettings,
  cellDatabaseUrl: secretUrl(['postgresql', 'postgres']),
});

export function metadataNameOf({ metadataName, metadataPort }: Pick<MetadataConfig, 'metadataName' | 'metadataPort'>): string {
  return metadataName ?? `${hostname()}-${metadataPort === 0 ? `pid${process.pid}` : metadataPort}`;
}

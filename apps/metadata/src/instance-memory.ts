/** What the service remembers of instances, put together: the cache, those who wait, and what operators see of both. */
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Metrics } from '@gatehouse/runtime/metrics';
import { Changes } from './changes.ts';
import { CACHE_OUTCOMES, InstanceCache } from './instance-cache.ts';
import { InstanceMetadata } from './instance-metadata.ts';

export interface MemoryConfig {
  readonly metadataCacheTtl: number;
  readonly metadataCacheKeep: number;
  readonly metadataCacheMb: number;
}

export interface InstanceMemory {
  readonly cache: InstanceCache;
  readonly changes: Changes;
  readonly metadata: InstanceMetadata;
}

/** However little each of them takes. */
const INSTANCES_MAX = 100_000;
const MB = 1_048_576;

export function openInstanceMemory(config: MemoryConfig, cellDb: Pick<CellDb, 'instanceFacts'>, clock: Clock, metrics: Metrics): InstanceMemory {
  const reads = metrics.counter({ name: 'metadata_cache_reads_total', help: 'Instances asked for: held and fresh (hit), looked up (miss), held while the database was away (stale).', labels: ['outcome'] });
  const counted = Object.fromEntries(CACHE_OUTCOMES.map((outcome) => [outcome, reads.labels(outcome)]));
  const changes = new Changes(clock);
  const limits = { ttlSeconds: config.metadataCacheTtl, keepSeconds: config.metadataCacheKeep, instancesMax: INSTANCES_MAX, bytesMax: config.metadataCacheMb * MB };
  const cache = new InstanceCache(cellDb.instanceFacts, limits, clock, {
    read: (outcome) => counted[outcome]?.inc(),
    changed: (uuid) => changes.tell(uuid),
  });
  const gauge = (name: string, help: string, value: () => number): void => {
    metrics.gauge({ name, help, collect: (each: { set(value: number): void }) => each.set(value()) });
  };
  gauge('metadata_cache_instances', 'Instances held.', () => cache.size);
  gauge('metadata_cache_bytes', 'Memory that they take, about.', () => cache.bytes);
  gauge('metadata_waiting', 'Requests that wait for an instance to change.', () => changes.waiting);
  return { cache, changes, metadata: new InstanceMetadata(cache, changes, clock) };
}

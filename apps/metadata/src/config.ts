import { port, secretList, secretUrl } from '@gatehouse/runtime/config';
import { address } from '@gatehouse/runtime/settings';
import { z } from 'zod';

/** What decides who is answered; the same in a process of its own and in the standalone. */
export const metadataConfig = z.object({
  metadataPort: port(8775),
  bindAddress: address('127.0.0.1'),
  /** Shared with the proxy that signs instance ids; all of them are accepted. */
  metadataSecrets: secretList(),
});
export type MetadataConfig = z.output<typeof metadataConfig>;

/** What a process of its own needs besides. */
export const metadataProcessConfig = metadataConfig.extend({
  cellDatabaseUrl: secretUrl(['postgresql', 'postgres']),
});

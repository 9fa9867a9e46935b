/** What may be put to an instance under /v1; the network's body is network-data.ts. */
import { z } from 'zod';
import { METADATA_TOKENS } from '../../instance-metadata-options.ts';
import { INSTANCE_KEYS_MAX } from '../../instances.ts';

/** Names, in the order in which the guest gets them. */
export const INSTANCE_KEY_PAIRS_BODY = z.strictObject({
  keypairs: z.array(z.unknown()).max(INSTANCE_KEYS_MAX, `holds more than ${INSTANCE_KEYS_MAX} names`).pipe(z.array(z.string().min(1).max(255))),
});

export const METADATA_OPTIONS_BODY = z.strictObject({
  tokens: z.enum(METADATA_TOKENS, { error: () => `must be one of ${METADATA_TOKENS.join(', ')}, or null for what the metadata service is set to` }).nullable(),
});

/** What is served of instances under /v1, as OpenAPI; what a body must be is said by the schema that checks it. */
import { z } from 'zod';
import { NETWORK_BODY } from '../../network-data.ts';
import type { JsonObject } from '../json.ts';
import { INSTANCE_KEY_PAIRS_BODY, METADATA_OPTIONS_BODY } from './instance-bodies.ts';
import { ID, MOMENT, TEXT, json, operation, orNull, record, ref } from './openapi-parts.ts';

const NETWORK = schemaOf(NETWORK_BODY);

export const INSTANCE_SCHEMAS: Readonly<Record<string, JsonObject>> = {
  CarriedKeyPair: record({
    ...{ name: TEXT, type: { enum: ['ssh', 'x509'] }, user_id: orNull(TEXT), public_key: orNull(TEXT) },
    fingerprint: orNull(TEXT),
    fingerprint_sha256: orNull(TEXT),
    algorithm: orNull(TEXT),
    bits: orNull({ type: 'integer' }),
    created_at: orNull(MOMENT),
  }),
  InstanceKeyPairs: record({
    keypairs: { type: 'array', items: ref('CarriedKeyPair'), description: 'As the guest gets them; the first is the key_name of the server.' },
    source: { enum: ['instance_extra', 'key_name'], description: '`key_name`: the instance was made before whole key pairs were kept; a name and a public key are all that is known.' },
  }),
  InstanceNetwork: NETWORK,
  MetadataOptions: schemaOf(METADATA_OPTIONS_BODY),
};

const IF_MATCH: JsonObject = { name: 'If-Match', in: 'header', required: false, schema: TEXT, description: 'The ETag of what was read: 412 where the instance has changed since.' };
const USER_ID: JsonObject = { name: 'user_id', in: 'query', required: false, schema: TEXT, description: 'Whose key pairs the names are. Another user than oneself: the administrator alone.' };

const answer = (name: string): JsonObject => {
  const shown = json('As it is now.', name);
  return { 200: { ...shown, headers: { ETag: { schema: TEXT, description: 'The generation of the instance: it grows whenever anything of it changes.' } } } };
};

export const INSTANCE_PATHS: Readonly<Record<string, Readonly<Record<string, JsonObject>>>> = {
  '/v1/instances/{id}/keypairs': {
    get: operation('showInstanceKeyPairs', { summary: 'The key pairs that an instance carries.', answers: answer('InstanceKeyPairs') }, [ID]),
    put: operation('replaceInstanceKeyPairs', {
      summary: "Gives an instance, running or not, these key pairs and no others: the caller's, by name. Its guest finds them in its metadata.",
      body: schemaOf(INSTANCE_KEY_PAIRS_BODY), answers: answer('InstanceKeyPairs'),
    }, [ID, USER_ID, IF_MATCH]),
  },
  '/v1/instances/{id}/network': {
    get: operation('showInstanceNetwork', { summary: 'What is known of how an instance is on the network. The administrator alone.', answers: answer('InstanceNetwork') }, [ID]),
    put: operation('replaceInstanceNetwork', {
      summary: 'Says how an instance is on the network: what its guest reads as network_data.json, and its addresses. The administrator alone.',
      body: NETWORK, answers: answer('InstanceNetwork'),
    }, [ID, IF_MATCH]),
  },
  '/v1/instances/{id}/metadata-options': {
    get: operation('showInstanceMetadataOptions', { summary: 'Whether the guest of an instance needs session tokens to read its metadata.', answers: answer('MetadataOptions') }, [ID]),
    put: operation('replaceInstanceMetadataOptions', {
      summary: 'Sets it; null is what the metadata service is set to.',
      body: schemaOf(METADATA_OPTIONS_BODY), answers: answer('MetadataOptions'),
    }, [ID, IF_MATCH]),
  },
};

function schemaOf(schema: z.ZodType): JsonObject {
  const { $schema: _, ...described } = z.toJSONSchema(schema, { io: 'output' });
  return described as JsonObject;
}

/** os-keypairs, what its requests may say at each microversion (Nova's schemas, in their order of properties). */
import type { JsonValue } from './json.ts';
import { bodySchema, querySchema } from './request-schema.ts';
import type { RequestCheck, Schema } from './request-schema.ts';
import type { Microversion } from './microversion.ts';

export interface CreateKeyPairBody {
  readonly keypair: {
    readonly name: string;
    readonly type?: 'ssh' | 'x509';
    readonly public_key?: string;
    readonly user_id?: string;
  };
}

export interface KeyPairQuery {
  readonly user_id?: readonly string[];
  readonly limit?: readonly string[];
  readonly marker?: readonly string[];
}

function nameOf(format: string): Schema {
  return { type: 'string', minLength: 1, maxLength: 255, allOf: [{ format: 'name' }, { format }] };
}

const LEGACY_NAME: Schema = { type: 'string', minLength: 1, maxLength: 255, format: 'spaced-name' };
const OLD_NAME = nameOf('key-pair-name-2.1');
const NAME = nameOf('key-pair-name-2.92');
const TEXT: Schema = { type: 'string' };
/** Of a user that may get key pairs; Nova answers 500 to a longer one. */
const USER_ID: Schema = { type: 'string', maxLength: 255 };
const TYPE: Schema = { type: 'string', enum: ['ssh', 'x509'] };

function createSchema(properties: Schema, required: readonly string[], additionalProperties = false): RequestCheck<CreateKeyPairBody> {
  return bodySchema({
    type: 'object',
    properties: { keypair: { type: 'object', properties, required, additionalProperties } },
    required: ['keypair'],
    additionalProperties,
  });
}

/** What else a body says is passed over, and so are spaces around the name. */
const CREATE_LEGACY = createSchema({ name: LEGACY_NAME, public_key: TEXT }, ['name'], true);

const CREATE_2_1 = createSchema({ name: OLD_NAME, public_key: TEXT }, ['name']);
const CREATE_2_2 = createSchema({ name: OLD_NAME, type: TYPE, public_key: TEXT }, ['name']);
const CREATE_2_10 = createSchema({ name: OLD_NAME, type: TYPE, public_key: TEXT, user_id: USER_ID }, ['name']);
const CREATE_2_92 = createSchema({ name: NAME, type: TYPE, public_key: TEXT, user_id: USER_ID }, ['name', 'public_key']);

export function createKeyPairBody(version: Microversion): RequestCheck<CreateKeyPairBody> {
  if (version >= 92) return CREATE_2_92;
  if (version >= 10) return CREATE_2_10;
  return version >= 2 ? CREATE_2_2 : CREATE_2_1;
}

/** The body of the API before microversions. */
export function legacyKeyPairBody(body: JsonValue): CreateKeyPairBody {
  const { name, public_key: publicKey } = CREATE_LEGACY(body).keypair;
  return { keypair: { name: name.trim(), ...(publicKey === undefined ? {} : { public_key: publicKey }) } };
}

const ALL_TEXT: Schema = { type: 'array', items: TEXT };
const LIMIT: Schema = { type: 'array', items: { type: 'string', pattern: '^[0-9]*$', minLength: 1 } };

const ANYTHING = querySchema<KeyPairQuery>({ type: 'object' });
const LIST_2_10 = querySchema<KeyPairQuery>({ type: 'object', properties: { user_id: ALL_TEXT } });
const LIST_2_35_FIELDS: Schema = { user_id: ALL_TEXT, limit: LIMIT, marker: ALL_TEXT };
const LIST_2_35 = querySchema<KeyPairQuery>({ type: 'object', properties: LIST_2_35_FIELDS });
const LIST_2_75 = querySchema<KeyPairQuery>({ type: 'object', properties: LIST_2_35_FIELDS, additionalProperties: false });
const ONE_2_75 = querySchema<KeyPairQuery>({ type: 'object', properties: { user_id: ALL_TEXT }, additionalProperties: false });

export function listKeyPairsQuery(version: Microversion): RequestCheck<KeyPairQuery> {
  if (version >= 75) return LIST_2_75;
  if (version >= 35) return LIST_2_35;
  return version >= 10 ? LIST_2_10 : ANYTHING;
}

/** The query of show and delete. */
export function oneKeyPairQuery(version: Microversion): RequestCheck<KeyPairQuery> {
  if (version >= 75) return ONE_2_75;
  return version >= 10 ? LIST_2_10 : ANYTHING;
}

export interface LimitsQuery {
  readonly tenant_id?: readonly string[];
}

const LIMITS = querySchema<LimitsQuery>({ type: 'object', properties: { tenant_id: ALL_TEXT } });
const LIMITS_2_75 = querySchema<LimitsQuery>({ type: 'object', properties: { tenant_id: ALL_TEXT }, additionalProperties: false });

export function limitsQuery(version: Microversion): RequestCheck<LimitsQuery> {
  return version >= 75 ? LIMITS_2_75 : LIMITS;
}

export function quotaSetQuery(version: Microversion): RequestCheck<KeyPairQuery> {
  return version >= 75 ? ONE_2_75 : LIST_2_10;
}

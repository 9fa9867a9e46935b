/**
 * servers and their consoles: what requests may say. Nova's schemas, with two differences on purpose: flavorRef
 * and networks are not required (nothing here depends on them), and a request makes one server.
 */
import type { InjectedFile } from '@gatehouse/cell-db/instance-facts-store';
import { ACCESS_LEVELS, type Access } from '@gatehouse/objects/console-session';
import { INSTANCE_KEYS_MAX } from '../instances.ts';
import { bodySchema } from './request-schema.ts';
import type { RequestCheck, Schema } from './request-schema.ts';
import { NEWEST, OLDEST } from './microversion.ts';
import type { Microversion } from './microversion.ts';

export interface CreateServerBody {
  readonly server: {
    readonly name: string;
    readonly key_name?: string;
    /** Ours alone, behind key_name's: Nova gives a server one key pair. */
    readonly key_names?: readonly string[];
    readonly user_data?: string;
    /** Before 2.57. */
    readonly personality?: readonly InjectedFile[];
    readonly metadata?: Readonly<Record<string, string>>;
    readonly availability_zone?: string;
    readonly flavorRef?: string | number;
    readonly imageRef?: string;
    readonly adminPass?: string;
    readonly config_drive?: boolean | string;
    readonly hostname?: string;
  };
}

const TEXT: Schema = { type: 'string', minLength: 1, maxLength: 255 };
const ANYTHING: Schema = {};
/** Nova's words for yes and no, in its order. */
const TRUE_WORDS = [true, 'True', 'TRUE', 'true', '1', 'ON', 'On', 'on', 'YES', 'Yes', 'yes'];
const FALSE_WORDS = [false, 'False', 'FALSE', 'false', '0', 'OFF', 'Off', 'off', 'NO', 'No', 'no'];
const ONE: Schema = { type: ['integer', 'string'], enum: [1, '1'] };

/** base64 of at most this many characters, as in Nova. */
export const USER_DATA: Schema = { type: 'string', format: 'base64', maxLength: 65_535 };

/** Nova requires neither property, and answers 500 where one is missing. */
export const PERSONALITY: Schema = {
  type: 'array',
  items: {
    type: 'object',
    properties: { path: { type: 'string' }, contents: { type: 'string', format: 'base64' } },
    required: ['path', 'contents'],
    additionalProperties: false,
  },
};

const SERVER: Readonly<Record<string, Schema>> = {
  name: { type: 'string', minLength: 1, maxLength: 255, format: 'name' },
  imageRef: { type: 'string', maxLength: 255 },
  flavorRef: { type: ['string', 'integer'], minLength: 1, maxLength: 255 },
  adminPass: { type: 'string', maxLength: 255 },
  metadata: {
    type: 'object',
    patternProperties: { '^[a-zA-Z0-9-_:. ]{1,255}$': { type: 'string', maxLength: 255 } },
    additionalProperties: false,
  },
  networks: ANYTHING,
  availability_zone: TEXT,
  key_name: TEXT,
  key_names: { type: 'array', items: TEXT, maxItems: INSTANCE_KEYS_MAX, uniqueItems: true },
  user_data: USER_DATA,
  min_count: ONE,
  max_count: ONE,
  config_drive: { type: ['boolean', 'string'], enum: [...TRUE_WORDS, ...FALSE_WORDS] },
  'OS-DCF:diskConfig': { type: 'string', enum: ['AUTO', 'MANUAL'] },
  accessIPv4: ANYTHING,
  accessIPv6: ANYTHING,
  security_groups: ANYTHING,
  block_device_mapping: ANYTHING,
  block_device_mapping_v2: ANYTHING,
  return_reservation_id: { enum: [false, 'False', 'false'] },
};

/** What a server's properties were and became: since the first microversion, until the second. */
const SERVER_BY_VERSION: readonly (readonly [since: Microversion, until: Microversion, property: string, schema: Schema])[] = [
  [OLDEST, 56, 'personality', PERSONALITY],
  [19, NEWEST, 'description', { type: ['string', 'null'], maxLength: 255 }],
  [52, NEWEST, 'tags', ANYTHING],
  [63, NEWEST, 'trusted_image_certificates', ANYTHING],
  [90, NEWEST, 'hostname', { type: 'string', minLength: 1, maxLength: 255, pattern: '^[a-zA-Z0-9-._]*$' }],
];
const createServerBodies = new Map<string, RequestCheck<CreateServerBody>>();

/** Body of POST servers; scheduler hints are accepted and have no effect. */
export function createServerBody(version: Microversion): RequestCheck<CreateServerBody> {
  const known = SERVER_BY_VERSION.filter(([since, until]) => since <= version && version <= until);
  const level = known.map(([, , property]) => property).join();
  const properties = { ...SERVER, ...Object.fromEntries(known.map(([, , property, schema]) => [property, schema])) };
  const check = createServerBodies.get(level) ?? bodySchema<CreateServerBody>({
    type: 'object',
    properties: {
      server: { type: 'object', properties, required: ['name'], additionalProperties: false },
      'os:scheduler_hints': ANYTHING,
      'OS-SCH-HNT:scheduler_hints': ANYTHING,
    },
    required: ['server'],
    additionalProperties: false,
  });
  createServerBodies.set(level, check);
  return check;
}

export function isTrue(word: boolean | string | undefined): boolean {
  return word !== undefined && TRUE_WORDS.includes(word);
}

export interface RemoteConsoleBody {
  readonly remote_console: {
    readonly protocol: string;
    readonly type: string;
    /** Ours alone: Nova's clients do not send it, and Nova refuses it. */
    readonly access?: Access;
  };
}

function remoteConsoleSchema(protocols: readonly string[], types: readonly string[]): RequestCheck<RemoteConsoleBody> {
  return bodySchema({
    type: 'object',
    properties: {
      remote_console: {
        type: 'object',
        properties: {
          protocol: { type: 'string', enum: protocols },
          type: { type: 'string', enum: types },
          access: { type: 'string', enum: ACCESS_LEVELS },
        },
        required: ['protocol', 'type'],
        additionalProperties: false,
      },
    },
    required: ['remote_console'],
    additionalProperties: false,
  });
}

const PROTOCOLS = ['vnc', 'spice', 'rdp', 'serial'];
const TYPES = ['novnc', 'xvpvnc', 'rdp-html5', 'spice-html5', 'serial'];
const REMOTE_CONSOLE_2_6 = remoteConsoleSchema(PROTOCOLS, TYPES);
const REMOTE_CONSOLE_2_8 = remoteConsoleSchema([...PROTOCOLS, 'mks'], [...TYPES, 'webmks']);

export function remoteConsoleBody(version: Microversion): RequestCheck<RemoteConsoleBody> {
  return version >= 8 ? REMOTE_CONSOLE_2_8 : REMOTE_CONSOLE_2_6;
}

/** The actions that gave consoles before 2.6, with the types each accepts. */
export const CONSOLE_ACTIONS: Readonly<Record<string, { readonly protocol: string; readonly types: readonly string[] }>> = {
  'os-getVNCConsole': { protocol: 'vnc', types: ['novnc', 'xvpvnc'] },
  'os-getSPICEConsole': { protocol: 'spice', types: ['spice-html5'] },
  'os-getRDPConsole': { protocol: 'rdp', types: ['rdp-html5'] },
  'os-getSerialConsole': { protocol: 'serial', types: ['serial'] },
};

const ACTION_CHECKS = new Map(
  Object.entries(CONSOLE_ACTIONS).map(([action, { types }]) => [
    action,
    bodySchema<Readonly<Record<string, { readonly type: string }>>>({
      type: 'object',
      properties: {
        [action]: {
          type: 'object',
          properties: { type: { type: 'string', enum: types } },
          required: ['type'],
          additionalProperties: false,
        },
      },
      required: [action],
      additionalProperties: false,
    }),
  ]),
);

/** The check of a legacy console action's body; undefined where it is another action. */
export function consoleActionBody(action: string): RequestCheck<Readonly<Record<string, { readonly type: string }>>> | undefined {
  return ACTION_CHECKS.get(action);
}

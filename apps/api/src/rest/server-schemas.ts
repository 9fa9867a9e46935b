/**
 * servers and their consoles: what requests may say. Nova's schemas, with two differences on purpose: flavorRef
 * and networks are not required (nothing here depends on them), and a request makes one server.
 */
import { ACCESS_LEVELS, type Access } from '@gatehouse/objects/console-session';
import { bodySchema } from './request-schema.ts';
import type { RequestCheck, Schema } from './request-schema.ts';
import type { Microversion } from './microversion.ts';

export interface CreateServerBody {
  readonly server: {
    readonly name: string;
    readonly key_name?: string;
    readonly user_data?: string;
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
const ONE: Schema = { type: ['integer', 'string'], enum: [1, '1'] };

const SERVER: Schema = {
  type: 'object',
  properties: {
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
    user_data: { type: 'string', format: 'base64', maxLength: 65_535 },
    min_count: ONE,
    max_count: ONE,
    hostname: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[a-zA-Z0-9-._]*$' },
    config_drive: { type: ['boolean', 'string'] },
    description: { type: ['string', 'null'], maxLength: 255 },
    'OS-DCF:diskConfig': { type: 'string', enum: ['AUTO', 'MANUAL'] },
    accessIPv4: ANYTHING,
    accessIPv6: ANYTHING,
    security_groups: ANYTHING,
    block_device_mapping: ANYTHING,
    block_device_mapping_v2: ANYTHING,
    personality: ANYTHING,
    tags: ANYTHING,
    trusted_image_certificates: ANYTHING,
    return_reservation_id: { enum: [false, 'False', 'false'] },
  },
  required: ['name'],
  additionalProperties: false,
};

/** Body of POST servers; scheduler hints are accepted and have no effect. */
export const createServerBody = bodySchema<CreateServerBody>({
  type: 'object',
  properties: { server: SERVER, 'os:scheduler_hints': ANYTHING, 'OS-SCH-HNT:scheduler_hints': ANYTHING },
  required: ['server'],
  additionalProperties: false,
});

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

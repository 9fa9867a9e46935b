/** Bodies of the actions on servers, by microversion: Nova's schemas. */
import type { InjectedFile } from '@gatehouse/cell-db/instance-facts-store';
import type { JsonObject } from './json.ts';
import type { Microversion } from './microversion.ts';
import { bodySchema } from './request-schema.ts';
import type { RequestCheck, Schema } from './request-schema.ts';
import { PERSONALITY, USER_DATA } from './server-schemas.ts';

/** Nova's `boolean`: JSON's own, and the words that mean it. */
export const BOOLEAN: Schema = {
  type: ['boolean', 'string'],
  enum: [
    true, 'True', 'TRUE', 'true', '1', 'ON', 'On', 'on', 'YES', 'Yes', 'yes', 'y', 't',
    false, 'False', 'FALSE', 'false', '0', 'OFF', 'Off', 'off', 'NO', 'No', 'no', 'n', 'f',
  ],
};
const TRUE_WORDS: ReadonlySet<unknown> = new Set([true, 'true', '1', 'on', 'yes', 'y', 't']);
const HOST: Schema = { type: 'string', minLength: 1, maxLength: 255, pattern: '^[a-zA-Z0-9-._]*$' };
const HOST_OR_NULL: Schema = { ...HOST, type: ['string', 'null'] };
const ADMIN_PASS: Schema = { type: 'string', maxLength: 255 };
const DISK_CONFIG: Schema = { type: 'string', enum: ['AUTO', 'MANUAL'] };

export function isTrue(value: unknown): boolean {
  return TRUE_WORDS.has(typeof value === 'string' ? value.toLowerCase() : value);
}

/** The check of `{action: {...}}`, nothing beside it. */
function actionBody<T extends JsonObject>(action: string, properties: Readonly<Record<string, Schema>>, required: readonly string[], type: string | readonly string[] = 'object'): (body: JsonObject) => T {
  const check: RequestCheck<Readonly<Record<string, T | null>>> = bodySchema({
    type: 'object',
    properties: { [action]: { type, properties, ...(required.length === 0 ? {} : { required }), additionalProperties: false } },
    required: [action],
    additionalProperties: false,
  });
  return (body) => check(body)[action] ?? ({} as T);
}

export const rebootBody = actionBody<{ readonly type: string }>('reboot', { type: { type: 'string', enum: ['HARD', 'Hard', 'hard', 'SOFT', 'Soft', 'soft'] } }, ['type']);

export const resizeBody = actionBody<{ readonly flavorRef: string | number }>(
  'resize',
  { flavorRef: { type: ['string', 'integer'], minLength: 1, maxLength: 255 }, 'OS-DCF:diskConfig': DISK_CONFIG },
  ['flavorRef'],
);

export interface RebuildBody extends JsonObject {
  readonly imageRef: string;
  readonly name?: string;
  readonly adminPass?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly hostname?: string;
  readonly key_name?: string | null;
  readonly user_data?: string | null;
  /** Before 2.57. */
  readonly personality?: readonly (InjectedFile & JsonObject)[];
}

const REBUILD: Readonly<Record<string, Schema>> = {
  name: { type: 'string', minLength: 1, maxLength: 255, format: 'name' },
  imageRef: { type: 'string', maxLength: 255 },
  adminPass: ADMIN_PASS,
  metadata: {
    type: 'object',
    patternProperties: { '^[a-zA-Z0-9-_:. ]{1,255}$': { type: 'string', maxLength: 255 } },
    additionalProperties: false,
  },
  preserve_ephemeral: BOOLEAN,
  'OS-DCF:diskConfig': DISK_CONFIG,
  accessIPv4: {},
  accessIPv6: {},
};
const REBUILD_LATER: readonly (readonly [since: Microversion, property: string, schema: Schema])[] = [
  [19, 'description', { type: ['string', 'null'], maxLength: 255 }],
  [54, 'key_name', { type: ['string', 'null'], minLength: 1, maxLength: 255 }],
  [57, 'user_data', { ...USER_DATA, type: ['string', 'null'] }],
  [63, 'trusted_image_certificates', {}],
  [90, 'hostname', { type: 'string', minLength: 1, maxLength: 255, pattern: '^[a-zA-Z0-9-._]*$' }],
];
const rebuildBodies = new Map<number, (body: JsonObject) => RebuildBody>();

export function rebuildBody(version: Microversion): (body: JsonObject) => RebuildBody {
  const level = REBUILD_LATER.filter(([since]) => since <= version).length;
  const later = Object.fromEntries(REBUILD_LATER.slice(0, level).map(([, property, schema]) => [property, schema]));
  const personality: Readonly<Record<string, Schema>> = version < 57 ? { personality: PERSONALITY } : {};
  const check = rebuildBodies.get(level) ?? actionBody<RebuildBody>('rebuild', { ...REBUILD, ...personality, ...later }, ['imageRef']);
  rebuildBodies.set(level, check);
  return check;
}

type MigrateBody = { readonly host?: string | null };
const MIGRATE_56 = actionBody<MigrateBody>('migrate', { host: HOST_OR_NULL }, [], ['object', 'null']);

/** Before 2.56 nothing that the action says is looked at. */
export function migrateBody(version: Microversion): (body: JsonObject) => MigrateBody {
  return version >= 56 ? MIGRATE_56 : () => ({});
}

type LiveBody = { readonly host: string | null; readonly force?: boolean | string };
const AUTO: Schema = { ...BOOLEAN, enum: [...(BOOLEAN['enum'] as readonly (boolean | string)[]), 'auto'] };
const LIVE_1 = actionBody<LiveBody>('os-migrateLive', { block_migration: BOOLEAN, disk_over_commit: BOOLEAN, host: HOST_OR_NULL }, ['block_migration', 'disk_over_commit', 'host']);
const LIVE_25 = actionBody<LiveBody>('os-migrateLive', { block_migration: AUTO, host: HOST_OR_NULL }, ['block_migration', 'host']);
const LIVE_30 = actionBody<LiveBody>('os-migrateLive', { block_migration: AUTO, host: HOST_OR_NULL, force: BOOLEAN }, ['block_migration', 'host']);

export function migrateLiveBody(version: Microversion): (body: JsonObject) => LiveBody {
  if (version < 25) return LIVE_1;
  return version >= 30 && version < 68 ? LIVE_30 : LIVE_25;
}

type EvacuateBody = { readonly host?: string; readonly adminPass?: string; readonly onSharedStorage?: boolean | string; readonly force?: boolean | string };
const EVACUATE_1 = actionBody<EvacuateBody>('evacuate', { host: HOST, onSharedStorage: BOOLEAN, adminPass: ADMIN_PASS }, ['onSharedStorage']);
const EVACUATE_14 = actionBody<EvacuateBody>('evacuate', { host: HOST, adminPass: ADMIN_PASS }, []);
const EVACUATE_29 = actionBody<EvacuateBody>('evacuate', { host: HOST, adminPass: ADMIN_PASS, force: BOOLEAN }, []);

export function evacuateBody(version: Microversion): (body: JsonObject) => EvacuateBody {
  if (version < 14) return EVACUATE_1;
  return version >= 29 && version < 68 ? EVACUATE_29 : EVACUATE_14;
}

type UnshelveBody = { readonly availability_zone?: string | null; readonly host?: string };
const UNSHELVE_77 = actionBody<UnshelveBody>('unshelve', { availability_zone: { type: 'string', minLength: 1, maxLength: 255 } }, ['availability_zone'], ['object', 'null']);
const UNSHELVE_91 = actionBody<UnshelveBody>('unshelve', { availability_zone: { type: ['string', 'null'] }, host: { type: 'string' } }, [], ['object', 'null']);

/** Before 2.77 nothing that the action says is looked at. */
export function unshelveBody(version: Microversion): (body: JsonObject) => UnshelveBody {
  if (version < 77) return () => ({});
  return version >= 91 ? UNSHELVE_91 : UNSHELVE_77;
}

export const resetStateBody = actionBody<{ readonly state: 'active' | 'error' }>('os-resetState', { state: { type: 'string', enum: ['active', 'error'] } }, ['state']);

/**
 * Nova's Instance 2.7, the fields of it that consoles, key pairs and metadata need: Nova reads ours, and of Nova's
 * we pass over the rest. So the fingerprint is ours, and Nova's methods are not named. What Nova loads when it is asked
 * for (its INSTANCE_OPTIONAL_ATTRS) may be unset, and stays so: a null or an empty value would say something else.
 */
import { KeyPairList } from './key-pair-list.ts';
import { boolean, datetime, integer, mapOf, object, since, string, uuid } from './fields.ts';
import { defineObject } from './define-object.ts';
import type { ObjectOf } from './define-object.ts';

const text = () => string({ maxLength: 255 }).nullable();

const fields = {
  id: integer({ min: 0 }).optional(),
  uuid: uuid(),
  projectId: text(),
  userId: text(),
  displayName: text(),
  hostname: text(),
  host: text(),
  /** building, active, stopped, error, deleted */
  vmState: text(),
  taskState: text(),
  keyName: text(),
  keyData: string().nullable(),
  /** base64 */
  userData: string().nullable(),
  /** Unset means not loaded. */
  metadata: mapOf(string({ maxLength: 65_535 })).optional(),
  /** Unset means not migrated; an empty list means none. */
  keypairs: since('2.2', object(KeyPairList).optional(), undefined),
  createdAt: datetime().nullable().optional(),
  updatedAt: datetime().nullable().optional(),
  launchedAt: datetime().nullable().optional(),
  deletedAt: datetime().nullable().optional(),
  deleted: boolean().default(false).optional(),
};

export const Instance = defineObject('Instance', '2.7', fields, { relations: { keypairs: [['2.2', '1.3']] } });
export type Instance = ObjectOf<typeof Instance>;

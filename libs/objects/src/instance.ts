/** Nova's Instance 2.7, the fields of it that consoles, key pairs and metadata need. */
import { KeyPairList } from './key-pair-list.ts';
import { boolean, datetime, integer, mapOf, object, string, uuid } from './fields.ts';
import { defineObject } from './define-object.ts';
import type { ObjectOf } from './define-object.ts';

const text = () => string({ maxLength: 255 }).nullable();

export const Instance = defineObject('Instance', '2.7', {
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
  metadata: mapOf(string({ maxLength: 65_535 })),
  /** Unset means not migrated; an empty list means none. */
  keypairs: object(KeyPairList).optional(),
  createdAt: datetime().nullable().optional(),
  updatedAt: datetime().nullable().optional(),
  launchedAt: datetime().nullable().optional(),
  deletedAt: datetime().nullable().optional(),
  deleted: boolean().optional(),
});
export type Instance = ObjectOf<typeof Instance>;

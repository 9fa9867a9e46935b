/** Nova's KeyPair 1.4: a public key under its user's name for it. Never a private key. */
import { boolean, datetime, integer, string } from './fields.ts';
import { defineObject } from './define-object.ts';
import type { ObjectOf } from './define-object.ts';

export const KeyPair = defineObject('KeyPair', '1.4', {
  id: integer({ min: 0 }).optional(),
  name: string({ maxLength: 255 }),
  userId: string({ maxLength: 255 }).nullable().optional(),
  fingerprint: string({ maxLength: 255 }).nullable().optional(),
  publicKey: string().nullable().optional(),
  type: string({ maxLength: 64 }),
  createdAt: datetime().nullable().optional(),
  updatedAt: datetime().nullable().optional(),
  deletedAt: datetime().nullable().optional(),
  deleted: boolean().optional(),
});
export type KeyPair = ObjectOf<typeof KeyPair>;

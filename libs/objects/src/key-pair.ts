/**
 * Nova's KeyPair 1.4: a public key under its user's name for it. Never a private key. Its methods are those of
 * Nova's class: nothing calls them here, but they are part of the fingerprint, which is Nova's own.
 */
import { boolean, datetime, integer, since, string } from './fields.ts';
import { defineObject } from './define-object.ts';
import type { ObjectOf } from './define-object.ts';

const fields = {
  id: integer({ min: 0 }).optional(),
  name: string({ maxLength: 255 }),
  userId: string({ maxLength: 255 }).nullable().optional(),
  fingerprint: string({ maxLength: 255 }).nullable().optional(),
  publicKey: string().nullable().optional(),
  /** ssh or x509; the older versions knew only the one. */
  type: since('1.2', string({ maxLength: 64 }), 'ssh'),
  createdAt: datetime().nullable().optional(),
  updatedAt: datetime().nullable().optional(),
  deletedAt: datetime().nullable().optional(),
  deleted: boolean().default(false).optional(),
};

export const KeyPair = defineObject('KeyPair', '1.4', fields, {
  methods: ['create(self)', 'destroy(self)', 'destroy_by_name(cls, context, user_id, name)', 'get_by_name(cls, context, user_id, name, localonly=False)'],
});
export type KeyPair = ObjectOf<typeof KeyPair>;

/**
 * Nova's KeyPairList 1.3, also the form in which an instance keeps its keys (instance_extra.keypairs). Nova says of
 * no version of it which KeyPair goes with it, so a reader of an older one without a manifest gets KeyPair 1.0.
 */
import { KeyPair } from './key-pair.ts';
import { listOf, object } from './fields.ts';
import { defineObject } from './define-object.ts';
import type { ObjectOf } from './define-object.ts';

const KEY_PAIRS_MAX = 1_000;

const fields = {
  objects: listOf(object(KeyPair), { maxItems: KEY_PAIRS_MAX }),
};

export const KeyPairList = defineObject('KeyPairList', '1.3', fields, {
  childVersions: {},
  methods: ['get_by_user(cls, context, user_id, limit=None, marker=None)', 'get_count_by_user(cls, context, user_id)'],
});
export type KeyPairList = ObjectOf<typeof KeyPairList>;

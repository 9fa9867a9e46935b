/** Nova's KeyPairList 1.3, also the form in which an instance keeps its keys (instance_extra.keypairs). */
import { KeyPair } from './key-pair.ts';
import { listOf, object } from './fields.ts';
import { defineObject } from './define-object.ts';
import type { ObjectOf } from './define-object.ts';

const KEY_PAIRS_MAX = 1_000;

export const KeyPairList = defineObject('KeyPairList', '1.3', {
  objects: listOf(object(KeyPair), { maxItems: KEY_PAIRS_MAX }),
});
export type KeyPairList = ObjectOf<typeof KeyPairList>;

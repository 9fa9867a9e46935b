/** What no column of PostgreSQL can hold: U+0000, and half of a surrogate pair, which JSON can say and UTF-8 cannot. */
const UNSTORABLE = /[\0\p{Cs}]/u;

/** The end of a sentence that refuses a text. */
export const UNSTORABLE_WORDS = 'holds a NUL character or half of a surrogate pair, which cannot be stored';

/** Nothing of a name is known that is not storable. */
export function isStorable(text: string): boolean {
  return !UNSTORABLE.test(text);
}

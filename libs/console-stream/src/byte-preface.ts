/**
 * What a byte connection begins with: a word that no HTTP/2 client says, and the ticket that its Attach call was given. What
 * follows, both ways, is a console's bytes and nothing else.
 */
export const TICKET_BYTES = 32;
const WORD = Buffer.from('gatehouse-bytes/1 ', 'latin1');
export const PREFACE_BYTES = WORD.length + TICKET_BYTES;

export function prefaceOf(ticket: Buffer): Buffer {
  return Buffer.concat([WORD, ticket]);
}

/** Whether what came first on a connection is a preface, or may become one. */
export function isPreface(head: Buffer): boolean {
  const known = Math.min(head.length, WORD.length);
  return head.subarray(0, known).equals(WORD.subarray(0, known));
}

/** Of a whole preface. */
export function ticketIn(preface: Buffer): Buffer {
  return preface.subarray(WORD.length, PREFACE_BYTES);
}

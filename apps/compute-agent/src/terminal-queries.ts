/**
 * Questions that programs ask a terminal ("where is your cursor?", "what are you?"). In output that is shown
 * again later they must not be asked again: the new terminal would answer, and its answer would be typed
 * into whatever runs in the guest by then.
 */

// DA, DSR, DECREQTPARM, window reports, DECRQM; ENQ; DECID; OSC and DCS queries.
const QUERY = /\x1b\[[?>=]?[0-9;]{0,20}(?:[cntx]|\$p)|\x05|\x1bZ|\x1b\][0-9;]{1,10}[^\x07\x1b]{0,40}\?(?:\x07|\x1b\\)|\x1bP[$+]q[^\x1b]{0,200}\x1b\\/g;

/** The same bytes, as many, with NUL in place of every question: terminals pass over it, and offsets stay true. */
export function withoutQueries(output: Buffer): Buffer {
  const text = output.toString('latin1').replace(QUERY, (query) => '\0'.repeat(query.length));
  return Buffer.from(text, 'latin1');
}

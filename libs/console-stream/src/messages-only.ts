/**
 * Hosts whose byte connections do not arrive where their calls do: something between spreads an address over several hosts, or passes
 * HTTP/2 and nothing else. Told by a byte connection that was closed before a byte of it came, while its call went on: from then
 * on the consoles at that endpoint go in their calls, for a while.
 */
const REMEMBERED_MS = 5 * 60_000;
const ENDPOINTS_MAX = 1_000;

/** By endpoint: until when, on a clock that never goes back. */
const untilMs = new Map<string, number>();

export function isMessagesOnly(endpoint: string): boolean {
  const until = untilMs.get(endpoint);
  if (until === undefined || until > performance.now()) return until !== undefined;
  untilMs.delete(endpoint);
  return false;
}

/** True when that is news. */
export function useMessagesOnly(endpoint: string): boolean {
  const isNews = !isMessagesOnly(endpoint);
  untilMs.set(endpoint, performance.now() + REMEMBERED_MS);
  const [first] = untilMs.keys();
  if (untilMs.size > ENDPOINTS_MAX && first !== undefined) untilMs.delete(first);
  return isNews;
}

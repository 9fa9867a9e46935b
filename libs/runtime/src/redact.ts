// Keeps secrets out of logs twice over: fields are dropped by their name before a line is written
// (redactFields), and the written line is searched once more for secrets inside longer strings
// (redactText): a query string, a URL with a password, a subprotocol that carries a token.

const REDACTED = '[redacted]';

/** Names are compared without case, dashes and underscores, anywhere in the name. */
const SECRET_NAMES =
  /token|secret|passw|passphrase|authorization|privatekey|accessurl|cookie|credential|apikey|adminpass|userdata|resumegrant/;

// A log line is for a person or an index: bounded in depth, breadth and length, whatever it was given.
const DEPTH_MAX = 8;
const ITEMS_MAX = 64;
const TEXT_MAX = 8_192;

const TEXT_RULES: readonly (readonly [RegExp, string])[] = [
  // ?token=..., &access_token=..., #token=..., and the same percent-encoded inside another query
  [/((?:token|secret|passw(?:or)?d)(?:=|%3D|%253D))[^&#\s"'\\<>]+/gi, `$1${REDACTED}`],
  // Nova's REST resource whose name is a token
  [/(os-console-auth-tokens\/)[^/?#\s"'\\]+/gi, `$1${REDACTED}`],
  // the WebSocket subprotocols that carry a token and a resume grant
  [/\b(token|resume)\.[A-Za-z0-9_~-]{8,}/g, `$1.${REDACTED}`],
  // scheme://user:password@host, without its scheme: to look for one from every letter on takes the square of the length
  [/(:\/\/[^\s:/@"\\]*:)[^\s/@"\\]+@/g, `$1${REDACTED}@`],
  [/\b(Bearer|Basic)\s+[A-Za-z0-9+/=._~-]{8,}/gi, `$1 ${REDACTED}`],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/gs, REDACTED],
];

/** Field names are the code's own and so few; what comes beyond that (a header's name) is not remembered. */
const NAMES_MAX = 1_000;
const NAME_LENGTH_MAX = 64;
const judgedNames = new Map<string, boolean>();

/** True when a field of this name must not be logged. */
export function isSecretName(name: string): boolean {
  const judged = judgedNames.get(name);
  if (judged !== undefined) return judged;
  const isSecret = SECRET_NAMES.test(name.toLowerCase().replaceAll(/[-_ ]/g, ''));
  if (judgedNames.size < NAMES_MAX && name.length <= NAME_LENGTH_MAX) judgedNames.set(name, isSecret);
  return isSecret;
}

/** The same text without the secrets that can be told by their surroundings. */
export function redactText(text: string): string {
  let clean = text;
  for (const [pattern, replacement] of TEXT_RULES) clean = clean.replace(pattern, replacement);
  return clean;
}

/**
 * A copy fit for a log: secret-named fields replaced, errors as { type, code, message, stack, cause },
 * bytes as their length, cycles and depths cut off. Numbers, booleans and dates under a secret-like
 * name (`tokenTtlSeconds`) stay: they are no secrets.
 */
export function redactFields(value: unknown): unknown {
  return copy(value, 0, []);
}

function copy(value: unknown, depth: number, above: readonly object[]): unknown {
  if (typeof value === 'string') return value.length > TEXT_MAX ? `${value.slice(0, TEXT_MAX)}...` : value;
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'function' || typeof value === 'symbol') return undefined;
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (value instanceof URL) return value.href;
  if (above.includes(value)) return '[cycle]';
  if (depth >= DEPTH_MAX) return '[deep]';
  const path = [...above, value];
  if (value instanceof Error) return copyError(value, depth, path);
  if (Array.isArray(value)) return copyList(value, depth, path);
  if (value instanceof Map) return copyEntries([...value].map(([key, item]) => [String(key), item]), depth, path);
  if (value instanceof Set) return copyList([...value], depth, path);
  return copyEntries(safeEntries(value), depth, path);
}

function copyList(items: readonly unknown[], depth: number, path: readonly object[]): unknown[] {
  const copies: unknown[] = [];
  for (const [index, item] of items.slice(0, ITEMS_MAX).entries()) {
    // raw header lists are name, value, name, value
    const before = index % 2 === 1 ? items[index - 1] : null;
    const isHeaderValue = typeof before === 'string' && typeof item === 'string' && isHeaderName(before);
    copies.push(isHeaderValue ? REDACTED : copy(item, depth + 1, path));
  }
  if (items.length > ITEMS_MAX) copies.push(`[${items.length - ITEMS_MAX} more]`);
  return copies;
}

function isHeaderName(text: string): boolean {
  return text.length <= 40 && /^[a-z][a-z-]*$/i.test(text) && text.includes('-') && isSecretName(text)
    || /^(?:authorization|cookie)$/i.test(text);
}

function copyEntries(
  entries: readonly (readonly [string, unknown])[],
  depth: number,
  path: readonly object[],
): Record<string, unknown> {
  const copies: Record<string, unknown> = {};
  for (const [name, item] of entries.slice(0, ITEMS_MAX)) {
    const harmless = item === null || item === undefined || item instanceof Date
      || typeof item === 'number' || typeof item === 'boolean';
    copies[name] = !harmless && isSecretName(name) ? REDACTED : copy(item, depth + 1, path);
  }
  return copies;
}

function copyError(error: Error, depth: number, path: readonly object[]): Record<string, unknown> {
  const { name, message, stack, cause } = error;
  const own = safeEntries(error).filter(([key]) => !['name', 'message', 'stack', 'cause'].includes(key));
  return {
    type: name,
    message: copy(message, depth, path),
    ...copyEntries(own, depth, path),
    stack: copy(stack, depth, path),
    ...(cause === undefined ? {} : { cause: copy(cause, depth + 1, path) }),
  };
}

// A getter may throw; a log line must not.
function safeEntries(value: object): [string, unknown][] {
  const entries: [string, unknown][] = [];
  for (const key of Object.keys(value)) {
    try {
      entries.push([key, (value as Record<string, unknown>)[key]]);
    } catch {
      entries.push([key, '[unreadable]']);
    }
  }
  return entries;
}

/** Anyone may ask for a path of any length; a line tells this much of it. */
const LOGGED_PATH_LENGTH_MAX = 256;

/** The path of a URL as routes see it, without its query: secrets are looked for in what is logged, and none may hide behind percent signs. */
export function loggedPath(url: string): string {
  return decoded(url.split('?', 1)[0] ?? '').slice(0, LOGGED_PATH_LENGTH_MAX);
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path.replaceAll(/%[0-9a-f]{2}/gi, (code) => String.fromCodePoint(Number.parseInt(code.slice(1), 16)));
  }
}

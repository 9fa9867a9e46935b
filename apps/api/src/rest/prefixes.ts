/**
 * Every resource is served with and without its project in the path. Nova takes only hexadecimal digits and
 * dashes for a project there, so that `servers` or `os-keypairs` is never mistaken for one.
 */
export const API_PREFIXES: readonly string[] = ['v2.1', 'v2.1/:projectId(^[0-9a-f-]+$)'];

/**
 * The API before microversions, which Nova still serves beside the other: always as 2.1, with looser bodies. Here it is for
 * key pairs alone, for the scripts that import them.
 */
export const LEGACY_PREFIXES: readonly string[] = ['v2', 'v2/:projectId(^[0-9a-f-]+$)'];

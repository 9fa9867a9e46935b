/**
 * Every resource is served with and without its project in the path. Nova takes only hexadecimal digits and
 * dashes for a project there, so that `servers` or `os-keypairs` is never mistaken for one.
 */
export const API_PREFIXES: readonly string[] = ['v2.1', 'v2.1/:projectId(^[0-9a-f-]+$)'];

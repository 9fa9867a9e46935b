/** The URL of a request with a run of slashes in its path as one: clients put addresses together from parts, and one part ends with what the next begins with. */
export function mergeSlashes(url: string): string {
  const [path = ''] = url.split('?', 1);
  // What begins otherwise is a whole address, or `*`.
  if (!path.startsWith('/') || !path.includes('//')) return url;
  return path.replaceAll(/\/{2,}/g, '/') + url.slice(path.length);
}

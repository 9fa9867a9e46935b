/** oslo.messaging's rule for which requested version an implemented one answers. */

const VERSION = /^\d{1,4}\.\d{1,4}(?:\.\d{1,4})?$/;

export function isVersion(value: unknown): value is string {
  return typeof value === 'string' && VERSION.test(value);
}

/**
 * True when majors are equal, the requested minor is not above ours and, minors being equal, neither is the
 * revision. No implemented version takes everything, no requested one is never taken.
 */
export function versionIsCompatible(implemented: string | null, requested: string | null): boolean {
  if (implemented === null) return true;
  if (requested === null) return false;
  if (requested === implemented) return true;
  const [major = 0, minor = 0, revision = 0] = implemented.split('.').map(Number);
  const [wantedMajor = 0, wantedMinor = 0, wantedRevision = 0] = requested.split('.').map(Number);
  if (major !== wantedMajor || wantedMinor > minor) return false;
  return wantedMinor < minor || wantedRevision <= revision;
}

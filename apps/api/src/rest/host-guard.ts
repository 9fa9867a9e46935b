/**
 * Which Host headers are answered: loopback names and those an operator has listed. A page that has pointed
 * its own name at 127.0.0.1 (DNS rebinding) arrives with that name and is turned away.
 */
import { ServiceError } from '@gatehouse/errors/service-error';

export type HostGuard = (hostHeader: string | undefined) => void;

/** `allowed`: host names or addresses, with or without a port, in any case. The guard throws PERMISSION_DENIED. */
export function hostGuard(allowed: readonly string[]): HostGuard {
  const names = new Set(allowed.map((name) => nameOf(name.trim().toLowerCase()) ?? ''));
  return (header) => {
    const name = nameOf((header ?? '').toLowerCase());
    if (name !== null && (isLoopbackName(name) || names.has(name))) return;
    throw new ServiceError(
      'PERMISSION_DENIED',
      'The Host header names no host of this service: use a loopback name, or list the name in GATEHOUSE_API_HOSTS',
    );
  };
}

/** True for names and addresses that mean this machine alone. */
export function isLoopbackName(name: string): boolean {
  if (name === 'localhost' || name.endsWith('.localhost') || name === '::1' || name === '[::1]') return true;
  return /^127(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}$/.test(name);
}

/** The host without its port, or null where the text is no host. */
function nameOf(host: string): string | null {
  const match = /^(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::\d{1,5})?$/.exec(host);
  return match?.[1] ?? null;
}

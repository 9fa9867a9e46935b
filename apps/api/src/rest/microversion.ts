/**
 * Nova's microversions: one number a request (`2.35`) that says which shapes the caller knows. Asked for
 * in `OpenStack-API-Version: compute 2.35` or the older `X-OpenStack-Nova-API-Version: 2.35`; without
 * either it is the oldest, 2.1. The new header wins where both name one, and of several the last.
 */
import { HttpException } from '@nestjs/common';
import { ServiceError } from '@gatehouse/errors/service-error';

/** The minor number: every version is 2.N. */
export type Microversion = number;

export const OLDEST: Microversion = 1;
export const NEWEST: Microversion = 93;

export const OLD_HEADER = 'x-openstack-nova-api-version';
export const NEW_HEADER = 'openstack-api-version';

/** A version out of range, with the text of what was asked so that the answer's headers can echo it. */
export interface VersionAsked {
  readonly version: Microversion;
  readonly text: string;
  readonly supported: boolean;
}

/**
 * The version a request asks for. Throws INVALID_ARGUMENT where it is no version at all; one that is out
 * of range is returned as unsupported, because its 406 answer still carries the version headers.
 */
export function readMicroversion(newHeader: string | undefined, oldHeader: string | undefined): VersionAsked {
  const asked = computeVersionOf(newHeader) ?? lastOf(oldHeader);
  if (asked === undefined) return versionOf(OLDEST);
  if (asked === 'latest') return versionOf(NEWEST);
  const match = /^([1-9]\d{0,5})\.([1-9]\d{0,5}|0)$/.exec(asked);
  if (match === null) {
    const shown = asked.slice(0, 40);
    throw new ServiceError(
      'INVALID_ARGUMENT',
      `API Version String ${shown} is of invalid format. Must be of format MajorNum.MinorNum.`,
    );
  }
  const minor = Number(match[2]);
  const supported = match[1] === '2' && minor >= OLDEST && minor <= NEWEST;
  return { version: minor, text: asked, supported };
}

export function versionText(version: Microversion): string {
  return `2.${version}`;
}

/** The 406 that Nova gives for a version it does not serve. */
export function unsupportedVersion(asked: VersionAsked): HttpException {
  const range = `Minimum is ${versionText(OLDEST)} and maximum is ${versionText(NEWEST)}.`;
  return new HttpException(`Version ${asked.text} is not supported by the API. ${range}`, 406);
}

function versionOf(version: Microversion): VersionAsked {
  return { version, text: versionText(version), supported: true };
}

/** `identity 3.0, compute 2.35` -> `2.35`; other services' versions are not ours to read. */
function computeVersionOf(header = ''): string | undefined {
  const parts = header.slice(0, HEADER_CHARS_MAX).split(',');
  return parts.map((part) => /^compute\s+(.+)$/i.exec(part.trim())?.[1]).findLast((version) => version !== undefined);
}

function lastOf(header = ''): string | undefined {
  return header.trim() === '' ? undefined : header.slice(0, HEADER_CHARS_MAX).split(',').at(-1)?.trim();
}

const HEADER_CHARS_MAX = 1_000;

/**
 * The documents by which clients find the API, answered without a token: the list of versions, one document a version, and
 * for every path that belongs to no version a choice of them (300), all of them as Nova's.
 */
import { rootUrlOf } from './api-call.ts';
import type { RawRequest } from './api-call.ts';
import type { JsonObject } from './json.ts';
import { NEWEST, OLDEST, versionText } from './microversion.ts';

export interface VersionDocument {
  readonly status: 200 | 300;
  readonly body: JsonObject;
}

interface ApiVersion {
  readonly path: string;
  readonly about: { readonly id: string; readonly status: string; readonly version: string; readonly min_version: string; readonly updated: string };
  readonly mediaVersion: string;
}

/** The one before microversions, which answers for key pairs alone, and today's. */
const V2: ApiVersion = {
  path: '/v2/',
  about: { id: 'v2.0', status: 'SUPPORTED', version: '', min_version: '', updated: '2011-01-21T11:33:21Z' },
  mediaVersion: '2',
};
const V21: ApiVersion = {
  path: '/v2.1/',
  about: { id: 'v2.1', status: 'CURRENT', version: versionText(NEWEST), min_version: versionText(OLDEST), updated: '2013-07-23T11:33:21Z' },
  mediaVersion: '2.1',
};
const VERSIONS = [V2, V21] as const;

/** What `/v1`, `/v2` and `/v2.1` begin is some version's to answer. */
const VERSIONED = /^\/v(?:1|2|2\.1)(?:\/|$)/;

/** Null where the path is for a resource, or for nothing, of a version. */
export function versionDocumentOf(request: RawRequest): VersionDocument | null {
  const path = pathOf(request);
  const root = rootUrlOf(request);
  if (path === '/') return { status: 200, body: { versions: VERSIONS.map((version) => ({ ...version.about, links: [self(root + version.path)] })) } };
  const version = VERSIONS.find((each) => each.path === path || each.path === `${path}/`);
  if (version !== undefined) return { status: 200, body: { version: describe(version, root) } };
  return VERSIONED.test(path) ? null : { status: 300, body: { choices: VERSIONS.map((each) => choice(each, root, path)) } };
}

function describe(version: ApiVersion, root: string): JsonObject {
  const describedBy = { rel: 'describedby', type: 'text/html', href: 'http://docs.openstack.org/' };
  return { ...version.about, links: [self(root + version.path), describedBy], 'media-types': [mediaType(version)] };
}

function choice(version: ApiVersion, root: string, path: string): JsonObject {
  const { id, status } = version.about;
  return { id, status, links: [self(root + version.path + path.slice(1))], 'media-types': [mediaType(version)] };
}

function mediaType({ mediaVersion }: ApiVersion): JsonObject {
  return { base: 'application/json', type: `application/vnd.openstack.compute+json;version=${mediaVersion}` };
}

function self(href: string): JsonObject {
  return { rel: 'self', href };
}

function pathOf({ url }: RawRequest): string {
  return url.split('?', 1)[0] ?? '/';
}

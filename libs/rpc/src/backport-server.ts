/**
 * What every server of ours answers besides its contract: a peer that meets an object newer than it knows asks for
 * the object as it knows it. Nova asks its conductor in these words (object_backport before versions had manifests).
 */
import { backport, backportTo } from '@gatehouse/objects/backport';
import { json, mapOf, string } from '@gatehouse/objects/fields';
import { method } from './contract.ts';

const version = () => string({ maxLength: 32 });

export const backportMethods = {
  objectBackportVersions: method({ since: '1.0', idempotent: true, args: { objinst: json(), objectVersions: mapOf(version()) }, result: json() }),
  objectBackport: method({ since: '1.0', idempotent: true, args: { objinst: json(), targetVersion: version() }, result: json() }),
};

export const backportHandlers = {
  objectBackportVersions: ({ objinst, objectVersions }: { readonly objinst: unknown; readonly objectVersions: Readonly<Record<string, string>> }) =>
    backport(objinst, objectVersions),
  objectBackport: ({ objinst, targetVersion }: { readonly objinst: unknown; readonly targetVersion: string }) => backportTo(objinst, targetVersion),
};

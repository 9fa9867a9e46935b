/** Who can be asked to rewrite objects that are newer than ours: the service that is upgraded first, or Nova's. */
import type { BackportPeer } from '@gatehouse/rpc/backport-peer';
import { conductor } from './conductor.ts';
import { consoleauth } from './consoleauth.ts';

export const BACKPORT_PEERS = ['consoleauth', 'conductor', 'none'] as const;

/** For serve. */
export function backportPeer(name: (typeof BACKPORT_PEERS)[number]): BackportPeer | undefined {
  return { consoleauth, conductor, none: undefined }[name];
}

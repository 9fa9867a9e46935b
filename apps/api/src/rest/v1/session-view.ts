/** A console session as /v1 shows it. Moments are UTC to the second, counts are bytes; where its host is, only the administrator sees. */
import type { ConsoleSession } from '@gatehouse/objects/console-session';
import type { ConsoleSessionEvent } from '@gatehouse/objects/console-session-event';
import type { JsonObject } from '../json.ts';

export type ShownState = 'open' | 'ending' | 'ended';

export function stateOf({ endedAt, endingAt }: ConsoleSession): ShownState {
  if (endedAt !== null) return 'ended';
  return endingAt === null ? 'open' : 'ending';
}

export function sessionView(session: ConsoleSession, isAdmin: boolean): JsonObject {
  const { id, instanceUuid, consoleType, access, userId, projectId, clientAddress, host, port, proxy } = session;
  return {
    id,
    state: stateOf(session),
    instance_id: instanceUuid,
    console_type: consoleType,
    access,
    user_id: userId,
    project_id: projectId,
    client_address: clientAddress,
    started_at: moment(session.startedAt),
    lease_expires_at: moment(session.leaseExpires),
    ending_at: session.endingAt && moment(session.endingAt),
    ended_at: session.endedAt && moment(session.endedAt),
    end_reason: session.endReason ?? session.endingReason,
    bytes_in: session.bytesIn,
    bytes_out: session.bytesOut,
    ...(isAdmin ? { host, port, proxy } : {}),
  };
}

export function eventView({ cursor, kind, at, reason, session }: ConsoleSessionEvent, isAdmin: boolean): JsonObject {
  return { cursor, kind, at: moment(at), reason, session: sessionView(session, isAdmin) };
}

/** `2026-11-21T21:44:36Z`: what travels from consoleauth is no finer. */
function moment(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}

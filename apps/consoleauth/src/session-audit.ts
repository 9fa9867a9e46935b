/** What the audit says of a session. */
import type { StoredSession } from '@gatehouse/cell-db/console-session-row';
import type { Audit, AuditFacts } from '@gatehouse/runtime/audit';

/** Who, what and from where. */
export function sessionFacts(session: StoredSession): AuditFacts {
  const { id, instanceUuid, consoleType, host, port, proxy, clientAddress, userId, projectId, access } = session;
  return { sessionId: id, instanceUuid, consoleType, host, port, proxy, clientAddress, userId, projectId, access };
}

/** For whoever has ended the rows, once that is stored. */
export function auditEnds(audit: Audit, ended: readonly StoredSession[]): void {
  for (const session of ended) {
    const { startedAt, endedAt, endReason, bytesIn, bytesOut } = session;
    const seconds = endedAt === null ? undefined : (endedAt.getTime() - startedAt.getTime()) / 1_000;
    audit.write('ended', { ...sessionFacts(session), reason: endReason ?? undefined, seconds, bytesIn, bytesOut });
  }
}

/** The RPC edge of consoleauth: each method of the contract is one call of the application. */
import type { consoleauth } from '@gatehouse/contracts/consoleauth';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { Handlers } from '@gatehouse/rpc/server';
import type { Clock } from '@gatehouse/runtime/clock';
import type { ConsoleAdmission } from './console-admission.ts';
import type { ConsoleAuth } from './console-auth.ts';
import type { ConsoleSessions } from './console-sessions.ts';
import type { ConsoleTokens } from './console-tokens.ts';
import type { FleetLevels } from './fleet-levels.ts';
import type { RegisteredConsoles } from './registered-consoles.ts';
import type { SessionEnds } from './session-ends.ts';
import type { SessionLeases } from './session-leases.ts';
import type { SessionWatch } from './session-watch.ts';
import type { Sweeps } from './sweeps.ts';

export interface ConsoleAuthParts {
  readonly auth: ConsoleAuth;
  readonly admission: ConsoleAdmission;
  readonly registered: RegisteredConsoles;
  readonly shown: ConsoleTokens;
  readonly leases: SessionLeases;
  readonly sweeps: Sweeps;
  readonly sessions: ConsoleSessions;
  readonly watch: SessionWatch;
  readonly ends: SessionEnds;
  readonly levels: FleetLevels;
  readonly db: CellDb;
  readonly clock: Clock;
}

export function consoleAuthHandlers({ auth, admission, registered, shown, leases, sweeps, sessions, watch, ends, levels, db, clock }: ConsoleAuthParts): Handlers<typeof consoleauth> {
  return {
    authorize: (args, context) => auth.authorize(args, context),
    connect: (args, context) => admission.connect(args, context),
    attach: ({ sessionId, attachSecret, host }) => admission.attach(sessionId, attachSecret, host),
    attachAll: (shown) => admission.attachAll(shown),
    renew: ({ proxy, sessions }) => leases.renew(proxy, sessions),
    release: ({ proxy, session, reason }) => leases.release(proxy, session, reason),
    sweep: ({ host }) => sweeps.sweep(host),
    report: (service) => db.services.report({ ...service, lastSeenAt: clock.now() }),
    register: (args, context) => registered.register(args, context),
    showToken: ({ token }) => shown.show(token),
    listSessions: (args) => sessions.list(args),
    showSession: ({ sessionId, ...viewer }) => sessions.show(sessionId, viewer),
    endSessions: (args, context) => sessions.end(args, context),
    watchSessions: (args, context) => watch.watch(args, context),
    levels: () => levels.oldest(),
    async revokeInstance({ instanceUuid, reason }, context) {
      const open = await auth.revokeInstance(instanceUuid, reason, (sessions) => ends.tellProxies(sessions, reason, context));
      return open.length;
    },
  };
}
